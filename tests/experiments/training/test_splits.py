"""Runs under every split: what they record is what the commands say of them again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.cli.main import main
from experiments.config.resolve import resolve
from experiments.data.catalogue import load
from experiments.data.splits.held_out import train_split
from experiments.evaluation.ranking import metrics
from experiments.recbole.models import RecBoleModel
from experiments.record.from_run import finished_line
from experiments.record.line import parse
from experiments.report.pairs import ndcg
from experiments.storage.run_folder import RunFolder
from tests.experiments.small_data import FAST, planted, read_json, train, write_timed

SPLITS = {
    "time": ("--split=temporal", "--split.quantile=0.8", "--split.validation_quantile=0.8"),
    "successive": (
        "--split.kind=temporal",
        "--split.quantile=0.55",
        "--split.validation=users",
        "--split.target=successive",
    ),
    "all": (
        "--split.kind=temporal",
        "--split.quantile=0.55",
        "--split.validation=last_train_item",
        "--split.target=all",
    ),
    "files": ("--split.kind=files",),
}
ABOUT = {
    "study": "s", "question": "", "trial": "t", "variant": "v", "axes": {}, "baseline": None,
    "command": "x", "dataset": "planted", "model": "sasrec", "seed": 0,
}  # fmt: skip


@pytest.fixture(scope="module", params=SPLITS)
def split(request, tmp_path_factory) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def run(split: str, tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp(split)
    write_timed(folder, planted())
    train(folder, folder / "run", "--model=sasrec", *FAST, "--epochs=2", *SPLITS[split])
    return folder / "run"


def test_the_ranks_say_whose_they_are_and_give_the_metrics(split: str, run: Path) -> None:
    result = read_json(run / "result.json")
    ranks = np.load(run / "ranks.npz")
    assert len(ranks["user_ids"]) == len(ranks["excluded"]) == result["targets"]["test"]
    assert len(set(ranks["user_ids"].tolist())) == result["users"]
    assert result["split"]["test_targets"] == result["targets"]["test"]
    several = result["targets"]["test"] > result["users"]
    assert several == (split in ("successive", "all"))
    for rule in ("excluded", "ranked"):
        assert metrics(ranks[rule]) == result["metrics"]["test"][rule]


@pytest.mark.parametrize("part", ["valid", "test"])
def test_evaluate_says_the_same_again(run: Path, part: str, capsys) -> None:
    assert main(["evaluate", str(run), "--split", part, "--json"]) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])[part]
    assert again == read_json(run / "result.json")["metrics"][part]


def test_more_epochs_go_on_from_where_the_run_stood(run: Path, tmp_path: Path) -> None:
    assert main(["train", "--resume", "--out", str(run), "--epochs=3"]) == 0
    arguments = ["--config", str(run / "config.yaml"), "--out", str(tmp_path / "whole")]
    assert main(["train", *arguments]) == 0
    whole, resumed = (read_json(p / "result.json") for p in (tmp_path / "whole", run))
    assert whole["metrics"] == resumed["metrics"]


def test_states_of_users_are_exported_with_their_ids(run: Path, tmp_path: Path) -> None:
    for read in ("valid", "test", "all"):
        to = tmp_path / f"{read}.npy"
        given = ["--what", "users", "--read", read, "--to", str(to)]
        assert main(["export", str(run), *given]) == 0
        ids = to.with_suffix(".ids.txt").read_text().split()
        assert len(np.load(to)) == len(ids) == len(set(ids))


def test_a_line_of_the_results_has_its_split_and_the_gains_of_each_user(
    split: str, run: Path
) -> None:
    line = parse(json.dumps(finished_line(RunFolder(run), ABOUT)), "here")
    words = {
        "time": "temporal, last, quantile=0.8, validation_quantile=0.8",
        "successive": "temporal, successive, quantile=0.55, validation=users",
        "all": "temporal, all, quantile=0.55, validation=last_train_item",
        "files": "files, successive",
    }
    assert line.place == f"planted ({words[split]})"
    gains = ndcg(line, {})
    assert len(gains) == line.values["users"]
    assert gains.mean() == pytest.approx(line.values["test/excluded/ndcg@10"])


def test_the_subgroups_count_every_target_once(run: Path) -> None:
    result = read_json(run / "result.json")
    for groups in result["groups"].values():
        assert sum(group["users"] for group in groups) == result["targets"]["test"]


def test_recboles_models_are_trained_on_the_training_part_alone(tmp_path: Path) -> None:
    write_timed(tmp_path, planted())
    fields = [
        ("split.kind", "temporal"),
        ("split.quantile", 0.8),
        ("split.validation_quantile", 0.8),
    ]
    where = [("model", "recbole:SASRec"), ("dataset", "planted"), ("data_dir", str(tmp_path))]
    config, spec = resolve(None, [*where, *fields, ("recbole.hidden_size", 8)])
    histories = load(spec, split=config.split)
    hosted = RecBoleModel.build(config, histories, torch.device("cpu"))
    train_part = train_split(histories)
    targets = np.delete(train_part.items.numpy(), train_part.offsets.numpy()[:-1])
    trained_on = hosted.dataset.inter_feat["item_id"].tolist()
    assert sorted(trained_on) == sorted(hosted.item_number[targets].tolist())
    assert len(hosted.item_number) == histories.num_items + 1
