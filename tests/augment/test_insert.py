"""Insert puts neighbours before items, widens the batch and keeps the newest items."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment import MASK, Insert, Sequences
from tests.augment.tables import a_hundred_more
from tests.histories import (
    could_be_uniform,
    counting,
    exact_floor,
    generator,
    histories,
    padded,
    percents,
    real_items,
    seeds,
)

LENGTHS = list(range(1, 21))
NEIGHBOURS = a_hundred_more()


def inserted(ratio: float, seqs: Sequences, max_length: int = 100, seed: int = 0) -> Sequences:
    return Insert(ratio).correlate(seqs, NEIGHBOURS, max_length, generator(seed))


@given(percent=percents, seed=seeds)
def test_exactly_the_paper_s_number_of_items_gets_a_neighbour_before_it(
    percent: int, seed: int
) -> None:
    rows = real_items(inserted(percent / 100, counting(LENGTHS, width=25), seed=seed))
    for length, row in zip(LENGTHS, rows, strict=True):
        assert [item for item in row if item <= 100] == list(range(1, length + 1))
        new = [place for place, item in enumerate(row) if item > 100]
        assert len(new) == max(1, exact_floor(percent, length))
        assert all(row[place] == 100 + row[place + 1] for place in new)


@given(seqs=histories(), percent=percents, most=st.integers(1, 30), seed=seeds)
def test_of_a_history_that_gets_too_long_the_newest_items_stay(
    seqs: Sequences, percent: int, most: int, seed: int
) -> None:
    long = real_items(inserted(percent / 100, seqs, seed=seed))
    short = inserted(percent / 100, seqs, most, seed)
    assert real_items(short) == [row[-most:] for row in long]
    assert short.width <= most


@given(seqs=histories(), percent=percents, seed=seeds)
def test_the_batch_gets_as_wide_as_its_longest_row_may_need(
    seqs: Sequences, percent: int, seed: int
) -> None:
    after = inserted(percent / 100, seqs, seed=seed)
    assert after.width == seqs.width + max(1, exact_floor(percent, seqs.width))


def test_a_row_that_fills_its_batch_is_not_shortened() -> None:
    after = inserted(0.5, counting([4, 4]), max_length=50)
    assert after.lengths.tolist() == [6, 6]
    assert all(row[-1] == 4 and {1, 2, 3} < set(row) for row in real_items(after))


def test_a_row_of_max_length_loses_as_many_old_items_as_it_gets_new_ones() -> None:
    row = real_items(inserted(0.25, counting([8]), max_length=8))[0]
    assert len(row) == 8
    assert row[-1] == 8
    assert 1 not in row  # two in, so the two oldest of ten go


def test_every_set_of_positions_is_equally_likely() -> None:
    rows = real_items(inserted(0.4, counting([5] * 5000, width=7)))
    sets = [tuple(item - 100 for item in row if item > 100) for row in rows]
    assert could_be_uniform([sets.count(pair) for pair in combinations(range(1, 6), 2)])
    assert set(sets) == set(combinations(range(1, 6), 2))


def test_before_a_hidden_item_and_one_without_neighbours_stands_the_same() -> None:
    after = inserted(1.0, padded([[MASK, 3, 50], [MASK]]))
    assert real_items(after) == [[MASK, MASK, 103, 3, 50, 50], [MASK, MASK]]


def test_without_neighbours_it_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match=r"^insert needs the neighbours of items"):
        Insert()(padded([[1]]), generator(0))
