"""A line of the record is trained once more: it comes out the same, or it is told what does not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from experiments.cli.main import main
from experiments.study.folder import StudyFolder
from tests.experiments.study.test_worker import TWO, a_worker, begun


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyFolder]:
    """A study of two trials that is finished, to read and not to change."""
    file, place = begun(tmp_path_factory.mktemp("trained"), TWO)
    a_worker(place).work()
    return file, place


def again(file: Path, out: Path, *trial: str) -> int:
    return main(["study", str(file), "--data-dir", str(file.parent), "--out", str(out),
                 "--again", *trial])  # fmt: skip


def recorded(out: Path, line: dict[str, object]) -> Path:
    out.mkdir()
    (out / "record.jsonl").write_text(json.dumps(line) + "\n")
    return out


@pytest.mark.slow
def test_a_random_line_gives_the_same_metrics_again(trained, capfd):
    file, place = trained
    assert again(file, place.path) == 0
    printed = capfd.readouterr().out
    (line,) = (one for one in place.results.lines().values() if one["trial"] in printed)
    assert f"test/excluded/ndcg@10 {line['test/excluded/ndcg@10']:.6f}" in printed
    assert "and 60 users' ranks" in printed
    assert len(place.results.lines()) == 2


@pytest.mark.slow
def test_every_figure_that_does_not_come_out_is_named(trained, tmp_path, capfd):
    file, place = trained
    line = next(iter(place.results.lines().values()))
    changed: dict[str, object] = {
        "test/ranked/hr@10": 0.5,
        "hits/excluded": "abc",
        "curve/valid/excluded/hr@5": [0.5, 0.5],
    }
    out = recorded(tmp_path / "out", {**line, **changed})
    assert again(file, out, line["trial"]) == 1
    told = capfd.readouterr().err
    assert f"{line['trial']}: not the same: " in told
    for key, value in changed.items():
        assert re.search(rf"[:;] {key} was [^;]*{re.escape(str(value))}[^;]*, is ", told)
    assert told.count(" was ") == len(changed)
    assert "made on" not in told  # it is the machine of the record


@pytest.mark.slow
def test_a_line_of_another_machine_says_so_where_it_does_not_come_out(trained, tmp_path, capfd):
    file, place = trained
    line = next(iter(place.results.lines().values()))
    out = recorded(tmp_path / "out", {**line, "device": "another, 1 threads", "best_epoch": 99})
    assert again(file, out, line["trial"]) == 1
    assert f"made on another, 1 threads, this is {line['device']}" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("trial", "told"),
    [
        (["none"], "--again: no finished trial 'none' is in the results"),
        ([], "--again: no finished"),
    ],
)
def test_what_is_not_on_record_cannot_be_trained_again(trial, told, tmp_path, capsys):
    file, _ = begun(tmp_path, TWO)
    assert again(file, tmp_path / "empty", *trial) == 2
    assert told in capsys.readouterr().err
