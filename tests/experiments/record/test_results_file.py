"""A record has one whole line a trial, whoever writes at the same time or is killed."""

from __future__ import annotations

import json
import os

import pytest

from experiments.errors import UsageError
from experiments.record.results_file import ResultsFile, read_lines, study_files
from experiments.storage.atomic import write_atomically


@pytest.fixture
def record(tmp_path) -> ResultsFile:
    return ResultsFile(tmp_path / "results" / "study.jsonl")


def line(trial: str, value: float = 0.0) -> dict[str, object]:
    told = {"study": "s", "variant": "v", "dataset": "d", "seed": 0}
    return {"trial": trial, "status": "pruned", "value": value, **told}


def test_a_record_that_does_not_exist_is_empty(record):
    assert record.lines() == {}


def test_a_trial_is_recorded_once(record):
    assert record.append(line("a", 1.0))
    assert not record.append(line("a", 2.0))
    assert record.append(line("b", 3.0))
    assert [json.loads(text) for text in record.path.read_text().splitlines()] == [
        line("a", 1.0),
        line("b", 3.0),
    ]


def test_lines_of_other_workers_are_seen(record):
    other = ResultsFile(record.path)
    for trial in ("a", "b", "c"):
        other.append(line(trial))
        assert trial in record.lines()
    assert not record.append(line("b"))


def test_what_a_killed_writer_left_of_its_line_is_not_read_and_gives_way(record):
    record.append(line("a"))
    with record.path.open("a") as file:
        file.write('{"trial": "b", "sta')
    fresh = ResultsFile(record.path)
    assert list(fresh.lines()) == ["a"]
    assert fresh.append(line("c"))
    assert list(ResultsFile(record.path).lines()) == ["a", "c"]


def test_lines_can_be_forgotten_and_written_again(record):
    other = ResultsFile(record.path)
    for trial in ("a", "b", "c"):
        record.append(line(trial))
    assert list(other.lines()) == ["a", "b", "c"]
    record.forget({"b"})
    assert list(other.lines()) == ["a", "c"]
    assert other.append(line("b", 1.0))
    assert record.lines() == {"a": line("a"), "c": line("c"), "b": line("b", 1.0)}


def test_a_record_that_was_replaced_is_read_anew_though_its_file_has_the_same_number(record):
    for trial in ("a", "b"):
        record.append(line(trial))
    assert list(record.lines()) == ["a", "b"]
    before = record.path.stat().st_ino
    record.path.write_text("".join(json.dumps(line(trial, 12.5)) + "\n" for trial in "cde"))
    assert record.path.stat().st_ino == before
    assert list(record.lines()) == ["c", "d", "e"]
    assert not record.append(line("d"))


def test_a_file_that_was_written_anew_in_its_place_is_read_from_its_start(record):
    """Longer than what was read, and with the number of the old file."""
    record.append(line("a"))
    assert list(record.lines()) == ["a"]
    texts = [json.dumps(line(f"a longer name {number}")) for number in range(3)]
    record.path.write_text("".join(f"{text}\n" for text in texts))
    assert list(record.lines()) == [f"a longer name {number}" for number in range(3)]
    assert record.append(line("b"))
    assert len(ResultsFile(record.path).lines()) == 4


@pytest.mark.parametrize(
    "text", ["nonsense", "[1]", '{"status": "finished"}', '{"trial": 3}', '{"trial": "b"}']
)
def test_a_line_that_is_none_of_a_record_is_told_with_its_number(text, record):
    record.append(line("a"))
    with record.path.open("a") as file:
        file.write(f"{text}\n")
    with pytest.raises(UsageError, match=rf"^{record.path}, line 2: "):
        ResultsFile(record.path).lines()


def test_a_blank_first_line_is_reported_and_hides_no_study(tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_text("\n" + json.dumps(line("a")) + "\n")
    (tmp_path / "empty.jsonl").touch()
    assert study_files(tmp_path) == {"s": path}
    with pytest.raises(UsageError, match=r"s.jsonl:1: "):
        read_lines(path)


def test_processes_that_write_at_once_neither_mix_nor_repeat_lines(record):
    """Each of four tries to write the same thirty, in another order."""
    children = []
    for first in range(4):
        child = os.fork()
        if child == 0:
            mine = ResultsFile(record.path)
            for step in range(30):
                mine.append(line(f"trial {(first * 7 + step) % 30}", 1.0))
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    trials = [json.loads(text)["trial"] for text in record.path.read_text().splitlines()]
    assert sorted(trials) == sorted(f"trial {number}" for number in range(30))


def test_a_record_is_not_open_while_another_takes_its_place(record, monkeypatch):
    """Windows would refuse."""
    record.append(line("a"))
    record.append(line("b"))
    record.lines()
    opened = record._file

    def write(path, content):
        assert opened.closed
        write_atomically(path, content)

    monkeypatch.setattr("experiments.record.results_file.write_atomically", write)
    record.forget({"a"})
    assert [*record.lines()] == ["b"]
