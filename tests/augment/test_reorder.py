"""A reorder shuffles one window and leaves the rest."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given

from augment import Reorder, Sequences
from tests.histories import (
    could_be_uniform,
    counting,
    exact_floor,
    generator,
    histories,
    percents,
    real_items,
    seeds,
    shares,
)

LENGTHS = list(range(1, 21))


def spans(reordered: Sequences) -> list[int]:
    """Positions from the first to the last that moved, in histories that were counting."""
    moved = [[i for i, item in enumerate(r, start=1) if i != item] for r in real_items(reordered)]
    return [places[-1] - places[0] + 1 if places else 0 for places in moved]


@given(seqs=histories(), share=shares, seed=seeds)
def test_no_item_is_lost_or_doubled(seqs: Sequences, share: float, seed: int) -> None:
    reordered = real_items(Reorder(ratio=share)(seqs, generator(seed)))
    assert [sorted(row) for row in reordered] == [sorted(row) for row in real_items(seqs)]


@given(percent=percents, seed=seeds)
def test_only_one_window_of_the_paper_s_size_moves(percent: int, seed: int) -> None:
    reordered = Reorder(ratio=percent / 100)(counting(LENGTHS, width=25), generator(seed))
    for span, length in zip(spans(reordered), LENGTHS, strict=True):
        assert span <= exact_floor(percent, length)


def test_every_order_of_the_window_is_equally_likely() -> None:
    rows = real_items(Reorder(ratio=1.0)(counting([4] * 6000, width=6), generator(0)))
    counts = [rows.count(list(order)) for order in permutations([1, 2, 3, 4])]
    assert sum(counts) == len(rows)
    assert could_be_uniform(counts)


def test_every_place_of_the_window_is_equally_likely() -> None:
    """A window of two in five items has four places, and half of the time nothing moves."""
    rows = real_items(Reorder(ratio=0.4)(counting([5] * 4000), generator(0)))
    orders = [
        [1, 2, 3, 4, 5],
        [2, 1, 3, 4, 5],
        [1, 3, 2, 4, 5],
        [1, 2, 4, 3, 5],
        [1, 2, 3, 5, 4],
    ]
    counts = [rows.count(order) for order in orders]
    assert sum(counts) == len(rows)
    assert could_be_uniform(counts, [4, 1, 1, 1, 1])


@given(percent=percents, seed=seeds)
def test_at_least_one_window_of_two_moves_at_most(percent: int, seed: int) -> None:
    reorder = Reorder(ratio=percent / 100, at_least_one=True)
    reordered = reorder(counting(LENGTHS, width=25), generator(seed))
    for span, length in zip(spans(reordered), LENGTHS, strict=True):
        assert span <= max(exact_floor(percent, length), min(2, length))


def test_at_least_one_swaps_a_pair_where_the_ratio_moves_none() -> None:
    rows = real_items(Reorder(ratio=0.0, at_least_one=True)(counting([2] * 2000), generator(0)))
    assert could_be_uniform([rows.count([1, 2]), rows.count([2, 1])])


def test_at_least_one_leaves_a_single_item_alone() -> None:
    assert real_items(Reorder(at_least_one=True)(counting([1], width=4), generator(0))) == [[1]]


def test_at_least_one_leaves_wider_windows_as_they_are() -> None:
    rows = real_items(Reorder(1.0, at_least_one=True)(counting([4] * 6000), generator(0)))
    assert could_be_uniform([rows.count(list(order)) for order in permutations([1, 2, 3, 4])])
