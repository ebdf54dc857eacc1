"""What every operator promises, the built-in ones and those that are added later."""

from __future__ import annotations

import copy
import dataclasses
import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given

from augment import MASK, OPERATORS, PADDING, Operator, Sequences, bind
from augment.operator import CorrelatedOperator, TimeReading, without_places
from augment.sequences import with_places
from tests.augment.tables import listed
from tests.histories import (
    generator,
    histories,
    padded,
    percents,
    real_items,
    real_times,
    seeds,
    shares,
    timed,
)

SHARES = ("keep", "ratio")  # fields that hold a share of a history

WIDENING = (
    "insert",
    "time_insert",
)  # operators that make histories longer, and then the batch wider
MAX_LENGTH = 18  # above the widest batch of `histories()`, below what insert can make of it
CORRELATED = [[item % 18 + 1, (item + 4) % 18 + 1] for item in range(1, 19)] + [[], []]
"""The neighbours of items 1 to 20; 19 and 20 have none."""

every_operator = pytest.mark.parametrize("name", list(OPERATORS))


def share_fields(name: str) -> list[str]:
    declared: Any = OPERATORS[name]
    return [field.name for field in dataclasses.fields(declared) if field.name in SHARES]


def as_read(name: str, seqs: Sequences, seed: int = 0) -> Sequences:
    """The histories, with times where the operator reads them."""
    reads = isinstance(OPERATORS[name](), TimeReading) and seqs.times is None
    return timed(seqs, seed) if reads else seqs


def build(name: str, share: float) -> Operator:
    """The operator with its default fields, but this share of a history.

    One that reads neighbours is handed the table above.
    """
    operator = OPERATORS[name](**dict.fromkeys(share_fields(name), share))
    return bind([operator], listed(CORRELATED), MAX_LENGTH)[0]


def assert_well_formed(name: str, before: Sequences, after: Sequences) -> None:
    """As wide as before, or, of an operator that widens, no wider than a history may be."""
    assert len(after) == len(before)
    assert after.width == before.width or (name in WIDENING and after.width <= MAX_LENGTH)
    assert after.lengths.shape == before.lengths.shape
    assert after.items.dtype == after.lengths.dtype == torch.int64
    assert after.lengths.min() >= 1
    assert after.lengths.max() <= after.width
    assert torch.equal(after.items != PADDING, after.real())


@every_operator
def test_an_operator_is_a_frozen_dataclass_with_a_default_for_every_field(name: str) -> None:
    operator: Any = OPERATORS[name]()
    assert operator == OPERATORS[name]()
    for field in dataclasses.fields(operator):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(operator, field.name, getattr(operator, field.name))


@every_operator
@given(seqs=histories(), share=shares, seed=seeds)
def test_histories_stay_well_formed(name: str, seqs: Sequences, share: float, seed: int) -> None:
    assert_well_formed(name, seqs, build(name, share)(as_read(name, seqs, seed), generator(seed)))


@every_operator
@pytest.mark.parametrize("share", [0.0, 1.0])
@given(seqs=histories(), seed=seeds)
def test_the_extreme_shares_are_allowed(
    name: str, share: float, seqs: Sequences, seed: int
) -> None:
    assert_well_formed(name, seqs, build(name, share)(as_read(name, seqs, seed), generator(seed)))


@every_operator
@given(share=shares, seed=seeds)
def test_a_batch_of_one_history_of_one_item_is_enough(name: str, share: float, seed: int) -> None:
    one = padded([[7]])
    assert_well_formed(name, one, build(name, share)(as_read(name, one), generator(seed)))
    wide = padded([[7]], width=5)
    assert_well_formed(name, wide, build(name, share)(as_read(name, wide), generator(seed)))


@every_operator
@given(seqs=histories(), share=shares, seed=seeds)
def test_the_input_is_not_edited(name: str, seqs: Sequences, share: float, seed: int) -> None:
    seqs = timed(seqs, seed)
    before = copy.deepcopy(seqs)
    build(name, share)(as_read(name, seqs, seed), generator(seed))
    assert torch.equal(seqs.items, before.items)
    assert torch.equal(seqs.lengths, before.lengths)
    assert seqs.times is not None
    assert before.times is not None
    assert torch.equal(seqs.times, before.times)


@every_operator
@given(seqs=histories(), share=shares, seed=seeds)
def test_times_still_never_fall_and_lie_between_the_first_and_the_last(
    name: str, seqs: Sequences, share: float, seed: int
) -> None:
    """A plug-in's operator may leave a history without times instead; ours keep them."""
    seqs = timed(seqs, seed)
    after = build(name, share)(seqs, generator(seed))
    if after.times is None:
        assert not OPERATORS[name].__module__.startswith("augment.")
        return
    assert after.times.shape == after.items.shape
    assert after.times.dtype == torch.int64
    assert (after.times[~after.real()] == PADDING).all()
    for old, new in zip(real_times(seqs), real_times(after), strict=True):
        assert old[0] <= new[0]
        assert new == sorted(new)
        assert new[-1] <= old[-1]


