"""The same seed gives the same bits: in other processes, and with torch's deterministic kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from experiments.storage.files import REPOSITORY
from tests.experiments.small_data import SMALL, planted, train, write_text
from tests.experiments.training.test_train import assert_same_run

LAZY = ("--train.lazy_rows=true", "--next_item={loss: sampled_softmax, negatives: 20}")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_text(folder, "planted", planted())
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("model", ["cl4srec", "iclrec"])
def test_two_processes_give_one_result(model: str, data: Path, tmp_path: Path) -> None:
    """Fresh interpreters, whose hashes of texts differ, and this one, which has computed before."""
    fields = ("--model", model, "--epochs", "2", *SMALL)
    for seed in ("1", "2"):
        place = ["--dataset", "planted", "--data-dir", str(data), "--out", str(tmp_path / seed)]
        subprocess.run(
            [sys.executable, "run.py", "train", *place, *fields],
            cwd=REPOSITORY,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        )
    train(data, tmp_path / "here", *fields)
    assert_same_run(tmp_path / "1", tmp_path / "2")
    assert_same_run(tmp_path / "1", tmp_path / "here")


@pytest.mark.filterwarnings("ignore:clusters. ")  # fewer users than intents
@pytest.mark.parametrize(
    "fields",
    [
        ("--model=sasrec",),
        ("--model=cl4srec",),
        ("--model=cl4srec", "--examples=windows"),
        ("--model=cl4srec", "--encoder.kind=gru", "--encoder.dim=16", "--encoder.max_length=8"),
        ("--model=duorec",),
        ("--model=iclrec",),
        ("--model=two-tower", "--train.clip_norm=1"),
        ("--model=cl4srec", *LAZY),
    ],
    ids=" ".join,
)
def test_deterministic_algorithms_change_nothing_on_a_cpu(
    fields: tuple[str, ...], data: Path, tmp_path: Path
) -> None:
    inner = [field for field in SMALL if "gru" not in str(fields) or not is_of_attention(field)]
    train(data, tmp_path / "ordinary", *inner, *fields, "--epochs=2")
    torch.use_deterministic_algorithms(True)
    try:
        train(data, tmp_path / "deterministic", *inner, *fields, "--epochs=2")
    finally:
        torch.use_deterministic_algorithms(False)
    assert_same_run(tmp_path / "ordinary", tmp_path / "deterministic")


def is_of_attention(field: str) -> bool:
    return field.startswith(("--encoder.inner", "--encoder.layers"))
