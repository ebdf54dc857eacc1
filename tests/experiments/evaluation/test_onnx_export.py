"""The exported graph scores as the model does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from augment import Sequences
from experiments.cli.main import main
from experiments.errors import UsageError
from experiments.evaluation.onnx_export import export_onnx
from models.encoders import GRUConfig, SelfAttentionConfig
from models.recbole_plug import SASRec
from tests.models.tiny import build_model, cyclic_histories

LENGTH, ITEMS = 5, 9
ATTENTION = SelfAttentionConfig(dim=8, layers=1, heads=2, inner=8, max_length=LENGTH)


def built(encoder: Any = ATTENTION) -> SASRec:
    train = cyclic_histories(users=5, num_items=ITEMS, longest=LENGTH)
    model = build_model(encoder, [], train).eval()
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder", [ATTENTION, GRUConfig(8, 1, 0.5, LENGTH, hidden=8)], ids=["attention", "gru"]
)
def test_onnxruntime_gives_the_models_scores(encoder, tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package, reason="the extra `onnx` is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    model, path = built(encoder), tmp_path / "model.onnx"
    said = export_onnx(model, path)
    assert f"scores [batch, {ITEMS}]" in said
    items, lengths = np.zeros((7, LENGTH), dtype=np.int64), np.array([1, 5, 2, 3, 4, 5, 1])
    for row, length in enumerate(lengths):
        items[row, :length] = 1 + (row + np.arange(length)) % ITEMS
    session = runtime.InferenceSession(str(path))
    scores, states = session.run(["scores", "states"], {"items": items, "lengths": lengths})
    histories = Sequences(torch.from_numpy(items), torch.from_numpy(lengths))
    with torch.no_grad():
        np.testing.assert_allclose(scores, model.scores(histories)[:, 1:], atol=1e-5)
        np.testing.assert_allclose(states, model.represent(histories), atol=1e-5)


def test_a_model_without_embeddings_and_a_wrong_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must be named \*\.onnx"):
        export_onnx(built(), tmp_path / "model.npy")
    pytest.importorskip("onnxscript")
    with pytest.raises(UsageError, match="only this repository's own models"):
        export_onnx(torch.nn.Linear(1, 1), tmp_path / "model.onnx")


def test_a_missing_package_is_told_with_its_extra(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("experiments.evaluation.onnx_export.find_spec", lambda name: None)
    command = ["export", "run", "--what", "onnx", "--to", str(tmp_path / "m.onnx")]
    assert main(command) == 2
    told = capsys.readouterr().err
    assert "pip install -e '.[onnx]'" in told
    assert told.count("\n") == 1
