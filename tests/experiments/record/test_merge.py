"""Records of several machines become one, in whatever order they come."""

from __future__ import annotations

import itertools
import json
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from experiments.errors import UsageError
from experiments.metric_names import TEST_NDCG10
from experiments.record.merge import add
from experiments.record.results_file import study_files
from experiments.storage.lock import lock_of, locked
from tests.experiments.report.made_record import Values, made_study, write_record

RECORD = made_study(("beauty",), seeds=2, users=20)
FINISHED = RECORD[:10]


def failed(line: Values, error: str = "out of memory") -> Values:
    kept = ("study", "trial", "variant", "dataset", "seed")
    return {**{key: line[key] for key in kept}, "status": "failed", "error": error}


def merged(folder: Path, *parts: list[Values]) -> str:
    """The record after adding parts, each a machine's."""
    for number, part in enumerate(parts):
        machine = folder / f"machine {number}"
        write_record(machine / "record.jsonl", part)
        add(machine, folder / "results")
    return (folder / "results" / "temperature.jsonl").read_text()


def test_a_record_that_a_worker_writes_is_read_when_the_worker_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read with the lock that workers take, and not before."""
    path = write_record(tmp_path / "results" / "temperature.jsonl", FINISHED[:1])
    write_record(tmp_path / "machine" / "record.jsonl", FINISHED[1:2])
    held = []

    def waiting(lock: Path) -> AbstractContextManager[None]:
        """Nobody else has the lock by now, and the worker has written its last line."""
        assert not held
        path.write_text(path.read_text() + json.dumps(FINISHED[2]) + "\n")
        held.append(lock)
        return locked(lock)

    monkeypatch.setattr("experiments.record.merge.locked", waiting)
    add(tmp_path / "machine", tmp_path / "results")
    assert held == [lock_of(path)]
    assert len(path.read_text().splitlines()) == 3


def test_results_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    write_record(tmp_path / "machine" / "record.jsonl", FINISHED[:1])
    (tmp_path / "results").write_text("a file")
    with pytest.raises(UsageError, match="results"):
        add(tmp_path / "machine", tmp_path / "results")


def test_the_order_of_machines_does_not_matter(tmp_path: Path) -> None:
    parts = [
        FINISHED[:6],
        [failed(FINISHED[0]), *FINISHED[4:]],
        [failed(FINISHED[1], "b"), failed(RECORD[-2]), RECORD[-1]],
        [failed(FINISHED[1], "a"), failed(RECORD[-1])],
    ]
    texts = {
        merged(tmp_path / str(number), *order)
        for number, order in enumerate(itertools.permutations(parts))
    }
    assert len(texts) == 1
    lines = [json.loads(line) for line in texts.pop().splitlines()]
    assert sorted(line["trial"] for line in lines) == sorted({line["trial"] for line in RECORD})
    statuses = {line["trial"]: line["status"] for line in lines}
    assert all(statuses[line["trial"]] == "finished" for line in FINISHED)
    assert statuses["p"] == "pruned"


def test_adding_twice_changes_nothing(tmp_path: Path) -> None:
    once = merged(tmp_path, FINISHED)
    assert merged(tmp_path, FINISHED) == once


def test_two_results_of_one_trial_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    before = merged(tmp_path, FINISHED)
    other = {**FINISHED[0], TEST_NDCG10: 0.9}
    told = f"'sasrec', beauty, seed 0.* two results: {TEST_NDCG10} is"
    with pytest.raises(UsageError, match=told):
        merged(tmp_path, [*RECORD[-2:], other])
    assert (tmp_path / "results" / "temperature.jsonl").read_text() == before


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"trial": "another"}, "two trials of 'sasrec' on beauty, seed 0"),
        ({"trial": "another", "seed": 7, "data_sha256": "0" * 64}, "read different data as beauty"),
    ],
)
def test_lines_that_do_not_go_together_are_refused_and_nothing_is_written(
    change: Values, told: str, tmp_path: Path
) -> None:
    before = merged(tmp_path, FINISHED)
    with pytest.raises(UsageError, match=told):
        merged(tmp_path, [{**FINISHED[0], **change}])
    assert (tmp_path / "results" / "temperature.jsonl").read_text() == before


def test_results_whose_last_line_has_no_end_are_refused_as_it_would_be_lost(tmp_path: Path) -> None:
    before = merged(tmp_path, FINISHED)[:-1]
    (tmp_path / "results" / "temperature.jsonl").write_text(before)
    with pytest.raises(UsageError, match="jsonl: the last line has no end"):
        merged(tmp_path, RECORD[-2:])
    assert (tmp_path / "results" / "temperature.jsonl").read_text() == before


def test_the_same_result_from_another_machine_is_one_line(tmp_path: Path) -> None:
    slower = {**FINISHED[0], "seconds/train": 900.0}
    assert merged(tmp_path, FINISHED, [slower]).count("\n") == len(FINISHED)


def test_a_torn_last_line_is_left_out_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_record(tmp_path / "one" / "record.jsonl", FINISHED)
    path.write_text(path.read_text()[:-20])
    assert add(tmp_path / "one", tmp_path / "results") == [("temperature", 0, 9)]
    assert capsys.readouterr().err.startswith(f"note: {path}: the last line has no end")


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a//b", "quick/../../evil", ""])
def test_a_study_is_written_below_the_results_or_not_at_all(tmp_path: Path, name: str) -> None:
    write_record(tmp_path / "one" / "record.jsonl", [{**FINISHED[0], "study": name}])
    with pytest.raises(UsageError, match="is no name of a study"):
        add(tmp_path / "one", tmp_path / "results")


@pytest.mark.parametrize("name", ["quick/temperature", "my own/on heads/wide"])
def test_a_study_in_a_folder_has_its_own_in_the_results(tmp_path: Path, name: str) -> None:
    write_record(tmp_path / "one" / "record.jsonl", [{**line, "study": name} for line in FINISHED])
    add(tmp_path / "one", tmp_path / "results")
    assert study_files(tmp_path / "results") == {name: tmp_path / "results" / f"{name}.jsonl"}


def test_a_folder_without_a_record_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no record.jsonl"):
        add(tmp_path, tmp_path / "results")


def test_splits_of_one_data_set_may_read_files_of_their_own(tmp_path: Path) -> None:
    other = {"trial": "another", "data_sha256": "0" * 64, "config": {"split": {"kind": "files"}}}
    assert merged(tmp_path, [*FINISHED, {**FINISHED[0], **other}]).count("\n") == 11
