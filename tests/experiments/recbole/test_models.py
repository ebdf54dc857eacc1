"""RecBole's own models run under our protocol, in our numbering, and write our record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from recbole.data import create_dataset, data_preparation
from recbole.trainer import Trainer

from experiments.cli.main import main
from experiments.config.resolve import resolve
from experiments.recbole.config import recbole_config, write_atomic_file
from experiments.recbole.models import RecBoleModel, sequential_models
from experiments.storage.checkpoint import load_weights
from experiments.training.run import Run, prepare
from tests.experiments.small_data import (
    HOSTED,
    RUN_FILES,
    histories_of,
    planted,
    read_history,
    read_json,
    train,
    write_text,
)

pytestmark = [  # RecBole's own, from its pandas and numpy code
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """planted.txt in a folder, and another, empty one to work in."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    write_text(tmp_path / "data", "planted", planted())
    return tmp_path / "data"


def reloaded(run: Path) -> Run:
    config, spec = resolve(run / "config.yaml", [])
    loaded = prepare(config, spec)
    load_weights(run / "model.safetensors", loaded.model)
    return loaded


@pytest.mark.parametrize("name", ["SASRec", "GRU4Rec"])
def test_a_hosted_model_writes_a_complete_run_and_nothing_elsewhere(name, data, tmp_path):
    out = tmp_path / "run"
    result = train(data, out, "--model", f"recbole:{name}", "--epochs", "1", *HOSTED)
    assert sorted(path.name for path in out.iterdir()) == RUN_FILES
    assert result["model"] == f"recbole:{name}"
    assert result["epochs"] == result["best_epoch"] == 1
    assert result["parameters"] > 0
    assert not list((tmp_path / "cwd").iterdir())


@pytest.mark.parametrize("name", ["SASRec", "GRU4Rec"])
def test_recboles_own_evaluation_of_a_hosted_model_equals_ours(name, data, tmp_path):
    out = tmp_path / "run"
    result = train(data, out, "--model", f"recbole:{name}", "--epochs", "2", *HOSTED)
    hosted = reloaded(out).model
    assert isinstance(hosted, RecBoleModel)

    write_atomic_file(histories_of(planted()), tmp_path, "given")
    config = recbole_config(name, tmp_path, "given", 8, {"eval_batch_size": 1000})
    _, _, test = data_preparation(config, create_dataset(config))
    theirs = Trainer(config, hosted.model).evaluate(test, load_best_model=False)

    ours = result["metrics"]["test"]["ranked"]
    assert 0 < ours["ndcg@5"] < 1
    assert {k.replace("hr", "hit"): v for k, v in ours.items()} == pytest.approx(theirs, abs=1e-6)


def test_a_hosted_model_learns_what_is_planted(data, tmp_path):
    arguments = ("--model", "recbole:GRU4Rec", "--epochs", "8", "--train.learning_rate=0.01")
    result = train(data, tmp_path / "run", *arguments, *HOSTED)
    assert result["metrics"]["test"]["excluded"]["hr@5"] > 0.95


def test_its_fields_are_recboles_and_are_kept(data, tmp_path):
    arguments = ("--model", "recbole:GRU4Rec", "--epochs", "1", "--recbole.embedding_size=8")
    train(data, tmp_path / "run", *arguments, *HOSTED)
    model = reloaded(tmp_path / "run").model
    assert model.model.item_embedding.weight.shape == (31, 8)


# BERT4Rec hides items at random: with Python's own generator, in RecBole
@pytest.mark.parametrize("name", ["GRU4Rec", "SASRec", "BERT4Rec"])
def test_a_seed_repeats_a_hosted_run(name, data, tmp_path):
    runs = [tmp_path / "a", tmp_path / "b"]
    for run in runs:
        train(data, run, "--model", f"recbole:{name}", "--epochs", "2", *HOSTED)
    first, second = (read_json(run / "result.json") for run in runs)
    assert first["metrics"] == second["metrics"]
    assert read_history(runs[0]) == read_history(runs[1])


def test_evaluate_reproduces_a_hosted_run(data, tmp_path, capsys):
    out = tmp_path / "run"
    result = train(data, out, "--model", "recbole:GRU4Rec", "--epochs", "1", *HOSTED)
    found = reloaded(out).evaluate("test")
    assert found.metrics() == result["metrics"]["test"]
    assert np.load(out / "ranks.npz")["ranked"].tolist() == found.ranked.tolist()


@pytest.mark.parametrize("name", sorted(sequential_models()))
def test_every_model_of_recbole_trains_or_is_refused_in_one_line(name, data, tmp_path, capsys):
    where = ["--dataset", "planted", "--data-dir", str(data), "--out", str(tmp_path / "run")]
    code = main(["train", "--model", f"recbole:{name}", "--epochs", "1", *where, *HOSTED])
    error = capsys.readouterr().err
    if code == 0:
        assert (tmp_path / "run" / "result.json").exists()
    else:
        assert code == 2
        assert error.startswith(f"error: model: recbole:{name}")
        assert error.count("\n") == 1
        assert not (tmp_path / "run").exists()
    assert not torch.is_anomaly_enabled()
    assert not list((tmp_path / "cwd").iterdir())


@pytest.mark.parametrize(
    ("model", "arguments", "told"),
    [
        ("recbole:BERT4Rek", [], "unknown 'BERT4Rek' (did you mean 'BERT4Rec'?)"),
        ("recbole:", [], "unknown ''"),
        ("recbole:BPR", [], "unknown 'BPR'"),
        ("recbole:GRU4Rec", ["--recbole.hidden_sise=8"], "(did you mean 'hidden_size'?)"),
        ("recbole:GRU4Rec", ["--recbole.data_path=/tmp"], "recbole.data_path: unknown"),
        ("recbole:GRU4Rec", ["--recbole.loss_type=BPR"], "trained on sampled negatives"),
        ("recbole:GRU4Rec", ["--examples", "windows"], "trains on prefixes only"),
        ("recbole:GRU4Rec", ["--encoder.dim=8"], "does not read this field"),
        ("recbole:GRU4Rec", ["--contrast.0.weight=1"], "does not read this field"),
        ("sasrec", ["--recbole.hidden_size=8"], "does not read this field"),
    ],
)
def test_what_a_hosted_model_cannot_do_is_told_in_one_line(
    model, arguments, told, data, tmp_path, capsys
):
    where = ["--dataset", "planted", "--data-dir", str(data), "--out", str(tmp_path / "run")]
    assert main(["train", "--model", model, *where, *arguments, "--track.mode=disabled"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert told in printed.err
    assert not (tmp_path / "run").exists()
