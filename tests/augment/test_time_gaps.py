"""Operators that choose their places by time gaps: against the plainest count of them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given

from augment import MASK, OPERATORS, Sequences, TrainHistories, bind
from augment.operator import Operator, check_times
from augment.time_gaps import TimeCrop, TimeInsert, TimeMask, TimeReorder, TimeSubstitute
from tests.augment.tables import listed
from tests.histories import generator, histories, padded, real_items, real_times, seeds, timed

NEIGHBOURS = listed([[item + 100] for item in range(1, 21)])


def at(items: list[int], times: list[int]) -> Sequences:
    """One history with its times, and padding after it."""
    row = padded([items], len(items) + 2)
    return Sequences(row.items, row.lengths, padded([times], len(items) + 2).items)


def after(operator: Operator, seqs: Sequences, seed: int = 0) -> list[int]:
    (bound,) = bind([operator], NEIGHBOURS, 18)
    return real_items(bound(seqs, generator(seed)))[0]


HISTORY = at([1, 2, 3, 4, 5, 6], [0, 100, 110, 120, 130, 500])  # gaps 100, 10, 10, 10, 370


def test_a_crop_is_the_window_of_the_most_regular_gaps() -> None:
    assert after(TimeCrop(keep=0.7), HISTORY) == [2, 3, 4, 5]


def test_a_reordered_window_is_the_most_regular_one() -> None:
    results = {tuple(after(TimeReorder(ratio=0.7), HISTORY, seed)) for seed in range(60)}
    assert len(results) > 10
    assert all(row[0] == 1 and row[5] == 6 and set(row[1:5]) == {2, 3, 4, 5} for row in results)


def test_the_items_after_the_widest_gaps_are_hidden() -> None:
    assert after(TimeMask(ratio=0.4), HISTORY) == [1, MASK, 3, 4, 5, MASK]


def test_the_items_after_the_narrowest_gaps_are_hidden_where_asked() -> None:
    assert after(TimeMask(ratio=0.5, gaps="narrowest"), HISTORY) == [1, 2, MASK, MASK, MASK, 6]


def test_items_after_the_narrowest_gaps_are_substituted() -> None:
    assert after(TimeSubstitute(ratio=0.5), HISTORY) == [1, 2, 103, 104, 105, 6]


def test_items_are_inserted_into_the_widest_gaps() -> None:
    (bound,) = bind([TimeInsert(ratio=0.4)], NEIGHBOURS, 18)
    found = bound(HISTORY, generator(0))
    assert real_items(found)[0] == [1, 102, 2, 3, 4, 5, 106, 6]
    assert real_times(found)[0] == [0, 50, 100, 110, 120, 130, 315, 500]


@given(seqs=histories(), seed=seeds)
def test_no_window_of_a_history_is_more_regular_than_the_crop(seqs: Sequences, seed: int) -> None:
    seqs = timed(seqs, seed)
    cropped = TimeCrop(keep=0.6)(seqs, generator(seed))
    for before, kept in zip(real_times(seqs), real_times(cropped), strict=True):
        windows = [before[i : i + len(kept)] for i in range(len(before) - len(kept) + 1)]
        least = min(map(variance, windows))
        assert variance(kept) == pytest.approx(least, abs=1e-6)


def variance(times: list[int]) -> float:
    gaps = torch.tensor(times).diff().double()
    return float(gaps.var(correction=0)) if len(gaps) else 0.0


def test_a_long_break_elsewhere_blurs_no_window() -> None:
    """Times in seconds; the break is a year."""
    times = torch.tensor([0, 10, 10, 10, 365 * 24 * 3600, 10, 900, 10]).cumsum(0).tolist()
    history = at([1, 2, 3, 4, 5, 6, 7, 8], times)
    assert {tuple(after(TimeCrop(keep=0.5), history, seed)) for seed in range(40)} == {(1, 2, 3, 4)}


def test_windows_of_the_same_variance_are_equal_whatever_their_mean_gap() -> None:
    times = torch.tensor([0, 1, 1, 2, 10**7, 10**6, 10**6, 10**6 + 1]).cumsum(0).tolist()
    history = at([1, 2, 3, 4, 5, 6, 7, 8], times)
    assert {tuple(after(TimeCrop(keep=0.5), history, seed)) for seed in range(40)} == {
        (1, 2, 3, 4),
        (5, 6, 7, 8),
    }


def test_equal_gaps_leave_the_choice_to_the_generator() -> None:
    even = at([1, 2, 3, 4], [0, 5, 10, 15])
    assert {tuple(after(TimeCrop(keep=0.5), even, seed)) for seed in range(40)} == {
        (1, 2),
        (2, 3),
        (3, 4),
    }


def test_data_without_times_are_refused_by_the_operators_names() -> None:
    train = TrainHistories(torch.tensor([1, 2]), torch.tensor([0, 2]), 2)
    operators = (OPERATORS["crop"](), TimeCrop(), TimeMask())
    with pytest.raises(ValueError, match=r"^operators: time_crop, time_mask need the times"):
        check_times(operators, OPERATORS, train)
    check_times((OPERATORS["crop"](),), OPERATORS, train)
