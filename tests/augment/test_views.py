"""How two views are drawn, with operators whose work can be read off the items."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from torch import Generator

from augment import Crop, Insert, Mask, Reorder, Sequences, bind, draw_two_views, identity_rate
from augment.views import CHAINED, Draw, DrawnView, ShortHistories, apply_chosen
from tests.augment.tables import a_hundred_more
from tests.histories import (
    could_be_uniform,
    counting,
    generator,
    histories,
    padded,
    real_items,
    seeds,
)

DRAWS: list[Draw] = ["two_distinct", "with_replacement", "chained"]


@dataclass(frozen=True)
class Add:
    """Adds a number to every item: the sum tells which operators a view went through."""

    amount: int

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        return Sequences(torch.where(seqs.real(), seqs.items + self.amount, 0), seqs.lengths)


@dataclass(frozen=True)
class Double:
    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        return Sequences(seqs.items * 2, seqs.lengths)


THREE = (Add(100), Add(200), Add(400))


def choices(views: tuple[DrawnView, DrawnView]) -> list[tuple[int, int]]:
    first, second = views
    return list(zip(first.operator.tolist(), second.operator.tolist(), strict=True))


@pytest.mark.parametrize("draw", ["two_distinct", "with_replacement"])
@given(seqs=histories(), seed=seeds)
def test_each_view_is_made_from_the_input_by_the_operator_on_record(
    draw: Draw, seqs: Sequences, seed: int
) -> None:
    for view in draw_two_views(seqs, THREE, draw, generator(seed)):
        amount = torch.tensor([100, 200, 400])[view.operator][:, None]  # [B, 1]
        assert torch.equal(view.sequences.items, torch.where(seqs.real(), seqs.items + amount, 0))
        assert torch.equal(view.sequences.lengths, seqs.lengths)


@given(seqs=histories(), seed=seeds)
def test_chained_applies_all_operators_in_their_order(seqs: Sequences, seed: int) -> None:
    first, second = draw_two_views(seqs, (Add(3), Double()), "chained", generator(seed))
    expected = [[2 * (item + 3) for item in row] for row in real_items(seqs)]
    assert real_items(first.sequences) == real_items(second.sequences) == expected
    first, second = draw_two_views(seqs, (Double(), Add(3)), "chained", generator(seed))
    expected = [[2 * item + 3 for item in row] for row in real_items(seqs)]
    assert real_items(first.sequences) == real_items(second.sequences) == expected


def test_chained_views_name_no_single_operator() -> None:
    views = draw_two_views(padded([[1, 2], [3]]), THREE, "chained", generator(0))
    assert choices(views) == [(CHAINED, CHAINED)] * 2


def test_two_distinct_draws_every_ordered_pair_and_no_operator_twice() -> None:
    drawn = choices(draw_two_views(padded([[1]] * 6000), THREE, "two_distinct", generator(0)))
    pairs = [(a, b) for a in range(3) for b in range(3) if a != b]
    assert set(drawn) == set(pairs)
    assert could_be_uniform([drawn.count(pair) for pair in pairs])


def test_two_distinct_of_two_operators_uses_both() -> None:
    drawn = choices(draw_two_views(padded([[1]] * 2000), THREE[:2], "two_distinct", generator(0)))
    assert set(drawn) == {(0, 1), (1, 0)}
    assert could_be_uniform([drawn.count((0, 1)), drawn.count((1, 0))])


def test_with_replacement_draws_every_pair() -> None:
    drawn = choices(draw_two_views(padded([[1]] * 9000), THREE, "with_replacement", generator(0)))
    assert could_be_uniform([drawn.count((a, b)) for a in range(3) for b in range(3)])


SHORT = ShortHistories(2, (2, 0))  # histories of one and two items add 400 or 100


@pytest.mark.parametrize("draw", ["two_distinct", "with_replacement"])
def test_short_histories_draw_from_their_own_operators_alone(draw: Draw) -> None:
    seqs = padded([[1, 2]] * 4000)
    drawn = choices(draw_two_views(seqs, THREE, draw, generator(0), SHORT))
    pairs = [(a, b) for a in (0, 2) for b in (0, 2) if a != b or draw == "with_replacement"]
    assert set(drawn) == set(pairs)
    assert could_be_uniform([drawn.count(pair) for pair in pairs])


@pytest.mark.parametrize("draw", ["two_distinct", "with_replacement"])
def test_longer_histories_draw_from_all_operators(draw: Draw) -> None:
    seqs = padded([[1, 2, 3]] * 6000)
    drawn = choices(draw_two_views(seqs, THREE, draw, generator(0), SHORT))
    pairs = [(a, b) for a in range(3) for b in range(3) if a != b or draw == "with_replacement"]
    assert set(drawn) == set(pairs)
    assert could_be_uniform([drawn.count(pair) for pair in pairs])


@pytest.mark.parametrize("draw", ["two_distinct", "with_replacement"])
@given(seqs=histories(), seed=seeds)
def test_views_of_long_histories_do_not_change_where_none_is_short(
    draw: Draw, seqs: Sequences, seed: int
) -> None:
    plain = draw_two_views(seqs, THREE, draw, generator(seed))
    none_is = draw_two_views(seqs, THREE, draw, generator(seed), ShortHistories(0, (2, 0)))
    for view, other in zip(plain, none_is, strict=True):
        assert torch.equal(view.sequences.items, other.sequences.items)


def test_two_distinct_asks_for_two_operators_for_short_histories() -> None:
    with pytest.raises(ValueError, match="two_distinct needs at least two operators"):
        draw_two_views(padded([[1]]), THREE, "two_distinct", generator(0), ShortHistories(1, (2,)))


@pytest.mark.parametrize("draw", DRAWS)
@given(seqs=histories(), seed=seeds)
def test_operators_may_make_views_of_different_widths(
    draw: Draw, seqs: Sequences, seed: int
) -> None:
    """What is not between 101 and 120 is the history, its end or all of it but hidden items."""
    operators = bind((Insert(1.0), Add(0)), a_hundred_more(), 16)
    for view in draw_two_views(seqs, operators, draw, generator(seed)):
        assert view.sequences.width <= 16
        assert torch.equal(view.sequences.items != 0, view.sequences.real())
        rows = zip(real_items(seqs), real_items(view.sequences), view.operator, strict=True)
        for old, new, operator in rows:
            doubled = [one for item in old for one in (item + 100 if item > 0 else item, item)]
            assert new == (old if operator == 1 else doubled[-16:])


@given(seqs=histories(), seed=seeds)
def test_a_row_without_a_chosen_operator_stays(seqs: Sequences, seed: int) -> None:
    choice = torch.arange(len(seqs)) % 2 - 1  # none, the first, none, ...
    after = apply_chosen(seqs, (Add(100),), choice, generator(seed))
    expected = torch.where(seqs.real() & (choice == 0)[:, None], seqs.items + 100, seqs.items)
    assert torch.equal(after.items, expected)


def test_two_distinct_asks_for_two_operators() -> None:
    with pytest.raises(ValueError, match="two_distinct needs at least two operators"):
        draw_two_views(padded([[1]]), THREE[:1], "two_distinct", generator(0))


@pytest.mark.parametrize("draw", ["with_replacement", "chained"])
def test_one_operator_draws_anew_for_each_view(draw: Draw) -> None:
    first, second = draw_two_views(counting([20] * 50), (Mask(0.5),), draw, generator(0))
    same = (first.sequences.items == second.sequences.items).all(dim=1)
    assert same.sum() == 0  # of 50 pairs, each alike once in C(20, 10) = 184,756


@pytest.mark.parametrize("draw", DRAWS)
@given(seqs=histories(), seed=seeds)
def test_views_do_not_edit_the_input_and_repeat_with_the_generator(
    draw: Draw, seqs: Sequences, seed: int
) -> None:
    items, lengths = seqs.items.clone(), seqs.lengths.clone()
    operators = (Crop(), Mask(), Reorder())
    once = draw_two_views(seqs, operators, draw, generator(seed))
    again = draw_two_views(seqs, operators, draw, generator(seed))
    for view, other in zip(once, again, strict=True):
        assert torch.equal(view.operator, other.operator)
        assert torch.equal(view.sequences.items, other.sequences.items)
        assert torch.equal(view.sequences.lengths, other.sequences.lengths)
    assert torch.equal(seqs.items, items)
    assert torch.equal(seqs.lengths, lengths)


def test_three_of_four_histories_are_cut_short_and_one_is_not() -> None:
    before = counting([1, 2, 3, 4])  # crop .6 keeps 1, 1, 1, 2 items
    assert identity_rate(before, Crop(keep=0.6)(before, generator(0))).item() == 0.25


def test_a_mask_of_three_tenths_never_changes_histories_of_one_to_three() -> None:
    before = counting([1, 2, 3] * 50)
    assert identity_rate(before, Mask(ratio=0.3)(before, generator(0))).item() == 1.0


def test_a_mask_of_three_tenths_changes_every_longer_history() -> None:
    before = counting([4, 5, 6, 10])
    assert identity_rate(before, Mask(ratio=0.3)(before, generator(0))).item() == 0.0


def test_identity_rate_counts_rows_by_hand() -> None:
    before = padded([[1, 2, 3], [4, 5], [6], [7, 8]])
    after = padded([[1, 2, 3], [5, 4], [6], [7]])
    assert identity_rate(before, after).item() == 0.5


def test_identity_does_not_depend_on_padding() -> None:
    rows = [[1, 2, 3], [4]]
    assert identity_rate(padded(rows), padded(rows, width=6)).item() == 1.0
    assert identity_rate(padded(rows, width=6), padded(rows)).item() == 1.0
