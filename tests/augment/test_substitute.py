"""Substitute exchanges items for their neighbours and leaves everything else."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given

from augment import MASK, Sequences, Substitute
from tests.augment.tables import a_hundred_more, listed
from tests.histories import (
    could_be_uniform,
    counting,
    exact_floor,
    generator,
    padded,
    percents,
    real_items,
    seeds,
)

LENGTHS = list(range(1, 21))


def substituted(ratio: float, seqs: Sequences, seed: int = 0) -> list[list[int]]:
    return real_items(
        Substitute(ratio).correlate(seqs, a_hundred_more(), seqs.width, generator(seed))
    )


@given(percent=percents, seed=seeds)
def test_exactly_the_paper_s_number_of_items_gives_way_to_neighbours(
    percent: int, seed: int
) -> None:
    rows = substituted(percent / 100, counting(LENGTHS, width=25), seed)
    for length, row in zip(LENGTHS, rows, strict=True):
        assert [item if item <= 100 else item - 100 for item in row] == list(range(1, length + 1))
        assert sum(item > 100 for item in row) == max(1, exact_floor(percent, length))


def test_every_set_of_positions_is_equally_likely() -> None:
    rows = substituted(0.4, counting([5] * 5000, width=7))
    sets = [tuple(place for place in range(5) if row[place] > 100) for row in rows]
    assert could_be_uniform([sets.count(pair) for pair in combinations(range(5), 2)])
    assert set(sets) == set(combinations(range(5), 2))


def test_hidden_items_and_items_without_neighbours_stay() -> None:
    rows = substituted(1.0, padded([[MASK, 3, 50], [MASK]]))
    assert rows == [[MASK, 103, 50], [MASK]]


def test_each_position_draws_its_own_neighbour() -> None:
    seqs = padded([[1] * 12])
    after = Substitute(1.0).correlate(seqs, listed([[2, 3], [], []]), 12, generator(0))
    assert set(real_items(after)[0]) == {2, 3}


def test_without_neighbours_it_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match=r"^substitute needs the neighbours of items"):
        Substitute()(padded([[1]]), generator(0))
