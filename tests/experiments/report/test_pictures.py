"""The pictures and the rows of Beauty that stand in the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from experiments.record.results_file import RESULTS, study_files
from experiments.report.headline import COLUMNS, ROWS, headline
from experiments.report.pictures import curve, dots, pictures
from experiments.report.studies import Report
from tests.experiments.report.made_record import GAINS, Values, made_study, write_record


@pytest.fixture(scope="module")
def committed() -> Report:
    return Report(study_files(RESULTS))


def made(folder: Path, seeds: int) -> Report:
    """Studies with the rows that the pictures and the table ask for."""
    lines: list[Values] = []
    for row in ROWS:
        variant = "sasrec" if row.variant == "sasrec" else "cl4srec temperature=0.2"
        lines += [
            {**line, "variant": row.variant, "trial": f"{row.variant} {line['seed']}"}
            for line in made_study(("beauty",), seeds, users=60, study="recipes")
            if line["variant"] == variant and line["status"] == "finished"
        ]
    write_record(folder / "recipes.jsonl", lines)
    write_record(folder / "temperature.jsonl", made_study(("beauty",), seeds, users=60))
    return Report(study_files(folder))


def test_a_picture_is_the_same_every_time_small_and_has_text_as_text(tmp_path: Path) -> None:
    first, again = (pictures(made(tmp_path, seeds=3)) for _ in range(2))
    assert [plot.name for plot in first] == ["beauty", "temperature"]
    for plot, other in zip(first, again, strict=True):
        assert plot.svg == other.svg
        assert len(plot.svg.encode()) < 60_000
        assert "<text" in plot.svg
        assert not re.search(r"<dc:date>|<dc:title>Matplotlib", plot.svg)


def test_the_committed_pictures_are_small() -> None:
    paths = list((RESULTS / "plots").glob("*.svg"))
    assert sorted(path.name for path in paths) == ["beauty.svg", "speed.svg", "temperature.svg"]
    assert all(path.stat().st_size < 60_000 for path in paths)


def test_ours_and_published_rows_are_sorted_together(tmp_path: Path) -> None:
    rows = dots(made(tmp_path, seeds=3))
    assert [dot.mean.mean for dot in rows] == sorted((dot.mean.mean for dot in rows), reverse=True)
    theirs = [dot.name for dot in rows if dot.published]
    assert "WEARec, published" in theirs
    assert not any(name.startswith("DuoRec") for name in theirs)  # measured with seen items ranked
    assert all(dot.mean.low is None for dot in rows if dot.published)
    assert all(dot.mean.low is not None for dot in rows if not dot.published)


def test_two_seeds_have_no_interval_and_say_so(tmp_path: Path) -> None:
    ours = [dot for dot in dots(made(tmp_path, seeds=2)) if not dot.published]
    assert ours
    assert all(dot.mean.low is None and dot.name.endswith(", 2 seeds") for dot in ours)


@pytest.mark.parametrize("seeds", [2, 3])
def test_the_curve_over_temperature_is_of_differences_paired_by_seed(
    seeds: int, tmp_path: Path
) -> None:
    table = made(tmp_path, seeds).table("temperature", "beauty")
    assert table is not None
    points = curve(table)
    assert [point.temperature for point in points] == sorted(GAINS)
    for point in points:
        assert len(point.seeds) == seeds
        assert point.gain.difference == pytest.approx(sum(point.seeds) / seeds)
        assert (point.gain.interval is not None) == (seeds == 3)


def test_without_results_there_is_no_picture(tmp_path: Path) -> None:
    assert pictures(Report(study_files(tmp_path))) == []


def test_a_row_of_the_headline_says_whether_it_is_significant(tmp_path: Path) -> None:
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")]
                      for line in headline(made(tmp_path, seeds=3)).splitlines()
                      if line.startswith("|")]  # fmt: skip
    assert head == list(COLUMNS)
    assert [row[0] for row in rows] == [row.method for row in ROWS]
    assert [row[-2] for row in rows] == ["3"] * len(ROWS)
    assert rows[0][-1] == "baseline"
    assert all(row[-1].startswith("yes, above: +.") for row in rows[1:])


def test_a_headline_row_of_two_seeds_is_exploratory(tmp_path: Path) -> None:
    rows = [line for line in headline(made(tmp_path, seeds=2)).splitlines() if "| 2 |" in line]
    assert [row.split("|")[-2].strip() for row in rows] == [
        "baseline",
        *["exploratory"] * (len(ROWS) - 1),
    ]


def test_every_published_row_that_the_headline_asks_for_is_there(committed: Report) -> None:
    known = {(row.method, row.source) for row in committed.others if row.dataset == "beauty"}
    assert {row.published for row in ROWS if row.published} <= known
