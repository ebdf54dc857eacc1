"""The learning rate over a run: its values, where it is used, and resuming with it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from experiments.cli.main import main
from experiments.config.run_config import (
    TrainConfig,
    config_from_tree,
    config_tree,
    settings_sha256,
)
from experiments.errors import UsageError
from experiments.training.optimizer import rate_at
from tests.experiments.small_data import FAST, planted, read_history, train, write_text

HIGHEST = 0.5
SCHEDULED = ("--model=sasrec", "--epochs=4", "--train.schedule=linear", *FAST)


def rates(schedule: str, warm_up: float, *passed: float) -> list[float]:
    config = config_from_tree(
        {"train": {"schedule": schedule, "warm_up": warm_up, "learning_rate": HIGHEST}}
    ).train
    return [rate_at(config, at, epochs=10) for at in passed]


def test_a_constant_rate_never_changes():
    assert rates("constant", 0.0, 0.0, 3.3, 10.0) == [HIGHEST] * 3


def test_the_line_ends_at_0():
    assert rates("linear", 0.0, 0.0, 2.5, 5.0, 10.0) == [0.5, 0.375, 0.25, 0.0]


def test_half_a_cosine_wave():
    expected = [HIGHEST * (1 + math.cos(math.pi * done)) / 2 for done in (0.0, 0.25, 0.5, 1.0)]
    assert rates("cosine", 0.0, 0.0, 2.5, 5.0, 10.0) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_the_warm_up_rises_to_the_highest_rate(schedule):
    assert rates(schedule, 2.0, 0.0, 0.5, 1.0, 2.0) == [0.0, 0.125, 0.25, HIGHEST]


def test_the_schedule_begins_after_the_warm_up():
    assert rates("linear", 2.0, 6.0) == [HIGHEST / 2]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"warm_up": -1.0}, "warm_up must be at least 0"),
        ({"warm_up": 10.0, "schedule": "linear"}, "warm_up must be less than epochs"),
        ({"schedule": "steps"}, "schedule"),
    ],
)
def test_impossible_schedules_are_refused(fields, told):
    with pytest.raises(UsageError, match=told):
        config_from_tree({"epochs": 10, "train": fields})


def test_training_uses_and_records_the_rate(tmp_path: Path):
    write_text(tmp_path, "planted", planted())
    train(tmp_path, tmp_path / "run", *SCHEDULED, "--train.warm_up=1", "--train.patience=9")
    used = [record["train/learning_rate"] for record in read_history(tmp_path / "run")]
    highest, last = 0.02, [epoch + 3 / 4 for epoch in range(4)]  # the last of four batches
    assert used == pytest.approx([highest * last[0], *(highest * (4 - at) / 3 for at in last[1:])])


def test_a_rate_of_0_leaves_the_weights_alone(tmp_path: Path):
    """As it is for as long as the warm-up of this run has not got anywhere."""
    write_text(tmp_path, "planted", planted())
    fields = ("--model=sasrec", "--epochs=2", "--train.warm_up=1e30", *FAST)
    train(tmp_path, tmp_path / "run", *fields)
    first, second = read_history(tmp_path / "run")
    assert first["valid/excluded/ndcg@10"] == second["valid/excluded/ndcg@10"]


def test_a_scheduled_run_is_not_given_more_epochs(tmp_path: Path, capsys):
    write_text(tmp_path, "planted", planted())
    train(tmp_path, tmp_path / "run", *SCHEDULED)
    again = ["train", "--out", str(tmp_path / "run"), "--resume"]
    assert main([*again, "--epochs=5"]) == 2
    assert "the learning rate falls to 0 at epoch 4" in capsys.readouterr().err
    assert main(again) == 0


def test_the_epochs_are_a_setting_of_a_scheduled_run():
    def sha256(schedule: str, epochs: int) -> str:
        tree = {"epochs": epochs, "train": {"schedule": schedule}}
        return settings_sha256(config_tree(config_from_tree(tree)))

    assert sha256("constant", 3) == sha256("constant", 4)
    assert sha256("linear", 3) != sha256("linear", 4)


def test_the_default_is_a_constant_rate():
    assert rate_at(TrainConfig(), 0.0, epochs=1) == TrainConfig().learning_rate
