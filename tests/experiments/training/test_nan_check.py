"""Numbers that are not finite stop a training; extremes of fields and data are defined."""

from __future__ import annotations

import math
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from torch import Generator

from experiments.cli.main import main
from experiments.config.resolve import resolve
from experiments.storage.checkpoint import load_state
from experiments.training.nan_check import batch_sha256
from experiments.training.run import prepare
from models.host import Losses
from models.recbole_plug import SASRec
from models.tasks import Batch
from tests.experiments.small_data import (
    HOSTED,
    SMALL,
    Users,
    planted,
    read_history,
    read_json,
    train,
    write_text,
)

BATCHES = 4  # of an epoch
STEP = 6  # the third batch of the second epoch
LAST = 7  # its last batch
PRESETS = (
    *("sasrec", "sasrec-bce", "cl4srec", "duorec", "iclrec", "coserec", "same-user", "two-tower"),
    "augment-only",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_text(folder, "planted", planted())
    for name, users in ODD.items():
        write_text(folder, name, users)
    return folder


def start(data: Path, out: Path, *fields: str, dataset: str = "planted") -> int:
    place = ["--dataset", dataset, "--data-dir", str(data), "--out", str(out)]
    return main(["train", *place, *SMALL, *fields])


def spoiled(step: int, kind: str) -> Any:
    """SASRec.losses, but a loss is infinite, or its gradient is not a number, at one step."""
    ordinary, calls = SASRec.losses, list[Batch]()

    def losses(self: SASRec, batch: Batch, rng: Generator, diagnose: bool = False) -> Losses:
        found = ordinary(self, batch, rng, diagnose)
        calls.append(batch)
        if len(calls) != step + 1:
            return found
        if kind == "loss":
            return Losses(found.total * math.inf, {}, {"train/loss": torch.tensor(math.inf)})
        zero = (self.item_embedding.weight * 0.0).sum().abs().sqrt()  # its gradient is nan
        return Losses(found.total + zero, {}, {"train/loss": found.total.detach()})

    return losses


# where and what ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "step", "fields", "told"),
    [
        ("loss", STEP, (), "the loss is inf in epoch 2, batch 2 (step 6, sha256 "),
        ("gradient", STEP, (), "the loss is nan in epoch 2, batch 3 (step 7, sha256 "),
        ("gradient", LAST, (), "is not finite after epoch 2, batch 3 (step 7, sha256 "),
        ("gradient", LAST, ("--train.clip_norm=1",), "the gradient's norm is nan in epoch 2, batch "
                                                     "3 (step 7, sha256 "),
    ],
)  # fmt: skip
def test_what_is_not_finite_is_told_with_its_place_and_the_last_whole_epoch_stays(
    kind, step, fields, told, data: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    out = tmp_path / "run"
    monkeypatch.setattr(SASRec, "losses", spoiled(step, kind))
    assert start(data, out, "--model=sasrec", *fields) == 1
    error = capsys.readouterr().err
    assert error.startswith("failed: ")
    assert error.count("\n") == 1
    assert told in error
    assert "try a smaller train.learning_rate, train.clip_norm=1, or a larger temp" in error
    state = load_state(out / "state.pt")
    assert state["epoch"] == 1
    assert all(value.isfinite().all() for value in state["model"].values())
    assert [record["epoch"] for record in read_history(out)] == [1]
    assert "the checkpoint of the last whole epoch is kept" in error
    assert main(["evaluate", str(out)]) == 0


def test_before_the_first_epoch_is_whole_no_checkpoint_is_promised(
    data: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(SASRec, "losses", spoiled(1, "loss"))
    assert start(data, tmp_path / "run", "--model=sasrec") == 1
    assert "checkpoint" not in capsys.readouterr().err


def test_the_batch_that_is_told_can_be_found_again(
    data: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(SASRec, "losses", spoiled(STEP, "loss"))
    assert start(data, tmp_path / "run", "--model=sasrec") == 1
    found = re.search(r"epoch (\d+), batch (\d+) .*sha256 (\w+)\)", capsys.readouterr().err)
    assert found is not None
    epoch, number, sha256 = found.groups()
    run = prepare(*resolve(tmp_path / "run" / "config.yaml", []))
    hashes = [batch_sha256(batch)[:12] for batch in run.batches.epoch(int(epoch))]
    assert len(set(hashes)) == BATCHES
    assert hashes[int(number)] == sha256


def test_a_score_that_is_not_finite_is_told_with_its_epoch(
    data: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    ordinary, calls = SASRec.score_blocks, list[int]()

    def score_blocks(self: SASRec, histories: Any, rows: int) -> Any:
        calls.append(rows)
        for scores in ordinary(self, histories, rows):
            yield scores * (math.inf if len(calls) == 2 else 1.0)

    monkeypatch.setattr(SASRec, "score_blocks", score_blocks)
    out = tmp_path / "run"
    assert start(data, out, "--model=sasrec") == 1
    assert "after epoch 2 (step 8): a score is not finite" in capsys.readouterr().err
    assert [record["epoch"] for record in read_history(out)] == [1]
    assert main(["evaluate", str(out)]) == 0


# extremes ---------------------------------------------------------------------------------------


def with_repeats(users: Users) -> Users:
    """One interaction in ten comes twice."""
    pick = Random(0)
    return [[item for i in items for item in [i] * (1 + (pick.random() < 0.1))] for items in users]


ODD: dict[str, Users] = {
    "one-item": [[1] * length for length in (3, 4, 5, 6, 7, 8, 5, 5)],
    "one-user": [[1, 2, 3, 4, 5]],
    "identical": [[1, 2, 3, 4, 5, 6]] * 40,
    "repeated": with_repeats(planted()),
    "threes": [items[:3] for items in planted()],
}
KINDS = [name for name in ODD if name != "threes"]
EXAMPLES = ("prefixes", "windows")
COVERING = [  # every model with every kind of data, of which half are of each examples
    (model, EXAMPLES[(place + kind) % 2], name)
    for place, model in enumerate(PRESETS)
    for kind, name in enumerate(KINDS)
]


def assert_finite(out: Path) -> None:
    """Every number of the record; metrics lie between 0 and 1."""
    assert all(math.isfinite(value) for record in read_history(out) for value in record.values())
    for split in read_json(out / "result.json")["metrics"].values():
        assert all(0 <= value <= 1 for rule in split.values() for value in rule.values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:clusters. ")  # fewer users than intents
@pytest.mark.parametrize(("model", "examples", "dataset"), COVERING)
def test_odd_data_are_trained_on_or_refused_in_one_line(
    model: str, examples: str, dataset: str, data: Path, tmp_path: Path, capsys
) -> None:
    fields = (f"--model={model}", f"--examples={examples}", "--epochs=2")
    code = start(data, tmp_path / "run", *fields, dataset=dataset)
    if (model, dataset) == ("sasrec-bce", "one-item"):
        assert code == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {data}/one-item.txt: negatives")
        assert error.count("\n") == 1
        assert not (tmp_path / "run").exists()
    else:
        assert code == 0
        assert_finite(tmp_path / "run")


@pytest.mark.parametrize("model", [*PRESETS, "recbole:SASRec"])
def test_histories_of_three_leave_nothing_to_train_on(
    model: str, data: Path, tmp_path: Path, capsys
) -> None:
    out = ["--out", str(tmp_path / "run"), "--track.mode=disabled"]
    place = ["--dataset", "threes", "--data-dir", str(data), *out]
    assert main(["train", "--model", model, *place]) == 2
    error = capsys.readouterr().err
    assert "threes.txt: nothing to train on: no user has four interactions" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("model", ["popularity", "repeat-last"])
@pytest.mark.parametrize("dataset", ODD)
def test_a_baseline_counts_on_any_data(model: str, dataset: str, data: Path, tmp_path: Path):
    fields = ("--model", model, "--track.mode=disabled")
    train(data, tmp_path / "run", *fields, dataset=dataset)
    result = read_json(tmp_path / "run" / "result.json")["metrics"]["test"]
    assert all(0 <= value <= 1 for rule in result.values() for value in rule.values())


@pytest.mark.parametrize("dataset", ["one-item", "one-user", "identical", "repeated"])
def test_a_hosted_model_trains_on_odd_data(dataset: str, data: Path, tmp_path: Path) -> None:
    fields = ("--model=recbole:SASRec", "--epochs=1")
    train(data, tmp_path / "run", *HOSTED, *fields, dataset=dataset)
    assert_finite(tmp_path / "run")


@pytest.mark.filterwarnings("ignore:clusters. ")
@pytest.mark.parametrize("model", PRESETS)
def test_a_batch_may_be_of_one_history(model: str, tmp_path: Path) -> None:
    write_text(tmp_path, "few", planted(4))
    fields = ("--model", model, *SMALL, "--epochs=2", "--train.batch_size=1")
    train(tmp_path, tmp_path / "run", *fields, dataset="few")
    assert_finite(tmp_path / "run")


@pytest.mark.parametrize("temperature", ["0.001", "100"])
@pytest.mark.parametrize(
    ("model", "similarity"),
    [("cl4srec", "dot"), ("cl4srec", "cosine"), ("duorec", "dot"), ("same-user", "cosine"),
     ("two-tower", "dot"), ("iclrec", "cosine")],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:clusters. ")
def test_extreme_temperatures_train_to_finite_numbers(
    model: str, similarity: str, temperature: str, data: Path, tmp_path: Path
) -> None:
    fields = [
        f"--contrast.0.{f}" for f in (f"temperature={temperature}", f"similarity={similarity}")
    ]
    train(data, tmp_path / "run", f"--model={model}", *SMALL, "--epochs=2", *fields,
          "--train.learning_rate=0.02")  # fmt: skip
    assert_finite(tmp_path / "run")
