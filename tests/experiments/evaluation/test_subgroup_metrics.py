"""Metrics of groups are those of their users alone, and every user is in one group."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.evaluation.ranking import Evaluation
from experiments.evaluation.subgroup_metrics import group_metrics
from tests.experiments.small_data import Users, histories_of, users_of

LENGTHS = [(1, 4), (5, 9), (10, 19), (20, 49), (50, None)]
COUNTS = [(0, 0), (1, 4), (5, 9), (10, 19), (20, 49), (50, 99), (100, None)]


def at_10(ranks: list[float]) -> tuple[float, float]:
    """HR@10 and NDCG@10, by definition."""
    hits = [rank for rank in ranks if rank <= 10]
    return len(hits) / len(ranks), sum(1 / math.log2(1 + rank) for rank in hits) / len(ranks)


def slow_rows(values: list[int], edges: list[Any], test: Evaluation) -> list[dict[str, Any]]:
    rows = []
    for low, high in edges:
        users = [u for u, v in enumerate(values) if v >= low and (high is None or v <= high)]
        if users:
            row: dict[str, Any] = {"from": low, "to": high, "users": len(users)}
            for rule, ranks in (("excluded", test.excluded), ("ranked", test.ranked)):
                hr, ndcg = at_10([float(ranks[user]) for user in users])
                row |= {f"{rule}/hr@10": pytest.approx(hr), f"{rule}/ndcg@10": pytest.approx(ndcg)}
            rows.append(row)
    return rows


@given(users=users_of(items=4, longest=70, most=12), seed=st.integers(0, 99))
def test_groups_are_those_of_a_plain_loop(users: Users, seed: int) -> None:
    draw = np.random.default_rng(seed)
    ranked = draw.integers(2, 60, len(users)) / 2
    excluded = np.where(draw.random(len(users)) < 0.2, np.inf, np.maximum(ranked - 3, 1))
    test = Evaluation(ranked, excluded, int(np.isinf(excluded).sum()), np.arange(len(users)))
    train = [item for history in users for item in history[:-2]]
    found = group_metrics(test, histories_of(users))
    assert found["length"] == slow_rows([len(h) - 2 for h in users], LENGTHS, test)
    assert found["popularity"] == slow_rows([train.count(h[-1]) for h in users], COUNTS, test)


def test_a_cold_item_is_a_group_of_its_own_and_empty_groups_are_left_out() -> None:
    users = [[1, 2, 9], [1, 2, 1]]  # 9 is nobody's training item, 1 is both users'
    test = Evaluation(np.array([1.0, 30.0]), np.array([1.0, np.inf]), 1, np.arange(2))
    found = group_metrics(test, histories_of(users))
    assert [(row["from"], row["to"], row["users"]) for row in found["length"]] == [(1, 4, 2)]
    cold, known = found["popularity"]
    assert (cold["from"], cold["to"], cold["ranked/hr@10"], cold["ranked/ndcg@10"]) == (0, 0, 1, 1)
    assert (known["from"], known["to"], known["excluded/hr@10"]) == (1, 4, 0)
