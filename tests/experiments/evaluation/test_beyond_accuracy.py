"""Coverage, popularity and novelty against RecBole's metrics and against plain loops."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recbole.evaluator.metrics import AveragePopularity, ItemCoverage

from experiments.data.histories import READ, TEST, TRAIN, VALID
from experiments.evaluation.beyond_accuracy import beyond_metrics, train_counts
from experiments.evaluation.ranking import EvaluationOptions, evaluate
from experiments.evaluation.scores import UserVectors
from experiments.recbole.config import recbole_config
from tests.experiments.small_data import histories_of

CPU = torch.device("cpu")
ITEMS = 30
USERS = [[1 + (user * user + 3 * step) % 25 for step in range(5 + user % 4)] for user in range(40)]
CUTOFFS = [1, 5, 10]


def training() -> list[list[int]]:
    return [items[:-2] for items in USERS]


def lists(rule: str, vectors: UserVectors) -> np.ndarray:
    """[U, 10] by definition: sort all scores of a user, seen items out or not."""
    scores = (vectors.users @ vectors.items.T).numpy()
    rows = []
    for user, items in enumerate(USERS):
        seen = set(items[:-1]) if rule == "excluded" else set()
        order = [item for item in np.argsort(-scores[user]) + 1 if item not in seen]
        rows.append(order[:10])
    return np.array(rows)


@pytest.fixture(scope="module")
def vectors() -> UserVectors:
    rng = torch.Generator().manual_seed(0)
    items = torch.randn(ITEMS, 4, generator=rng)
    return UserVectors(torch.randn(len(USERS), 4, generator=rng), items)


@pytest.mark.parametrize("rule", ["excluded", "ranked"])
def test_coverage_and_popularity_are_recboles(rule, vectors: UserVectors, tmp_path: Path) -> None:
    histories = histories_of(USERS, ITEMS)
    options = EvaluationOptions((1, 5, 10), beyond=True)
    found = evaluate(vectors, histories, "test", 50, 10**6, CPU, options=options).metrics()[rule]
    counts: dict[int, int] = {}
    for item in (item for items in training() for item in items):
        counts[item] = counts.get(item, 0) + 1
    given = {"rec.items": torch.from_numpy(lists(rule, vectors)), "data.num_items": ITEMS,
             "data.count_items": counts}  # fmt: skip
    config = recbole_config("SASRec", tmp_path, "given", 50, {"topk": CUTOFFS})
    coverage = ItemCoverage(config).calculate_metric(given)
    average = (
        AveragePopularity(config)
        .metric_info(
            AveragePopularity(config).get_pop(*(given["rec.items"].numpy(), counts)).astype(float)
        )
        .mean(axis=0)
    )
    for k in CUTOFFS:
        assert found[f"coverage@{k}"] == pytest.approx(coverage[f"itemcoverage@{k}"], abs=1e-4)
        assert found[f"arp@{k}"] == pytest.approx(average[k - 1])
    assert 0 < found["coverage@1"] < found["coverage@10"]


def test_novelty_is_the_mean_self_information(vectors: UserVectors) -> None:
    histories = histories_of(USERS, ITEMS)
    options = EvaluationOptions(beyond=True)
    found = evaluate(vectors, histories, "test", 50, 10**6, CPU, options=options)
    bits = [
        -math.log2(max(1, sum(item in items for items in training())) / len(USERS))
        for row in lists("excluded", vectors)
        for item in row
    ]
    assert found.metrics()["excluded"]["novelty@10"] == pytest.approx(sum(bits) / len(bits))


def test_only_the_training_split_says_what_is_popular() -> None:
    train = train_counts(histories_of([[1, 1, 2, 3], [1, 4, 5]], 5))
    assert train.counts.tolist() == [0, 3, 0, 0, 0, 0]  # the last two items of each are held out
    assert train.users.tolist() == [0, 2, 0, 0, 0, 0]


def test_novelty_counts_the_users_of_the_training_split_alone() -> None:
    """The first user came later than the split's moment."""
    users = histories_of([[1, 2, 3], [1, 2, 3], [2, 1, 3]], 3)
    first_valid = np.array([READ, VALID, TEST, *[TRAIN, VALID, TEST] * 2], dtype=np.int8)
    train = train_counts(replace(users, parts=first_valid))
    assert train.num_users == 2
    assert beyond_metrics(np.array([[1]]), train, [1])["novelty@1"] == 1.0  # one of two, not three


def test_places_without_an_item_do_not_count() -> None:
    train = train_counts(histories_of([[1, 1, 2, 3], [1, 4, 5]], 5))
    found = beyond_metrics(np.array([[1, 0], [2, 1]]), train, [2])
    assert found == {"coverage@2": 2 / 5, "arp@2": (3 + (0 + 3) / 2) / 2, "novelty@2": 0.25}


def test_nothing_is_reported_where_it_is_not_asked_for(vectors: UserVectors) -> None:
    found = evaluate(vectors, histories_of(USERS, ITEMS), "test", 50, 10**6, CPU).metrics()
    assert {name.split("@")[0] for name in found["excluded"]} == {"hr", "ndcg", "mrr"}
