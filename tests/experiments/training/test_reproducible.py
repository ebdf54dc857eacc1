"""The same seed gives the same bits: in other processes, and with torch's deterministic kernels."""

from __future__ import annotations

import json
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
def test_two_processes_give_one_result(data: Path, tmp_path: Path) -> None:
    """A fresh interpreter, with other hashes of texts, and this one, which has computed before."""
    program = "import json, sys; from experiments.cli.main import main\n"
    program += "assert [main(command) for command in json.loads(sys.argv[1])] == [0, 0]"
    fields = {model: ["--model", model, "--epochs=2", *SMALL] for model in ("cl4srec", "iclrec")}
    place = ["train", "--dataset", "planted", "--data-dir", str(data)]
    commands = [[*place, "--out", str(tmp_path / name), *more] for name, more in fields.items()]
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    subprocess.run(
        [sys.executable, "-c", program, json.dumps(commands)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": seed},
        check=True,
        capture_output=True,
    )
    for model, more in fields.items():
        train(data, tmp_path / "here" / model, *more)
        assert_same_run(tmp_path / model, tmp_path / "here" / model)


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
