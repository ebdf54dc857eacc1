"""The newest items of a history, by hand."""

from __future__ import annotations

import pytest

from models.tasks import HistoryState, View
from models.tasks.recent_subsequence import RecentSubsequence, newest
from tests.histories import generator, padded, real_items
from tests.models.test_same_target import batch_of

KEPT = {0.5: [[3, 4], [7], [9]], 0.75: [[2, 3, 4], [7], [9]], 0.01: [[4], [7], [9]]}


@pytest.mark.parametrize(("share", "kept"), KEPT.items())
def test_the_newest_items_are_kept(share: float, kept: list[list[int]]) -> None:
    found = newest(padded([[1, 2, 3, 4], [6, 7], [9]]), share)
    assert real_items(found) == kept


def test_the_whole_history_costs_no_pass_of_its_own() -> None:
    batch = batch_of([[1, 2, 3], [4]], [5, 6], [0, 1])
    whole, recent = RecentSubsequence(recent=0.7).make_views(batch, generator(0))
    assert isinstance(whole, HistoryState)
    assert isinstance(recent, View)
    assert real_items(recent.sequences) == [[2, 3], [4]]
    assert isinstance(RecentSubsequence(pooling="mean").make_views(batch, generator(0))[0], View)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_share_out_of_range_is_named(share: float) -> None:
    with pytest.raises(ValueError, match=r"^recent must lie in \(0, 1\)"):
        RecentSubsequence(recent=share)