@every_operator
@given(seqs=histories(), share=shares, seed=seeds)
def test_data_without_times_have_none_after_it(
    name: str, seqs: Sequences, share: float, seed: int
) -> None:
    if as_read(name, seqs) is seqs:
        assert build(name, share)(seqs, generator(seed)).times is None
        return
    with pytest.raises(ValueError, match="need data with times"):
        build(name, share)(seqs, generator(seed))


@every_operator
@given(seqs=histories(), share=shares, seed=seeds)
def test_every_item_comes_from_the_history_or_is_hidden_or_a_neighbour_of_its_items(
    name: str, seqs: Sequences, share: float, seed: int
) -> None:
    """Neighbours are for operators alone that are handed a table of them."""
    after = build(name, share)(as_read(name, seqs, seed), generator(seed))
    reads = isinstance(OPERATORS[name](), CorrelatedOperator)
    for old, new in zip(real_items(seqs), real_items(after), strict=True):
        near = {other for item in old if item > 0 for other in CORRELATED[item - 1]}
        assert set(new) <= {*old, MASK, *(near if reads else ())}


@every_operator
@given(seqs=histories(), share=shares, seed=seeds)
def test_an_operator_that_says_so_tells_where_each_item_stood(
    name: str, seqs: Sequences, share: float, seed: int
) -> None:
    """An item is the one that stood there, is hidden, or is a neighbour of it; one that was put
    in has place 0.  No place is told twice."""
    if without_places([OPERATORS[name]()]):
        return
    after = build(name, share)(with_places(as_read(name, seqs, seed)), generator(seed))
    assert after.places is not None
    assert after.places.shape == after.items.shape
    assert (after.places[~after.real()] == 0).all()
    for row, old in enumerate(real_items(seqs)):
        items, places = after.items[row].tolist(), after.places[row].tolist()
        told = [place for place in places if place > 0]
        assert len(set(told)) == len(told) > 0
        for item, place in zip(items, places, strict=True):
            if place > 0:
                one = old[place - 1]
                assert item in {one, MASK, *(CORRELATED[one - 1] if one > 0 else ())}


@every_operator
@given(seqs=histories(), share=shares, seed=seeds)
def test_nobody_is_told_places_who_does_not_ask(
    name: str, seqs: Sequences, share: float, seed: int
) -> None:
    assert build(name, share)(as_read(name, seqs, seed), generator(seed)).places is None


@pytest.mark.parametrize(
    "name", [name for name, cls in OPERATORS.items() if isinstance(cls(), CorrelatedOperator)]
)
def test_an_operator_that_reads_neighbours_says_so_when_it_has_none(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} needs the neighbours of items"):
        OPERATORS[name]()(padded([[1, 2]]), generator(0))


@every_operator
@given(seqs=histories(), share=shares, seed=seeds)
def test_the_generator_alone_decides(name: str, seqs: Sequences, share: float, seed: int) -> None:
    torch.manual_seed(1)
    first = build(name, share)(as_read(name, seqs, seed), generator(seed))
    torch.manual_seed(2)
    second = build(name, share)(as_read(name, seqs, seed), generator(seed))
    assert torch.equal(first.items, second.items)
    assert torch.equal(first.lengths, second.lengths)


@every_operator
def test_the_global_random_states_are_left_alone(name: str) -> None:
    torch_state, python_state = torch.get_rng_state(), random.getstate()
    numpy_state = str(np.random.get_state())  # noqa: NPY002
    build(name, 0.5)(as_read(name, padded([[1, 2, 3, 4], [5]])), generator(0))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert str(np.random.get_state()) == numpy_state  # noqa: NPY002
    assert random.getstate() == python_state


@every_operator
@given(percent=percents)
def test_every_share_between_0_and_1_is_accepted(name: str, percent: int) -> None:
    for field in share_fields(name):
        assert getattr(OPERATORS[name](**{field: percent / 100}), field) == percent / 100


@pytest.mark.parametrize(
    ("name", "field"), [(name, field) for name in OPERATORS for field in share_fields(name)]
)
@pytest.mark.parametrize("share", [-0.1, 1.1, float("inf"), float("-inf"), float("nan")])
def test_a_share_out_of_range_is_named(name: str, field: str, share: float) -> None:
    with pytest.raises(ValueError, match=f"^{field} "):
        OPERATORS[name](**{field: share})
