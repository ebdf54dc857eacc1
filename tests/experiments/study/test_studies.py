"""The studies that are shipped say what they ask, what they cost, and how to run them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from experiments.cli.main import main
from experiments.data.known import declared

ROOT = Path(__file__).parents[3]
STUDIES = ROOT / "experiments" / "studies"
FILES = sorted(STUDIES.rglob("*.yaml"))
NAMES = [path.relative_to(STUDIES).with_suffix("").as_posix() for path in FILES]
COST = re.compile(r"# Cost: about [\d.]+ (minutes|hours) on two cores[.:]")

every_study = pytest.mark.parametrize("path", FILES, ids=NAMES)


def header(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    return lines[: next(n for n, line in enumerate(lines) if not line.startswith("#"))]


@every_study
def test_a_study_begins_with_its_question(path: Path) -> None:
    first, *rest = header(path)
    assert re.fullmatch(r"# [A-Z].*\?", first)
    assert not any(line.endswith("?") for line in rest)


@every_study
def test_a_study_says_its_cost_and_the_command_that_runs_it(path: Path) -> None:
    *_, cost, command = header(path)
    assert COST.match(cost)
    words = command.removeprefix("# ").split()
    assert words[:3] == ["python", "run.py", "study"]
    assert ROOT / words[3] == path


@every_study
def test_a_study_asks_for_a_data_folder_only_where_it_needs_one(path: Path) -> None:
    import yaml

    embedded = all(declared(name).embedded for name in yaml.safe_load(path.read_text())["datasets"])
    assert ("--data-dir DIR" in header(path)[-1]) != embedded


@every_study
def test_a_quick_study_takes_minutes_on_what_is_embedded(path: Path) -> None:
    (unit,) = COST.match(header(path)[-2]).groups()  # type: ignore[union-attr]
    quick = path.parent.name == "quick"
    assert unit == ("minutes" if quick else "hours")
    assert not quick or "--data-dir" not in header(path)[-1]


def test_every_quick_study_asks_a_question_that_is_asked_in_earnest() -> None:
    """Or is the first run of README."""
    slow = {name for name in NAMES if "/" not in name}
    assert {name.removeprefix("quick/") for name in NAMES if "/" in name} <= slow | {"start"}


def test_the_list_names_studies_by_their_path_and_tells_their_question(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["list"]) == 0
    _, _, studies = capsys.readouterr().out.partition("\nstudies:\n")
    listed = [re.split(r"\s+", line.strip(), maxsplit=1) for line in studies.splitlines()]
    assert [name for name, _ in listed] == NAMES
    assert [about for _, about in listed] == [header(path)[0][2:] for path in FILES]
