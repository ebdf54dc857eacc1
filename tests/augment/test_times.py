"""What becomes of the times of a history, operator by operator."""

from __future__ import annotations

import torch
from hypothesis import given

from augment import Crop, Insert, Mask, Reorder, Sequences, Substitute, draw_two_views
from augment.sequences import concatenated
from augment.views import either
from tests.augment.tables import a_hundred_more
from tests.histories import (
    counting,
    generator,
    histories,
    padded,
    real_items,
    real_times,
    seeds,
    shares,
    timed,
)

NEIGHBOURS = a_hundred_more()
DAYS = Sequences(
    torch.tensor([[1, 2, 3, 4, 0]]), torch.tensor([4]), torch.tensor([[10, 20, 20, 41, 0]])
)


def by_item(items: list[int]) -> list[int]:
    """Times that tell an item of `counting`: item i was met at 10 i."""
    return [10 * item for item in items]


def counted(lengths: list[int]) -> Sequences:
    seqs = counting(lengths)
    return Sequences(seqs.items, seqs.lengths, 10 * seqs.items)


@given(share=shares, seed=seeds)
def test_items_that_crop_keeps_keep_their_times(share: float, seed: int) -> None:
    after = Crop(share)(counted([1, 3, 8]), generator(seed))
    assert real_times(after) == [by_item(row) for row in real_items(after)]


@given(share=shares, seed=seeds)
def test_hidden_substituted_and_reordered_places_keep_their_times(share: float, seed: int) -> None:
    seqs = counted([1, 3, 8])
    assert real_times(Mask(share)(seqs, generator(seed))) == real_times(seqs)
    assert real_times(Reorder(share)(seqs, generator(seed))) == real_times(seqs)
    substituted = Substitute(share).correlate(seqs, NEIGHBOURS, 50, generator(seed))
    assert real_times(substituted) == real_times(seqs)


def test_an_inserted_item_stands_in_time_halfway_between_its_neighbours() -> None:
    after = Insert(1.0).correlate(DAYS, NEIGHBOURS, 50, generator(0))
    assert real_items(after) == [[101, 1, 102, 2, 103, 3, 104, 4]]
    assert real_times(after) == [[10, 10, 15, 20, 20, 20, 30, 41]]


def test_of_a_history_that_gets_too_long_the_newest_times_stay_with_the_newest_items() -> None:
    after = Insert(1.0).correlate(DAYS, NEIGHBOURS, 3, generator(0))
    assert real_items(after) == [[3, 104, 4]]
    assert real_times(after) == [[20, 30, 41]]


@given(seqs=histories(), seed=seeds)
def test_times_change_nothing_of_what_is_drawn(seqs: Sequences, seed: int) -> None:
    operators = [Crop(), Mask(), Reorder()]
    without = draw_two_views(seqs, operators, "two_distinct", generator(seed))
    with_times = draw_two_views(timed(seqs), operators, "two_distinct", generator(seed))
    for one, other in zip(without, with_times, strict=True):
        assert torch.equal(one.sequences.items, other.sequences.items)
        assert torch.equal(one.operator, other.operator)
        assert one.sequences.times is None
        assert other.sequences.times is not None


def test_one_batch_without_times_leaves_none_to_both_together() -> None:
    seqs = padded([[1, 2], [3]])
    assert concatenated([timed(seqs), seqs]).times is None
    assert either(torch.tensor([True, False]), timed(seqs), seqs).times is None
    both = concatenated([counted([2]), counted([3])])
    assert real_times(both) == [[10, 20], [10, 20, 30]]
