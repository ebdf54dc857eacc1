"""A crop is one window of the history."""

from __future__ import annotations

import pytest
from hypothesis import given

from augment import Crop, Sequences
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


@given(seqs=histories(), percent=percents, seed=seeds)
def test_what_is_kept_is_a_contiguous_window_of_the_paper_s_size(
    seqs: Sequences, percent: int, seed: int
) -> None:
    cropped = real_items(Crop(keep=percent / 100)(seqs, generator(seed)))
    for old, new in zip(real_items(seqs), cropped, strict=True):
        size = max(1, exact_floor(percent, len(old)))
        assert new in [old[start : start + size] for start in range(len(old) - size + 1)]


def test_every_start_is_equally_likely() -> None:
    cropped = Crop(keep=0.6)(counting([10] * 5000, width=12), generator(0))
    starts = cropped.items[:, 0].bincount().tolist()
    assert len(starts) == 6
    assert starts[0] == 0
    assert could_be_uniform(starts[1:])


def test_a_short_history_has_one_start_more_than_items_dropped() -> None:
    cropped = Crop(keep=0.5)(padded([[5, 6, 7]] * 3000), generator(0))  # floor(1.5) = 1 is kept
    assert could_be_uniform([real_items(cropped).count([item]) for item in (5, 6, 7)])


@given(seqs=histories(), seed=seeds)
def test_keeping_all_changes_nothing(seqs: Sequences, seed: int) -> None:
    assert real_items(Crop(keep=1.0)(seqs, generator(seed))) == real_items(seqs)


@given(seqs=histories(), seed=seeds)
def test_keeping_nothing_keeps_one_item(seqs: Sequences, seed: int) -> None:
    assert Crop(keep=0.0)(seqs, generator(seed)).lengths.tolist() == [1] * len(seqs)


@given(seqs=histories(), percent=percents, seed=seeds)
def test_at_least_one_item_goes_unless_it_is_the_only_one(
    seqs: Sequences, percent: int, seed: int
) -> None:
    cropped = real_items(Crop(keep=percent / 100, at_least_one=True)(seqs, generator(seed)))
    for old, new in zip(real_items(seqs), cropped, strict=True):
        size = max(1, min(exact_floor(percent, len(old)), len(old) - 1))
        assert new in [old[start : start + size] for start in range(len(old) - size + 1)]


@pytest.mark.parametrize(("length", "kept"), [(1, 1), (2, 1), (3, 2), (4, 3), (5, 4), (10, 9)])
def test_at_least_one_by_hand(length: int, kept: int) -> None:
    crop = Crop(keep=1.0, at_least_one=True)
    assert crop(counting([length]), generator(0)).lengths.tolist() == [kept]
