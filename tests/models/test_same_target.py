"""Positives of the same target: other users' training prefixes, and nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from augment import Sequences
from models.tasks import Batch, DropoutViews, HistoryState, SameTarget, Sizes, View
from tests.histories import Rows, could_be_uniform, generator, padded, real_items, seeds, train_of
from tests.models.tiny import views_of

users = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=6), min_size=1, max_size=6)


def fitted(rows: Rows, max_length: int = 10) -> SameTarget:
    task = SameTarget(name="it")
    task.prepare(Sizes(8, max_length, 4, len(rows)))
    task.fit(train_of(rows, 4))
    return task


def batch_of(histories: Rows, targets: list[int], of_users: list[int]) -> Batch:
    return Batch(padded(histories), torch.tensor(targets), torch.tensor(of_users))


def others_before(rows: Rows, target: int, user: int, max_length: int) -> Rows:
    """By definition: what other users had before each occurrence of the target."""
    return [
        row[max(0, place - max_length) : place]
        for other, row in enumerate(rows)
        for place in range(1, len(row))
        if other != user and row[place] == target
    ]


def prefixes(rows: Rows) -> tuple[Rows, list[int], list[int]]:
    places = [(u, p) for u, row in enumerate(rows) for p in range(1, len(row))]
    return [rows[u][:p] for u, p in places], [rows[u][p] for u, p in places], [u for u, _ in places]


@given(rows=users, seed=seeds, max_length=st.integers(2, 6))
def test_a_positive_is_another_user_s_prefix_with_the_target(
    rows: Rows, seed: int, max_length: int
) -> None:
    histories, targets, of_users = prefixes(rows)
    if not histories:
        return
    task = fitted(rows, max_length)
    histories = [history[-max_length:] for history in histories]
    found = task.positives(batch_of(histories, targets, of_users), generator(seed))
    for own, target, user, positive in zip(
        histories, targets, of_users, real_items(found), strict=True
    ):
        allowed = others_before(rows, target, user, max_length)
        assert positive in (allowed or [own])


def test_every_prefix_of_another_user_is_as_likely() -> None:
    rows = [[1, 4], [2, 4], [3, 4, 1, 4], [2, 1]]
    batch = batch_of([[1]] * 6000, [4] * 6000, [0] * 6000)
    found = [tuple(row) for row in real_items(fitted(rows).positives(batch, generator(0)))]
    counts = [found.count(kind) for kind in ((2,), (3,), (3, 4, 1))]
    assert sum(counts) == 6000
    assert could_be_uniform(counts)


def test_a_target_nobody_else_has_keeps_its_own_history_at_its_width() -> None:
    rows = [[1, 2, 3], [2, 1]]
    batch = batch_of([[1, 2], [2]], [3, 1], [0, 1])
    assert real_items(fitted(rows).positives(batch, generator(0))) == [[1, 2], [2]]


def test_the_anchor_is_a_twin_or_the_state_itself() -> None:
    rows = [[1, 2, 3], [2, 1]]
    batch = batch_of([[1, 2], [2]], [3, 1], [0, 1])
    task = fitted(rows)
    twin, positive = views_of(task, batch, generator(0))
    assert isinstance(twin, View)
    assert twin.sequences is batch.histories
    task.anchor = "own"
    own, same = views_of(task, batch, generator(0))
    assert isinstance(own, HistoryState)
    assert items_of(positive).equal(items_of(same))


def items_of(view: object) -> Tensor:
    assert isinstance(view, View)
    seqs: Sequences = view.sequences
    return seqs.items


def test_a_state_that_is_not_the_next_item_loss_s_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^anchor: own needs pooling: last"):
        SameTarget(anchor="own", pooling="mean")


def test_a_twin_is_the_state_itself_and_one_more_pass() -> None:
    batch = batch_of([[1, 2], [2]], [3, 1], [0, 1])
    own, twin = DropoutViews().make_views(batch, generator(0))
    assert isinstance(own, HistoryState)
    assert items_of(twin).equal(batch.histories.items)
    pooled = DropoutViews(pooling="mean").make_views(batch, generator(0))
    assert [items_of(view).equal(batch.histories.items) for view in pooled] == [True, True]


def test_nothing_mined_is_saved_with_the_model() -> None:
    assert fitted([[1, 2], [2, 1]]).state_dict() == {}
