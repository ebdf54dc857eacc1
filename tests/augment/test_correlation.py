"""Neighbours are those that plain loops over all pairs of items find."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from augment import Neighbours, correlation
from augment.correlation import Counted, blocks, counted_neighbours, embedding_neighbours
from augment.neighbours import better_of
from tests.augment.tables import listed
from tests.histories import could_be_uniform, generator, seeds, train_of

ITEMS = 8  # 7 and 8 never occur in the histories below

Users = list[list[int]]
Ranking = dict[int, list[tuple[float, int]]]

users_of = st.lists(st.lists(st.integers(1, ITEMS - 2), min_size=1, max_size=6), min_size=1)
ks = st.integers(1, ITEMS + 2)
every_count = pytest.mark.parametrize("counted", get_args(Counted))


def score(users: Users, one: int, other: int, counted: Counted) -> float:
    both = [set(user) for user in users if one in user and other in user]
    if counted == "cooccurrence":
        return len(both)
    shared = [1 / math.log(1 + len(user)) if counted == "cosine_iuf" else 1.0 for user in both]
    holders = [sum(item in user for user in users) for item in (one, other)]
    return math.fsum(shared) / math.sqrt(holders[0] * holders[1]) if both else 0.0


def ranked(users: Users, counted: Counted) -> Ranking:
    """For each item all others that share a history, best first, then by number."""
    pairs = {
        one: [
            (score(users, one, other, counted), other)
            for other in range(1, ITEMS + 1)
            if other != one
        ]
        for one in range(1, ITEMS + 1)
    }
    return {
        one: sorted([pair for pair in some if pair[0] > 0], key=lambda pair: (-pair[0], pair[1]))
        for one, some in pairs.items()
    }


def assert_is(found: Neighbours, expected: Ranking, k: int) -> None:
    """The scores are the k best; each item named has the score that stands next to it.

    Items of equal scores may stand in any order here: rounding may part them.
    """
    assert found.items.shape == found.scores.shape == (ITEMS + 1, k)
    for one in range(1, ITEMS + 1):
        count = min(k, len(expected[one]))
        assert found.counts[one] == count
        best = [value for value, _ in expected[one][:k]]
        assert found.scores[one, :count].tolist() == pytest.approx(best, rel=1e-5, abs=1e-6)
        score_of = {other: value for value, other in expected[one]}
        named = found.items[one, :count].tolist()
        assert len(set(named)) == count
        assert [score_of[other] for other in named] == pytest.approx(best, rel=1e-5, abs=1e-6)
        assert set(found.items[one, count:].tolist()) <= {one}
    assert found.items[0].tolist() == [0] * k
    assert found.counts[0] == 0


@every_count
@given(users=users_of, k=ks)
def test_counted_neighbours_are_the_best_of_all_pairs(
    counted: Counted, users: Users, k: int
) -> None:
    expected = ranked(users, counted)
    found = counted_neighbours(train_of(users, ITEMS), k, counted)
    assert_is(found, expected, k)
    values = [value for some in expected.values() for value, _ in some]
    if values:
        ends = [found.low.item(), found.high.item()]
        assert ends == pytest.approx([min(values), max(values)])


@every_count
@given(users=users_of, k=ks)
def test_blocks_of_rows_do_not_change_the_table(counted: Counted, users: Users, k: int) -> None:
    whole = counted_neighbours(train_of(users, ITEMS), k, counted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(correlation, "BLOCK", 3)
        cut = counted_neighbours(train_of(users, ITEMS), k, counted)
    assert torch.equal(whole.items, cut.items)
    assert torch.equal(whole.scores, cut.scores)
    assert (whole.low, whole.high) == (cut.low, cut.high)


@given(work=st.lists(st.integers(0, 20), min_size=1), most=st.integers(1, 30))
def test_blocks_cover_all_rows_and_are_bounded(work: list[int], most: int) -> None:
    array = torch.tensor(work, dtype=torch.float64).numpy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(correlation, "BLOCK", most)
        found = list(blocks(array))
    assert [row for start, stop in found for row in range(start, stop)] == list(range(len(work)))
    assert all(sum(work[start:stop]) <= most + max(work) for start, stop in found)


def test_of_equal_counts_the_lower_number_comes_first() -> None:
    found = counted_neighbours(train_of([[3, 1, 2]], ITEMS), 2, "cooccurrence")
    assert found.items[1:4].tolist() == [[2, 3], [1, 3], [1, 2]]


def test_an_item_often_held_is_not_the_nearest_by_cosine() -> None:
    """1 and 2 share one of their two histories each; 3 is in all of them."""
    train = train_of([[1, 2, 3], [1, 3], [2, 3], [3, 4], [3, 5], [3, 6], [3, 4]], ITEMS)
    assert counted_neighbours(train, 1, "cooccurrence").items[1].tolist() == [3]
    assert counted_neighbours(train, 1, "cosine").scores[1].item() == pytest.approx(2 / 14**0.5)
    train = train_of([[1, 2, 3], [1, 3], [2, 3], *[[3, 4]] * 9], ITEMS)
    assert counted_neighbours(train, 1, "cosine").items[1].tolist() == [2]


@given(users=users_of, k=ks, seed=seeds)
def test_embedding_neighbours_are_the_highest_cosines(users: Users, k: int, seed: int) -> None:
    known = torch.tensor([item for user in users for item in user]).unique()
    vectors = torch.randn(ITEMS, 3, generator=generator(seed))
    cosine = (F.normalize(vectors) @ F.normalize(vectors).T).tolist()
    names = known.tolist()
    expected: Ranking = {one: [] for one in range(1, ITEMS + 1)}
    for one in names:
        pairs = [(cosine[one - 1][other - 1], other) for other in names if other != one]
        expected[one] = sorted(pairs, reverse=True)
    for block in (1, 10**6):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(correlation, "BLOCK", block)
            found = embedding_neighbours(vectors, known, k)
        assert_is(found, expected, k)
    values = [value for some in expected.values() for value, _ in some]
    if values:
        ends = [found.low.item(), found.high.item()]
        assert ends == pytest.approx([min(values), max(values)], abs=1e-6)


@given(users=users_of, k=st.integers(1, 4), seed=seeds)
def test_the_hybrid_takes_the_better_scaled_score(users: Users, k: int, seed: int) -> None:
    known = torch.tensor([item for user in users for item in user]).unique()
    one = counted_neighbours(train_of(users, ITEMS), k, "cosine_iuf")
    two = embedding_neighbours(torch.randn(ITEMS, 3, generator=generator(seed)), known, k)
    expected: Ranking = {}
    for item in range(1, ITEMS + 1):
        best: dict[int, float] = {}
        for found in (one, two):
            count = int(found.counts[item])
            scaled = found.scaled()[item, :count].tolist()
            for other, value in zip(found.items[item, :count].tolist(), scaled, strict=True):
                best[other] = max(value, best.get(other, 0.0))
        expected[item] = sorted(((value, other) for other, value in best.items()), reverse=True)
    assert_is(better_of(one, two), expected, k)


def test_scaled_scores_run_from_0_to_1_over_all_pairs() -> None:
    found = counted_neighbours(train_of([[1, 2], [1, 2], [1, 2], [1, 3]], ITEMS), 2, "cooccurrence")
    assert found.scaled()[1].tolist() == [1.0, 0.0]


def test_of_equal_scores_the_hybrid_takes_the_first_table() -> None:
    assert better_of(listed([[2], [], []]), listed([[3], [], []])).items[1].tolist() == [2]
    assert better_of(listed([[3], [], []]), listed([[2], [], []])).items[1].tolist() == [3]


def test_where_no_two_items_share_a_history_nobody_has_neighbours() -> None:
    alone = train_of([[1], [2, 2]], ITEMS)
    for counted in get_args(Counted):
        assert counted_neighbours(alone, 2, counted).counts.sum() == 0
    one = embedding_neighbours(torch.eye(ITEMS), torch.tensor([4]), 2)
    assert one.counts.sum() == 0
    both = better_of(counted_neighbours(alone, 2, "cosine"), one)
    assert both.counts.sum() == 0
    assert both.items[:, 0].tolist() == list(range(ITEMS + 1))


def test_every_neighbour_is_drawn_equally_often() -> None:
    drawn = listed([[2, 3, 4], [1], [], []]).draw(torch.ones(3000, dtype=torch.int64), generator(0))
    assert could_be_uniform(drawn.bincount(minlength=5)[2:])
    assert set(drawn.tolist()) == {2, 3, 4}


def test_hidden_items_padding_and_items_without_neighbours_give_themselves() -> None:
    items = torch.tensor([[-1, 0, 3], [1, 2, 3]])
    drawn = listed([[2], [1], []]).draw(items, generator(0))
    assert drawn.tolist() == [[-1, 0, 3], [2, 1, 3]]
