"""A study's results stay in its own folder until they are published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.cli.main import main
from experiments.record.results_file import RESULTS
from experiments.study import folder as places
from tests.experiments.study.test_study_command import file as file  # a fixture


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs/ and the committed results lie."""
    monkeypatch.setattr(places, "REPOSITORY", tmp_path / "repository")
    monkeypatch.setattr(places, "RESULTS", tmp_path / "repository" / "results")
    return tmp_path / "repository"


def test_without_out_all_of_it_lies_in_runs(repository: Path) -> None:
    place = places.study_folder("helps")
    assert place.path == repository / "runs" / "studies" / "helps"
    assert place.results.path.parent == place.path


def test_published_results_are_the_committed_ones(repository: Path) -> None:
    place = places.study_folder("quick/helps", publish=True)
    assert place.results.path == repository / "results" / "quick" / "helps.jsonl"
    assert place.path == repository / "runs" / "studies" / "quick" / "helps"


def test_results_are_published_or_kept_in_a_folder_not_both(file: Path, capsys) -> None:
    command = ["study", str(file), "--data-dir", str(file.parent / "data"), "--publish"]
    assert main([*command, "--out", str(file.parent / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--publish" in error
    assert not (file.parent / "out").exists()


def test_a_dry_run_says_how_much_of_it_is_in_the_committed_results(
    file: Path, repository: Path, capsys
) -> None:
    command = ["study", str(file), "--data-dir", str(file.parent / "data"), "--dry-run"]
    assert main(command) == 0
    first = capsys.readouterr().out
    assert "--publish" not in first
    (repository / "results").mkdir(parents=True)
    line = (
        f'{{"study": "helps", "trial": "{first.split()[0]}", "status": "finished", "variant": "v", '
        '"dataset": "planted", "seed": 0, "valid/excluded/ndcg@10": 0.5}\n'
    )
    (repository / "results" / "helps.jsonl").write_text(line)
    assert main(command) == 0
    assert "1 of them are in the committed results" in capsys.readouterr().out


def test_a_study_that_is_published_is_trained_all_the_same(repository: Path, capsys) -> None:
    """The first thing that a newcomer tries, and its lines are among the committed results."""
    committed = repository / "results" / "quick" / "weight.jsonl"
    committed.parent.mkdir(parents=True)
    committed.write_bytes((RESULTS / "quick" / "weight.jsonl").read_bytes())
    assert main(["study", "quick/weight", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "quick/weight: 12 trials, 0 finished, 12 to do" in printed
    assert "12 of them are in the committed results" in printed


def test_a_trial_that_was_trained_here_is_compared_with_that_and_not_with_the_committed_line(
    file: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another processor has other last digits."""
    line = {"study": "helps", "trial": "0123", "status": "failed", "variant": "v", "seed": 0}
    for results in (places.study_folder("helps", publish=own).results for own in (False, True)):
        device = "there" if results.path.parent == repository / "results" else "here"
        text = json.dumps({**line, "dataset": "planted", "device": device})
        results.path.parent.mkdir(parents=True, exist_ok=True)
        results.path.write_text(f"{text}\n")
    compared: list[object] = []
    monkeypatch.setattr(
        "experiments.study.command.again",
        lambda lines, *rest: compared.extend(line["device"] for line in lines),
    )
    assert main(["study", str(file), "--data-dir", str(file.parent / "data"), "--again"]) == 0
    assert compared == ["here"]


def test_a_file_that_is_called_like_a_study_of_the_repository_does_not_take_its_place(
    file: Path, repository: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = file.rename(file.with_name("temperature.yaml"))
    command = ["study", str(mine), "--data-dir", str(file.parent / "data")]
    assert main([*command, "--publish"]) == 2
    assert "is called like a study of this repository, temperature" in capsys.readouterr().err
    committed = places.study_folder("temperature", publish=True).results.path
    committed.parent.mkdir(parents=True)
    committed.write_bytes((RESULTS / "quick" / "weight.jsonl").read_bytes())
    compared: list[object] = []
    monkeypatch.setattr(
        "experiments.study.command.again", lambda lines, *rest: compared.extend(lines)
    )
    assert main([*command, "--again"]) == 0
    assert compared == []
