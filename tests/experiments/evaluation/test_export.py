"""Exported vectors: the right row for the right id, complete or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.cli.main import main
from experiments.data.histories import Histories
from experiments.evaluation.export import export
from models.encoders import GRUConfig
from models.recbole_plug import SASRec
from tests.experiments.small_data import FAST, histories_of, planted, read_json, train, write_text
from tests.histories import padded
from tests.models.tiny import build_model, cyclic_histories

LENGTH = 4
USERS = [[3, 1, 2], [2, 4, 1, 5, 6, 3], [5, 6, 1, 2]]


@pytest.fixture
def histories() -> Histories:
    return histories_of(USERS)


@pytest.fixture
def model() -> SASRec:
    encoder = GRUConfig(8, 1, 0.5, LENGTH, hidden=8)
    return build_model(encoder, [], cyclic_histories(users=5, num_items=6, longest=5))


def rows(path: Path) -> dict[str, list[float]]:
    """id -> vector, from both files."""
    vectors = np.load(path)
    assert vectors.dtype == np.float32
    ids = path.with_name(f"{path.stem}.ids.txt").read_text().splitlines()
    return dict(zip(ids, vectors.tolist(), strict=True))


def test_an_items_row_is_its_embedding(model: SASRec, histories: Histories, tmp_path: Path) -> None:
    export(model, histories, "items", "all", LENGTH, tmp_path / "items.npy")
    found = rows(tmp_path / "items.npy")
    assert list(found) == ["1", "2", "3", "4", "5", "6"]
    for item, vector in found.items():
        assert vector == model.item_embedding.weight[int(item)].tolist()


@pytest.mark.parametrize(("read", "held_out"), [("all", 0), ("test", 1), ("valid", 2)])
def test_a_users_row_is_the_state_after_what_is_read(
    read, held_out, model: SASRec, histories: Histories, tmp_path: Path
) -> None:
    export(model, histories, "users", read, LENGTH, tmp_path / "users.npy")
    found = rows(tmp_path / "users.npy")
    assert list(found) == ["0", "1", "2"]
    for user, items in enumerate(USERS):
        known = items[: len(items) - held_out][-LENGTH:]
        expected = model.eval().represent(padded([known]))[0]
        assert found[str(user)] == pytest.approx(expected.tolist(), abs=1e-6)


def test_a_score_is_the_dot_product_of_two_exported_rows(
    model: SASRec, histories: Histories, tmp_path: Path
) -> None:
    for what in ("items", "users"):
        export(model, histories, what, "all", LENGTH, tmp_path / f"{what}.npy")  # type: ignore[arg-type]
    users, items = np.load(tmp_path / "users.npy"), np.load(tmp_path / "items.npy")
    with torch.no_grad():
        scores = model.eval().scores(padded([some[-LENGTH:] for some in USERS]))[:, 1:]
    np.testing.assert_allclose(users @ items.T, scores.numpy(), atol=1e-6)


def test_a_run_is_exported_and_its_items_are_features_again(tmp_path: Path, capsys) -> None:
    write_text(tmp_path / "data", "planted", planted())
    run, items = tmp_path / "run", tmp_path / "out" / "items.npy"
    train(tmp_path / "data", run, "--model", "sasrec", "--epochs", "1", *FAST)
    command = ["export", str(run), "--what", "items", "--to", str(items)]
    assert main(command) == 0
    assert f"30 items x 16 -> {items}" in capsys.readouterr().out
    assert main(command) == 0  # the same again
    assert main(["export", str(run), "--what", "users", "--to", str(items)]) == 2
    assert "already there with different content: choose another --to" in capsys.readouterr().err
    assert main([*command, "--read", "test"]) == 2
    assert "--read: goes with --what users" in capsys.readouterr().err
    assert len(rows(items)) == 30
    assert len(list(items.parent.iterdir())) == 2

    aligned = ("--model", "alignment", f"--contrast.0.features={items}", "--epochs", "1")
    train(tmp_path / "data", tmp_path / "aligned", *aligned, *FAST)
    assert "contrast/alignment/accuracy" in (tmp_path / "aligned" / "history.jsonl").read_text()
    assert main(["evaluate", str(tmp_path / "aligned")]) == 0


@pytest.mark.parametrize("model", ["same-user", "two-tower"])
def test_a_preset_trains_and_evaluates_to_the_same_numbers(model, tmp_path: Path, capsys) -> None:
    write_text(tmp_path / "data", "planted", planted())
    train(tmp_path / "data", tmp_path / "run", "--model", model, "--epochs", "2", *FAST)
    expected = read_json(tmp_path / "run" / "result.json")["metrics"]["test"]["ranked"]["ndcg@10"]
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert f"{expected:.4f}" in capsys.readouterr().out


def test_a_baseline_has_nothing_to_export(tmp_path: Path, capsys) -> None:
    write_text(tmp_path / "data", "planted", planted())
    run = tmp_path / "run"
    train(tmp_path / "data", run, "--model", "popularity", "--track.mode=disabled")
    assert main(["export", str(run), "--what", "items", "--to", str(tmp_path / "a.npy")]) == 2
    assert "only this repository's own models" in capsys.readouterr().err
    assert not (tmp_path / "a.npy").exists()


def test_missing_features_are_told_in_one_line_and_leave_nothing(tmp_path: Path, capsys) -> None:
    data = write_text(tmp_path / "data", "planted", planted()).parent
    where = ["--dataset", "planted", "--data-dir", str(data), "--out", str(tmp_path / "run")]
    assert main(["train", "--model", "alignment", *where, *FAST]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: contrast.alignment.features: planted brings no item features")
    assert told.count("\n") == 1
    assert not (tmp_path / "run").exists()
