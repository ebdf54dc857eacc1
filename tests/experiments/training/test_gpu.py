"""What is promised of a GPU; skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Generator

from experiments.config.resolve import resolve
from experiments.training.optimizer import Optimizer
from experiments.training.run import prepare
from tests.experiments.small_data import FAST, planted, read_history, train, write_text

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("examples", ["prefixes", "windows"])
def test_a_step_never_waits(examples: str, tmp_path: Path) -> None:
    write_text(tmp_path, "planted", planted())
    fields = [("model", "cl4srec"), ("dataset", "planted"), ("data_dir", str(tmp_path))]
    config, spec = resolve(None, [*fields, ("examples", examples), ("train.device", "cuda")])
    run = prepare(config, spec)
    optimizer, batches = Optimizer(run.model, config.train), run.batches.epoch(1)
    rng = Generator(device="cuda").manual_seed(0)
    optimizer.descend(run.model.losses(next(batches), rng).total)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches:
            optimizer.descend(run.model.losses(batch, rng).total)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("examples", ["prefixes", "windows"])
@pytest.mark.parametrize("model", ["sasrec", "sasrec-bce", "coserec", "duorec", "iclrec"])
def test_a_run_is_repeated_digit_by_digit(model: str, examples: str, tmp_path: Path) -> None:
    data = write_text(tmp_path, "planted", planted()).parent
    fields = [*FAST, f"--examples={examples}", "--model", model, "--train.device=cuda"]
    results = [train(data, tmp_path / name, *fields) for name in ("once", "again")]
    assert results[0]["metrics"] == results[1]["metrics"]
    assert read_history(tmp_path / "once") == read_history(tmp_path / "again")


def test_the_losses_are_those_of_a_cpu(tmp_path: Path) -> None:
    data = write_text(tmp_path, "planted", planted()).parent
    still = ["--encoder.dropout=0", "--encoder.attention_dropout=0", "--model", "sasrec"]
    for device in ("cpu", "cuda"):
        train(data, tmp_path / device, *FAST, *still, f"--train.device={device}")
    losses = [
        [record["train/loss"] for record in read_history(tmp_path / device)]
        for device in ("cpu", "cuda")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
