"""For whom, and for which items, the ranking is good: metrics of groups of test users."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.data.histories import READ, Histories, IntArray
from experiments.data.interactions import BoolArray
from experiments.data.splits.held_out import counts_below, evaluation_rows, train_split
from experiments.evaluation.ranking import Evaluation, metrics

LENGTHS = (0, 1, 5, 10, 20, 50)  # where each group of training-history lengths begins
COUNTS = (0, 1, 5, 10, 20, 50, 100)  # of occurrences of the test item in the training split
SHOWN = ("hr@10", "ndcg@10")


def group_metrics(test: Evaluation, histories: Histories) -> dict[str, list[dict[str, Any]]]:
    """Test metrics by length of the training history, and by popularity of the test item.

    The training history is what the split trains on of a user, under leave-one-out all but the
    last two items; popularity is how often the test item occurs in all of these, 0 for a cold
    item.  Groups without users are left out.
    """
    known = counts_below(histories, READ)  # [U]
    return {
        "length": by(known[test.users], LENGTHS, test),
        "popularity": by(target_counts(histories), COUNTS, test),
    }


def target_counts(histories: Histories) -> IntArray:
    """[T] occurrences of each test item in the training split."""
    train = train_split(histories).items.numpy()
    counts = np.bincount(train, minlength=histories.num_items + 1)
    of_target: IntArray = counts[histories.items[evaluation_rows(histories, "test", 1).target]]
    return of_target


def by(values: IntArray, starts: tuple[int, ...], test: Evaluation) -> list[dict[str, Any]]:
    """A group for each range of values, [T], that begins at one of `starts`; the last is open."""
    rows = []
    for low, after in zip(starts, (*starts[1:], None), strict=True):
        inside = values >= low if after is None else (values >= low) & (values < after)
        if inside.any():
            row = {"from": low, "to": None if after is None else after - 1}
            rows.append({**row, "users": int(inside.sum()), **of(test, inside)})
    return rows


def of(test: Evaluation, inside: BoolArray) -> dict[str, float]:
    """{"excluded/hr@10": ...} of the targets inside, [T] bool."""
    rules = {"excluded": test.excluded, "ranked": test.ranked}
    by_rule = {rule: metrics(ranks[inside]) for rule, ranks in rules.items()}
    return {f"{rule}/{name}": by_rule[rule][name] for rule in by_rule for name in SHOWN}
