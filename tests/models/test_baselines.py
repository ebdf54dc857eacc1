"""Popularity counts; repeat-last looks back."""

from __future__ import annotations

import torch

from augment import TrainHistories
from models.baselines import BASELINES, Popularity, RepeatLast
from tests.histories import padded

TRAIN = TrainHistories(  # user 0: 1 2 2, user 1: 2 4; item 5 occurs nowhere
    torch.tensor([1, 2, 2, 2, 4]), torch.tensor([0, 3, 5]), num_items=5
)


def test_popularity_counts_training_interactions_and_is_the_same_for_everybody() -> None:
    scores = Popularity(TRAIN).scores(padded([[4, 1], [5]]))
    assert scores.tolist() == [[0, 1, 3, 0, 1, 0]] * 2


def test_repeat_last_ranks_a_history_latest_first_and_ties_the_rest() -> None:
    scores = RepeatLast(TRAIN).scores(padded([[3, 1, 4], [2]], width=5))
    assert scores[0, 1:].tolist() == [2, 0, 1, 3, 0]
    assert scores[1, 1:].tolist() == [0, 1, 0, 0, 0]


def test_repeat_last_takes_an_item_at_its_latest_place() -> None:
    scores = RepeatLast(TRAIN).scores(padded([[2, 3, 2, 1]]))
    assert scores[0, 1:].tolist() == [4, 3, 2, 0, 0]


def test_repeat_last_does_not_depend_on_padding() -> None:
    model = RepeatLast(TRAIN)
    narrow, wide = model.scores(padded([[3, 1]])), model.scores(padded([[3, 1]], width=9))
    assert torch.equal(narrow[:, 1:], wide[:, 1:])


def test_every_baseline_scores_each_item_for_each_history() -> None:
    for kind in BASELINES.values():
        scores = kind(TRAIN).scores(padded([[1, 2], [3], [5]]))
        assert scores.shape == (3, 6)
        assert not list(kind(TRAIN).parameters())
