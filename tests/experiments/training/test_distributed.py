"""Two processes that share every batch do what one process does with the whole of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.storage.files import REPOSITORY
from models.shard import Shard
from tests.experiments.small_data import FAST, planted, read_history, train, write_text

TASKS = "[augmented_views, {task: same_target, false_negatives: [user]}, dropout_views]"
NO_DROPOUT = ("--encoder.dropout=0", "--encoder.attention_dropout=0")


def train_together(processes: int, data: Path, out: Path, *arguments: str) -> str:
    """run.py under torchrun; what the first process printed."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, f"--nproc-per-node={processes}", "run.py", "train"]
    where = ["--dataset", "planted", "--data-dir", str(data), "--out", str(out)]
    done = subprocess.run(
        [*command, *where, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@given(rows=st.integers(1, 40), count=st.integers(1, 7))
def test_every_row_is_of_one_process(rows: int, count: int) -> None:
    parts = [range(rows)[Shard(rank, count).part(rows)] for rank in range(count)]
    assert [row for part in parts for row in part] == list(range(rows))


@pytest.mark.slow
@pytest.mark.parametrize("examples", ["prefixes", "windows"])
def test_two_processes_have_the_losses_and_gradients_of_one(examples: str, tmp_path: Path) -> None:
    """Every recorded loss, diagnosis, gradient norm and metric of three epochs; 45 rows in
    batches of 13 leave an odd last batch."""
    data = tmp_path / "data"
    write_text(data, "planted", planted(users=45))
    arguments = (
        *(*FAST, *NO_DROPOUT, f"--examples={examples}", "--train.batch_size=13"),
        *("--model=sasrec", f"--contrast={TASKS}", "--epochs=3", "--train.diagnose_every=1"),
    )
    train(data, tmp_path / "one", *arguments)
    printed = train_together(2, data, tmp_path / "two", *arguments)
    assert printed.count("test, at the best epoch") == 1
    one, two = read_history(tmp_path / "one"), read_history(tmp_path / "two")
    assert len(one) == len(two) == 3
    for alone, together in zip(one, two, strict=True):
        assert together.keys() == alone.keys()
        for key, value in alone.items():
            tips = key.endswith("/accuracy")  # two negatives may score alike to the last digit
            assert together[key] == pytest.approx(value, rel=2e-3, abs=0.02 if tips else 2e-4), key
    results = [json.loads((tmp_path / run / "result.json").read_text()) for run in ("one", "two")]
    assert results[0]["best_epoch"] == results[1]["best_epoch"]
    for split in ("valid", "test"):
        for rule, metrics in results[0]["metrics"][split].items():
            other = results[1]["metrics"][split][rule]
            assert other == pytest.approx(metrics, abs=0.05)  # a rank may tip at a tie


@pytest.mark.slow
def test_a_run_of_two_processes_resumes(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "run"
    write_text(data, "planted", planted())
    train_together(2, data, out, *FAST, "--model=cl4srec", "--epochs=2")
    whole = tmp_path / "whole"
    train_together(2, data, whole, *FAST, "--model=cl4srec", "--epochs=3")
    resumed = ["--out", str(out), "--resume", "--epochs=3"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*torchrun, "--nproc-per-node=2", "run.py", "train", *resumed],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert read_history(out) == read_history(whole)
