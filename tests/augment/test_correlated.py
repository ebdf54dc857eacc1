"""The table through a run: counted once, mined from the model after the warm-up."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from hypothesis import given

from augment import (
    CorrelatedItems,
    Correlation,
    Insert,
    Mask,
    Operator,
    Sequences,
    Substitute,
    TrainHistories,
)
from augment.correlated import Similar
from augment.correlation import counted_neighbours, embedding_neighbours
from augment.neighbours import better_of
from tests.histories import generator, histories, real_items, seeds

TRAIN = TrainHistories(  # of 20 items, 15 to 20 are in nobody's training history
    torch.tensor([1, 2, 3, 4, 5, 6, 7, 2, 3, 5, 8, 9, 10, 11, 12, 13, 14, 1, 13]),
    torch.tensor([0, 7, 12, 17, 19]),
    20,
)
VECTORS = torch.randn(20, 4, generator=generator(1))
BOTH = (Insert(0.5), Substitute(0.5))
CPU = torch.device("cpu")


def fitted(
    similar: Similar, warm_up: int = 0, k: int = 2, operators: tuple[Operator, ...] = BOTH
) -> CorrelatedItems:
    correlated = CorrelatedItems(Correlation(similar, k, warm_up), operators, max_length=20)
    correlated.fit(TRAIN)
    return correlated


def table_items(correlated: CorrelatedItems) -> torch.Tensor:
    assert correlated.table is not None
    return correlated.table.items


@pytest.mark.parametrize("similar", get_args(Similar))
@given(seqs=histories(items=14), seed=seeds)
def test_items_outside_the_training_split_are_never_put_in(
    similar: Similar, seqs: Sequences, seed: int
) -> None:
    correlated = fitted(similar, k=30)
    correlated.start_epoch(1, VECTORS)
    for operator in correlated.bound(CPU):
        for row in real_items(operator(seqs, generator(seed))):
            assert max(row) <= 14


@pytest.mark.parametrize("similar", get_args(Similar))
@given(seqs=histories(items=20), seed=seeds)
def test_an_item_outside_the_training_split_is_never_replaced(
    similar: Similar, seqs: Sequences, seed: int
) -> None:
    correlated = fitted(similar, k=30)
    correlated.start_epoch(1, VECTORS)
    after = correlated.bound(CPU)[1](seqs, generator(seed))  # substitute
    foreign = (seqs.items > 14) | (seqs.items < 1)
    assert torch.equal(after.items[foreign], seqs.items[foreign])


def test_the_model_is_asked_after_the_warm_up_only() -> None:
    counted = counted_neighbours(TRAIN, 2, "cosine_iuf")
    near = embedding_neighbours(VECTORS, TRAIN.items.unique(), 2)
    for similar, then in (("embedding", near), ("hybrid", better_of(counted, near))):
        correlated = fitted(similar, warm_up=2)
        for epoch in (1, 2):
            correlated.start_epoch(epoch, VECTORS)
            assert torch.equal(table_items(correlated), counted.items)
        correlated.start_epoch(3, VECTORS)
        assert torch.equal(table_items(correlated), then.items)


def test_every_epoch_after_the_warm_up_looks_at_the_embeddings_anew() -> None:
    correlated = fitted("embedding")
    correlated.start_epoch(1, VECTORS)
    before = table_items(correlated)
    correlated.start_epoch(2, VECTORS.flip(0))
    assert not torch.equal(table_items(correlated), before)


@pytest.mark.parametrize("similar", ["cooccurrence", "cosine", "cosine_iuf"])
def test_what_is_counted_never_looks_at_the_model(similar: Any) -> None:
    correlated = fitted(similar)
    correlated.start_epoch(50, VECTORS)
    assert torch.equal(table_items(correlated), counted_neighbours(TRAIN, 2, similar).items)


def test_nothing_is_mined_for_operators_that_read_nothing() -> None:
    correlated = fitted("hybrid", operators=(Mask(),))
    correlated.start_epoch(1, VECTORS)
    assert correlated.table is None
    assert correlated.bound(CPU) == (Mask(),)


def test_other_operators_are_not_touched_by_binding() -> None:
    bound = fitted("cosine", operators=(Mask(), Substitute())).bound(CPU)
    assert bound[0] == Mask()
    assert bound[1] != Substitute()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"neighbours": 0}, "neighbours must be at least 1, got 0"),
        ({"warm_up": -1}, "warm_up must be at least 0, got -1"),
    ],
)
def test_a_field_out_of_range_is_named(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}"):
        Correlation(**fields)
