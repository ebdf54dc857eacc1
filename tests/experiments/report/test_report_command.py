"""run.py report: what it writes, what it checks, and what it refuses."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import experiments.report.command as command
import experiments.report.committed as committed
from experiments.cli.main import main
from experiments.errors import RunFailed, UsageError
from experiments.record.results_file import RESULTS
from experiments.report.planted import planted_block
from experiments.storage.files import REPOSITORY
from tests.experiments.report.made_record import made_study, write_record

README = "# A\n<!-- report: temperature brief -->\n<!-- end report -->\n"
Report = Callable[..., None]


def records(folder: Path) -> Report:
    """The command on a folder with one study, one of another kind, and a README."""
    results, file = folder / "results", folder / "README.md"
    write_record(results / "temperature.jsonl", made_study(users=60))
    write_record(results / "planted.jsonl", [{"world": "w"}])
    file.write_text(README)
    return command_on(folder)


def command_on(folder: Path) -> Report:
    def run(*names: str, check: bool = False, add: Path | None = None) -> None:
        place = (folder / "out", folder / "results", (folder / "README.md",))
        command.report([*names], check, add, *place)

    return run


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return records(tmp_path)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what stands in the pages and tables is made: drawing takes longer than all else."""
    monkeypatch.setattr(command, "write", lambda *given: [])


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder after its report, to read and not to change, and what was printed."""
    folder, printed = tmp_path_factory.mktemp("reported"), io.StringIO()
    with contextlib.redirect_stdout(printed):
        records(folder)("temperature")
    return folder, printed.getvalue()


def test_it_writes_a_folder_a_study_and_one_page(reported: tuple[Path, str]) -> None:
    folder, printed = reported
    names = {path.relative_to(folder / "out").as_posix() for path in folder.glob("out/**/*.*")}
    assert {"report.html", *(f"temperature/table.{kind}" for kind in ("md", "csv", "tex"))} <= names
    plots = [f"temperature/{data}-contrast-0-temperature" for data in ("beauty", "toys")]
    assert {f"{plot}.{kind}" for plot in plots for kind in ("png", "svg")} <= names
    assert "How sensitive is NDCG@10 to the InfoNCE temperature?" in printed
    assert "cl4srec temperature=0.2" in printed
    assert str(folder / "out" / "report.html") in printed


def test_the_readme_follows_the_record(
    report: Report, reported: tuple[Path, str], tmp_path: Path
) -> None:
    with pytest.raises(RunFailed, match=r"behind the results: README.md in temperature; .*report"):
        report("temperature", check=True)
    assert (tmp_path / "README.md").read_text() == README
    shutil.copytree(reported[0], tmp_path, dirs_exist_ok=True)
    assert "| cl4srec temperature=0.2 | 3 |" in (tmp_path / "README.md").read_text()
    report("temperature", check=True)
    record = tmp_path / "results" / "temperature.jsonl"
    lines = [line for line in record.read_text().splitlines() if '"seed": 2' not in line]
    record.write_text("\n".join(lines) + "\n")
    with pytest.raises(RunFailed, match="behind the results"):
        report("temperature", check=True)


def test_a_check_writes_nothing(report: Report, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunFailed):
        report("temperature", check=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_table_of_a_study_stands_among_the_results_and_is_checked(
    report: Report, reported: tuple[Path, str], tmp_path: Path
) -> None:
    shutil.copytree(reported[0], tmp_path, dirs_exist_ok=True)
    page = tmp_path / "results" / "tables" / "temperature.md"
    text = page.read_text()
    assert text.startswith("# temperature\n")
    assert "| cl4srec temperature=0.2 | 3 |" in text
    assert "**temperature: beauty, trials of the search**" in text
    report("temperature", check=True)
    for wrong in (text.replace("| 3 |", "| 4 |", 1), None):
        page.unlink() if wrong is None else page.write_text(wrong)
        with pytest.raises(RunFailed, match=r"behind the results: tables/temperature\.md;"):
            report("temperature", check=True)


@pytest.mark.usefixtures("undrawn")
def test_a_table_of_a_study_without_results_is_named_and_goes(
    report: Report, tmp_path: Path
) -> None:
    left = write_record(tmp_path / "results" / "tables" / "quick" / "gone.md", [])
    report()
    assert not left.exists()
    report(check=True)
    write_record(left, [])
    with pytest.raises(RunFailed, match=r"behind the results: tables/quick/gone\.md;"):
        report(check=True)


@pytest.mark.usefixtures("undrawn")
def test_method_and_sources_are_blocks_of_their_own(report: Report, tmp_path: Path) -> None:
    blocks = "".join(f"<!-- report: {name} -->\n<!-- end report -->\n"
                     for name in ("method", "published"))  # fmt: skip
    (tmp_path / "README.md").write_text(blocks)
    report()
    text = (tmp_path / "README.md").read_text()
    assert "- \\* significant: at least 3 paired seeds" in text
    assert "[arXiv:2507.16289](https://arxiv.org/abs/2507.16289): GitHub monkey0head" in text


def test_readme_benchmark_and_every_page_of_the_docs_have_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committed, "REPOSITORY", tmp_path)
    docs = tmp_path / "experiments" / "docs"
    docs.mkdir(parents=True)
    for name in ("studies.md", "data.md"):
        (docs / name).touch()
    names = [path.relative_to(tmp_path).as_posix() for path in committed.page_files()]
    pages = ["README.md", "experiments/BENCHMARK.md"]
    assert names == [*pages, "experiments/docs/data.md", "experiments/docs/studies.md"]


def test_the_same_record_makes_the_same_files(reported: tuple[Path, str], tmp_path: Path) -> None:
    def content(folder: Path) -> dict[Path, bytes]:
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}

    shutil.copytree(reported[0], tmp_path, dirs_exist_ok=True)
    command_on(tmp_path)("temperature")
    assert content(tmp_path) == content(reported[0])


@pytest.mark.usefixtures("undrawn")
def test_a_table_may_stand_beside_what_was_published_or_alone(
    report: Report, tmp_path: Path
) -> None:
    shown = {}
    for option in ("", " ours"):
        text = f"<!-- report: temperature{option} -->\n<!-- end report -->\n"
        (tmp_path / "README.md").write_text(text)
        report("temperature")
        rows = (tmp_path / "README.md").read_text().splitlines()
        shown[option] = [row for row in rows if row.startswith("|")]
    foreign = [row for row in shown[""] if row.startswith("| published: ")]
    assert foreign
    assert shown[" ours"] == [row for row in shown[""] if row not in foreign]


def test_an_unknown_study_is_named_with_the_nearest(report: Report) -> None:
    with pytest.raises(UsageError, match=r"'temprature' \(did you mean 'temperature'\?\); known"):
        report("temprature")


def test_without_a_record_it_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"make some with `run.py study FILE`"):
        command.report([], False, None, tmp_path, tmp_path, (tmp_path / "README.md",))


def test_a_line_of_another_study_is_refused(report: Report, tmp_path: Path) -> None:
    write_record(tmp_path / "results" / "other.jsonl", made_study(users=5))
    with pytest.raises(UsageError, match=r"other.jsonl:1: is of the study 'temperature'"):
        report("other")


def test_a_record_from_elsewhere_is_merged_first(
    report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = write_record(
        tmp_path / "m" / "record.jsonl", made_study(("beauty",), users=20, study="new")
    )
    report("new", add=machine.parent)
    printed = capsys.readouterr().out
    assert "new: 0 trials before, 17 now" in printed
    assert (tmp_path / "out" / "new" / "table.md").is_file()


def test_the_planted_table_of_the_page_is_its_results() -> None:
    text = (REPOSITORY / "experiments" / "docs" / "extending.md").read_text()
    assert planted_block(RESULTS / "planted.jsonl") in text


def test_a_planted_record_with_unpaired_seeds_is_refused(tmp_path: Path) -> None:
    lines = (RESULTS / "planted.jsonl").read_text().splitlines()
    path = tmp_path / "planted.jsonl"
    path.write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(UsageError, match="same_user and sasrec have different seeds"):
        planted_block(path)
    path.write_text(json.dumps({"world": "w"}) + "\n")
    with pytest.raises(UsageError, match=r"planted.jsonl:1: not a line of these results"):
        planted_block(path)


def test_the_committed_readme_is_what_the_record_says() -> None:
    assert main(["report", "--check"]) == 0


def test_a_check_adds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--check", "--add", "somewhere"]) == 2
    assert "--check: writes nothing" in capsys.readouterr().err
