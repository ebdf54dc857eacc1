"""A training that is told to stop keeps its last whole epoch and says how to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import experiments.training.run as training
from experiments.cli.main import main
from experiments.storage.files import REPOSITORY
from tests.experiments.small_data import FAST, planted, read_history, train, write_text
from tests.experiments.tracking.wandb_reader import read_records
from tests.experiments.training.test_train import assert_same_run

FIELDS = ("--model=cl4srec", "--epochs=3", *FAST)
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
STEP = 7  # the third of the second epoch


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_text(folder / "data", "planted", planted())
    train(folder / "data", folder / "whole", *FIELDS)
    return folder


def start(runs: Path, out: Path, *fields: str) -> int:
    place = ["--dataset", "planted", "--data-dir", str(runs / "data"), "--out", str(out)]
    return main(["train", *place, *FIELDS, *fields])


def signalled(number: signal.Signals) -> Callable[..., None]:
    """Tensor.backward, of which there is one a batch; a signal arrives in the second epoch."""
    ordinary, calls = torch.Tensor.backward, list[None]()

    def backward(*given: Any, **more: Any) -> None:
        calls.append(None)
        if len(calls) == STEP:
            signal.raise_signal(number)
        ordinary(*given, **more)

    return backward


@contextmanager
def default_handler(number: signal.Signals) -> Iterator[Any]:
    """As a shell starts a command, even where these tests run under nohup."""
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, usual)
    try:
        yield usual
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", CODES)
def test_a_signal_ends_with_its_code_and_the_command_that_goes_on(
    number: signal.Signals, runs: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    out = tmp_path / "my run"
    with monkeypatch.context() as patch, default_handler(number) as before:
        patch.setattr(torch.Tensor, "backward", signalled(number))
        assert start(runs, out) == CODES[number]
        assert signal.getsignal(number) is before
    command = f"python run.py train --out '{out}' --resume"
    expected = f"interrupted: {number.name}; continue with `{command}`\n"
    assert capsys.readouterr().err == expected
    assert [record["epoch"] for record in read_history(out)] == [1]
    assert main(["train", "--out", str(out), "--resume"]) == 0
    assert_same_run(out, runs / "whole")


def test_a_signal_before_there_is_a_run_leaves_nothing(
    runs: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    def told(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(training, "load", told)
    assert start(runs, tmp_path / "run") == 143
    assert capsys.readouterr().err == "interrupted: SIGTERM; nothing was written yet\n"
    assert not (tmp_path / "run").exists()


def test_a_signal_that_is_ignored_stays_ignored(runs: Path, tmp_path: Path, monkeypatch) -> None:
    """As nohup has it."""
    monkeypatch.setattr(torch.Tensor, "backward", signalled(signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert start(runs, tmp_path / "run") == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_stopped_run_is_marked_as_failed_where_it_is_tracked(
    runs: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(torch.Tensor, "backward", signalled(signal.SIGTERM))
    assert start(runs, tmp_path / "run", "--track.mode=offline") == 143
    assert read_records(tmp_path / "run")[-1]["exit"]["exit_code"] == 1


def test_plugins_are_in_the_command_that_goes_on(
    runs: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text("OPERATORS = {}\n")
    monkeypatch.setattr(torch.Tensor, "backward", signalled(signal.SIGINT))
    with default_handler(signal.SIGINT):
        assert start(runs, tmp_path / "run", "--plugin", str(plugin)) == 130
    assert f"--resume --plugin {plugin}`" in capsys.readouterr().err


def waiting(where: str) -> str:
    """A program that trains, says when it is in the midst of the second epoch, and waits there.

    where: what it does when the first signal stops it there.
    """
    return (
        "import os, sys, time, torch\n"
        "import experiments.tracking.tracker as track\n"
        "from experiments.cli.main import main\n"
        "ordinary, calls = torch.Tensor.backward, []\n"
        "def backward(*given, **more):\n"
        "    calls.append(1)\n"
        f"    if len(calls) == {STEP}:\n"
        "        os.write(2, b'waiting\\n')\n"  # in one piece: another process writes, too
        "        time.sleep(60)\n"
        "    ordinary(*given, **more)\n"
        "torch.Tensor.backward = backward\n"
        "def finish(self, exit_code=0):\n"
        f"    {where}\n"
        "track.Tracker.finish = finish\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )


@pytest.mark.slow
def test_a_second_signal_ends_at_once(runs: Path, tmp_path: Path) -> None:
    place = ["--dataset", "planted", "--data-dir", str(runs / "data"), "--out", str(tmp_path / "a")]
    told = "print('finishing', file=sys.stderr, flush=True); time.sleep(60)"
    command = [sys.executable, "-c", waiting(told), "train", *place, *FIELDS]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in ("waiting\n", "finishing\n"):
            assert process.stderr.readline() == line
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == -signal.SIGTERM
    assert [record["epoch"] for record in read_history(tmp_path / "a")] == [1]


@pytest.mark.slow
def test_the_first_of_several_processes_says_how_to_go_on(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    script = tmp_path / "train.py"
    script.write_text(waiting("return None"))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    place = ["--dataset", "planted", "--data-dir", str(runs / "data"), "--out", str(out)]
    command = [*torchrun, "--nproc-per-node=2", str(script), "train", *place, *FIELDS]
    path = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=path, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        lines: list[str] = []
        while lines.count("waiting\n") < 2:
            lines.append(process.stderr.readline())
            assert lines[-1], f"it ended before: {''.join(lines)}"
        process.send_signal(signal.SIGTERM)
        error = process.communicate(timeout=60)[1]
        assert process.returncode != 0
    again = f"torchrun --nproc-per-node=2 run.py train --out {out} --resume"
    assert error.count("interrupted: ") == 1
    assert f"interrupted: SIGTERM; continue with `{again}`" in error
    assert [record["epoch"] for record in read_history(out)] == [1]
