"""The averaged weights are those of the formula, are what is evaluated, and survive a stop."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from experiments.cli.main import main
from experiments.training.weight_average import WeightAverage
from tests.experiments.small_data import SMALL, planted, read_history, read_json, train, write_text
from tests.experiments.training.test_train import continued, stopping_at

EMA = ("--model=sasrec", *SMALL, "--epochs=3", "--train.ema=0.9", "--train.learning_rate=0.01")


def test_the_average_moves_as_the_formula_says_and_gives_the_weights_back() -> None:
    model = torch.nn.Linear(2, 1)
    average, expected = WeightAverage(model, 0.5), model.weight.detach().double().numpy().copy()
    for step in range(1, 21):
        with torch.no_grad():
            model.weight.add_(0.1 * step)
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach().double().numpy()
    weight = model.weight.detach().clone()
    with average.in_place():
        assert np.allclose(model.weight.detach().numpy(), expected, atol=1e-5)
    assert torch.equal(model.weight.detach(), weight)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_text(folder, "planted", planted())
    return folder


def test_training_is_the_same_and_the_average_is_what_is_evaluated_and_kept(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = [argument for argument in EMA if "ema" not in argument]
    train(data, tmp_path / "plain", *plain)
    result = train(data, tmp_path / "run", *EMA)
    one, other = read_history(tmp_path / "run"), read_history(tmp_path / "plain")
    assert [record["train/loss"] for record in one] == [record["train/loss"] for record in other]
    assert [r["valid/excluded/mrr@20"] for r in one] != [r["valid/excluded/mrr@20"] for r in other]
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert result["best_epoch"] == 3
    kept = load_file(tmp_path / "run" / "model.safetensors")
    for name, average in state["average"]["averages"].items():
        assert torch.equal(kept[name], average)
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    assert f'"ndcg@10": {result["metrics"]["test"]["excluded"]["ndcg@10"]}' in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize("file", ["state.pt", "model.safetensors"])
def test_a_run_that_was_interrupted_goes_on_with_its_average(
    file: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(data, tmp_path / "whole", *EMA)
    place = ["--dataset", "planted", "--data-dir", str(data), "--out", str(tmp_path / "parts")]
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stopping_at(file, 2))
        assert main(["train", *place, *EMA]) == 130
    assert continued(data, tmp_path / "parts") == 0
    whole, parts = (tmp_path / name for name in ("whole", "parts"))
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()
    metrics = [read_json(folder / "result.json")["metrics"] for folder in (whole, parts)]
    assert metrics[0] == metrics[1]
