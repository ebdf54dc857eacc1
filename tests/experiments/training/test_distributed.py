"""Two processes that share every batch do what one process does with the whole of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.storage.files import REPOSITORY
from models.shard import Shard
from tests.experiments.small_data import (
    FAST,
    planted,
    read_history,
    read_json,
    train,
    write_text,
)

TASKS = (
    "augmented_views, {task: same_target, false_negatives: [user]}, dropout_views, "
    "{task: subsequence_intents, prototypes: 4}"
)
QUEUE = "learned_views, {task: same_user, momentum: 0.9, negatives: queue, queue_size: 64}"
AGAIN = "{task: learned_views, train_again: true}, {task: same_user, momentum: 0.9}"
"""A queue goes with no task that trains again."""
FIELDS = (
    *(*FAST, "--encoder.dropout=0", "--encoder.attention_dropout=0"),
    "--model=sasrec",
    *("--train.batch_size=13", "--train.diagnose_every=1", "--epochs=3"),
)
RUNS = {
    "prefixes": (*FIELDS, f"--contrast=[{TASKS}, {QUEUE}]", "--examples=prefixes"),
    "windows": (
        *(*FIELDS, f"--contrast=[{TASKS}, {AGAIN}]"),
        *("--examples=windows", "--train.clip_norm=0.05"),
    ),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_text(folder, "planted", planted(users=45))
    return folder


def train_together(data: Path, out: Path, *fields: str) -> str:
    """run.py by two processes, as torchrun starts them; what they print."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    place = ["--dataset=planted", f"--data-dir={data}"] * ("--resume" not in fields)
    done = subprocess.run(
        [*torchrun, "--nproc-per-node=2", "run.py", "train", f"--out={out}", *place, *fields],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def prefix(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run by two processes, and what they print."""
    out = tmp_path_factory.mktemp("together") / "prefixes"
    return out, train_together(data, out, *RUNS["prefixes"])


@given(rows=st.integers(1, 40), count=st.integers(1, 7))
def test_every_row_is_of_one_process(rows: int, count: int) -> None:
    parts = [range(rows)[Shard(rank, count).part(rows)] for rank in range(count)]
    assert [row for part in parts for row in part] == list(range(rows))


def assert_alike(one: Path, two: Path) -> None:
    """Every recorded loss, diagnosis, gradient norm and metric of three epochs."""
    histories = read_history(one), read_history(two)
    assert len(histories[0]) == len(histories[1]) == 3
    for alone, together in zip(*histories, strict=True):
        assert together.keys() == alone.keys()
        for key, value in alone.items():
            tips = key.endswith("/accuracy")  # two negatives may score alike to the last digit
            assert together[key] == pytest.approx(value, rel=2e-3, abs=0.02 if tips else 2e-4), key
    results = [read_json(run / "result.json") for run in (one, two)]
    assert results[0]["best_epoch"] == results[1]["best_epoch"]
    for split in ("valid", "test"):
        for rule, metrics in results[0]["metrics"][split].items():
            other = results[1]["metrics"][split][rule]
            assert other == pytest.approx(metrics, abs=0.05)  # a rank may tip at a tie


@pytest.mark.slow
def test_two_processes_have_the_losses_and_gradients_of_one_and_print_once(
    prefix: tuple[Path, str], data: Path, tmp_path: Path
) -> None:
    """45 rows in batches of 13 leave an odd last batch."""
    train(data, tmp_path / "one", *RUNS["prefixes"])
    assert_alike(tmp_path / "one", prefix[0])
    assert prefix[1].count("test, at the best epoch") == 1


@pytest.mark.slow
def test_a_run_of_two_processes_resumes(
    prefix: tuple[Path, str], data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    train_together(data, out, *RUNS["prefixes"], "--epochs=2")
    train_together(data, out, "--resume", "--epochs=3")
    assert read_history(out) == read_history(prefix[0])


@pytest.mark.slow
def test_two_processes_clip_the_gradient_of_the_whole_batch(data: Path, tmp_path: Path) -> None:
    """Also where a row is a window: all else is as of one process, too."""
    train(data, tmp_path / "one", *RUNS["windows"])
    train_together(data, tmp_path / "two", *RUNS["windows"])
    assert_alike(tmp_path / "one", tmp_path / "two")
