"""A mask hides some positions and leaves the rest."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given

from augment import MASK, Mask, Sequences
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


def hidden(masked: Sequences) -> list[int]:
    return [row.count(MASK) for row in real_items(masked)]


@given(percent=percents, seed=seeds)
def test_exactly_the_paper_s_number_of_positions_is_hidden(percent: int, seed: int) -> None:
    masked = Mask(ratio=percent / 100)(counting(LENGTHS, width=25), generator(seed))
    assert hidden(masked) == [exact_floor(percent, n) for n in LENGTHS]


@given(percent=percents, seed=seeds)
def test_what_is_not_hidden_stays(percent: int, seed: int) -> None:
    masked = Mask(ratio=percent / 100)(counting(LENGTHS), generator(seed))
    for row in real_items(masked):
        assert all(item in (place, MASK) for place, item in enumerate(row, start=1))


def test_every_set_of_positions_is_equally_likely() -> None:
    rows = real_items(Mask(ratio=0.4)(counting([5] * 5000, width=7), generator(0)))
    sets = [tuple(place for place in range(5) if row[place] == MASK) for row in rows]
    assert could_be_uniform([sets.count(pair) for pair in combinations(range(5), 2)])
    assert set(sets) == set(combinations(range(5), 2))


def test_everything_can_be_hidden() -> None:
    assert real_items(Mask(ratio=1.0)(padded([[4, 5], [6]]), generator(0))) == [[-1, -1], [-1]]


@given(percent=percents, seed=seeds)
def test_at_least_one_hides_one_where_the_ratio_hides_none(percent: int, seed: int) -> None:
    mask = Mask(ratio=percent / 100, at_least_one=True)
    masked = mask(counting(LENGTHS, width=25), generator(seed))
    assert hidden(masked) == [max(1, exact_floor(percent, n)) for n in LENGTHS]
