"""The page is whole, loads nothing, and is read by people who do not see it."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from experiments.report.compare import tables
from experiments.report.notes import METHOD
from experiments.report.page import Chapter, page, table
from experiments.report.plots import plots
from experiments.report.sheet import sheet
from tests.experiments.report.made_record import made_study
from tests.experiments.report.test_compare import lines_of
from tests.experiments.report.test_formats import SMALL

VOID = {"meta", "link", "br", "img", "hr", "input"}
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
    parts = tuple((sheet(one, []), tuple(plots(one))) for one in made)
    return page([Chapter(EVIL, EVIL, parts), Chapter("temperature", "", parts)])


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
    for tag, count in (("h1", 1), ("main", 1), ("nav", 1), ("h2", 2), ("h3", 4)):
        assert names.count(tag) == count
    assert names.count("table") == names.count("caption") == 4
    assert all(a.get("scope") in ("row", "col") for a in reader.all("th"))
    drawings = [a for _, a in reader.found if a.get("role") == "img"]
    assert len(drawings) == names.count("figure") == names.count("figcaption") == 16
    assert all(len(str(a["aria-label"])) > 40 for a in drawings)
    assert ("a", {"class": "skip", "href": "#main"}) in reader.found


def test_every_colour_that_a_drawing_takes_from_the_page_is_defined(text: str) -> None:
    style, drawings = text.split("</style>")
    used = set(re.findall(r"var\((--\w+)\)", drawings))
    assert used == {"--blue"}
    assert style.count("--blue:") == 3  # light, dark, print


def test_dark_mode_and_print_have_rules(text: str) -> None:
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert "#1a1a1a" not in text.split("</style>")[1]  # ink takes the colour of the text


def test_the_best_and_the_significant_are_marked() -> None:
    text = table(SMALL)
    assert text.count("<strong>") == 1
    assert "<strong>.2</strong>" in text
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
    assert ran.stdout.count("<button") == 4 * 13


def test_how_to_read_the_tables_stands_once(text: str) -> None:
    for sentence in METHOD:
        assert text.count(escape(sentence)) == 1
