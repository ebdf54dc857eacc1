"""The page is whole, loads nothing, and is read by people who do not see it."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from experiments.report.command import part
from experiments.report.compare import tables
from experiments.report.notes import METHOD
from experiments.report.page import Chapter, page, table
from experiments.report.plots import looks_of, plots
from experiments.report.sheet import sheet
from experiments.report.style import COLOURS, OTHER
from tests.experiments.report.made_record import made_study
from tests.experiments.report.test_compare import lines_of
from tests.experiments.report.test_formats import OTHERS, SMALL

VOID = {"meta", "link", "br", "img", "hr", "input"}
TABLES = 1 + 2 * 4  # the summary; twice ours of two data sets, published ones, trials of a search
EVIL = '<script>alert("1")</script>&\'$x'
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Reader(HTMLParser):
    """Collects elements, and insists that each is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def text() -> str:
    record = made_study(users=100)
    for line in record:
        line["variant"] = line["variant"].replace("cl4srec temperature=0.1", EVIL)
        line["question"] = EVIL
    made = tables(lines_of(record))
    looks = looks_of(made)
    parts = tuple(part(one, sheet(one, OTHERS), tuple(plots(one, looks))) for one in made)
    chapters = [Chapter(EVIL, EVIL, parts), Chapter("temperature", "", parts)]
    return page(chapters, "Newest result: 2026-01-02. At commit c0ffee.")


@pytest.fixture(scope="module")
def reader(text: str) -> Reader:
    found = Reader()
    found.feed(text)
    found.close()
    return found


def test_every_element_is_closed(reader: Reader) -> None:
    assert reader.open == []


def test_nothing_is_loaded(text: str, reader: Reader) -> None:
    assert "http://" not in text
    assert "https://" not in text
    assert not re.search(r"@import|url\((?!#)", text)
    targets = [a[key] for _, a in reader.found for key in ("src", "href") if key in a]
    assert targets
    assert all(str(target).startswith("#") for target in targets)


def test_every_id_occurs_once_and_every_reference_has_one(text: str, reader: Reader) -> None:
    ids = [a["id"] for _, a in reader.found if "id" in a]
    assert len(set(ids)) == len(ids)
    used = [str(a["href"])[1:] for _, a in reader.found if "href" in a]
    used += re.findall(r"url\(#([^)]+)\)", text)
    used += [str(a["aria-labelledby"]) for a in reader.all("section")]
    assert set(used) <= set(ids)


def test_what_the_record_says_is_text_and_nothing_else(text: str, reader: Reader) -> None:
    assert len(reader.all("script")) == 1
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_the_page_can_be_walked_without_seeing_it(reader: Reader) -> None:
    assert reader.all("html")[0]["lang"] == "en"
    names = [tag for tag, _ in reader.found]
    for tag, count in (("h1", 1), ("main", 1), ("nav", 1), ("h2", 3), ("h3", 4)):
        assert names.count(tag) == count
    assert names.count("table") == names.count("caption") == TABLES
    assert all(a.get("scope") in ("row", "col") for a in reader.all("th"))
    drawings = [a for _, a in reader.found if a.get("role") == "img"]
    assert len(drawings) == names.count("figure") == names.count("figcaption") == 20
    assert all(len(str(a["aria-label"])) > 40 for a in drawings)
    assert ("a", {"class": "skip", "href": "#main"}) in reader.found


def test_dark_mode_and_print_have_rules(text: str) -> None:
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert "#1a1a1a" not in text.split("</style>")[1]  # ink takes the colour of the text


def test_it_begins_with_date_commit_and_a_summary(text: str, reader: Reader) -> None:
    assert text.index("Newest result: 2026-01-02. At commit c0ffee.") < text.index('id="summary"')
    first = text[text.index('id="summary"') : text.index('id="study-1"')]
    assert first.count("<tr>") == 1 + 4  # two studies on two data sets
    assert first.count('<a href="#study-') == 4
    assert re.search(r"4 variants against sasrec \(\.\d{4}\), 3 seeds: ", first)
    assert re.search(r"\+\.\d{4}\* \(cl4srec temperature=0\.2\)", first)


def test_findings_stand_above_a_table_and_published_rows_and_notes_are_folded(text: str) -> None:
    shown = text[text.index('id="study-2-1"') : text.index('id="study-2-2"')]
    own = shown.index("<table>")
    assert shown.index("Highest: cl4srec temperature=0.2") < own < shown.index("<details>")
    folded = shown[shown.index("<details>") :]
    assert "DuoRec (a paper; cross_entropy" in folded
    assert "Smallest detectable difference" in folded
    assert "DuoRec" not in shown[: shown.index("<details>")]


def test_a_difference_stands_next_to_what_it_is_a_difference_of(text: str) -> None:
    names = re.findall(r'<th scope="col">([^<]+)</th>', text)
    assert names[names.index("NDCG@10") + 1] == "difference"
    assert names[: names.index("difference")] == ["variant", "NDCG@10"]


def test_every_table_is_in_a_region_that_scrolls(text: str) -> None:
    assert text.count("<table>") == len(re.findall(r'<div class="wide"[^>]*>\s*<table>', text))
    style = text[: text.index("</style>")]
    assert re.search(r"\.wide[^{}]*\{[^}]*overflow-x: auto", style)
    assert re.search(r"th\[scope=row\][^{}]*\{[^}]*position: sticky", style)
    assert re.search(r"\nnav \{[^}]*position: sticky", style)


def luminance(colour: str) -> float:
    """Of WCAG 2: relative, of #rrggbb."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_text_and_drawings_can_be_told_from_what_is_behind_them(text: str) -> None:
    """4.5 for text and 3 for drawings, by WCAG 2.2 (1.4.3 and 1.4.11), in light, dark and print."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    modes = re.findall(r":root \{([^}]*)\}", text)
    assert len(modes) == 3
    for mode in modes:
        colours = dict(re.findall(r"--(\w+): (#\w{6});", mode))
        for ink in ("ink", "muted", "link"):
            for behind in ("paper", "soft"):
                assert contrast(colours[ink], colours[behind]) >= 4.5
        for colour in (*COLOURS, OTHER):
            assert contrast(colour, colours["paper"]) >= 3.0
    style = text[: text.index("</style>")]
    assert not re.search(r"[^-]color: (?!var|light)", style)  # no colour but these


def test_the_best_and_the_significant_are_marked() -> None:
    text = table(SMALL)
    assert text.count("<strong>") == 1
    assert "<strong>.2</strong>" in text
    assert '.1&nbsp;<span class="spread">±&nbsp;.01</span>' in text
    assert text.count("<abbr") == 1
    assert '+.1<abbr title="significant">*</abbr>' in text


@pytest.mark.slow
def test_a_browser_shows_it_and_makes_the_headings_buttons(text: str, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium")
    path = tmp_path / "report.html"
    path.write_text(text)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    ran = subprocess.run(
        [browser, *options, path.as_uri()], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0
    assert ran.stdout.count("<button") == text.count('<th scope="col"') > 4 * 13


def test_how_to_read_the_tables_stands_once(text: str) -> None:
    for sentence in METHOD:
        assert text.count(escape(sentence)) == 1
