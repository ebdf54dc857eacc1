"""What every operator promises, the built-in ones and those that are added later."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given

from augment import MASK, OPERATORS, PADDING, Operator, Sequences
from tests.histories import generator, histories, padded, percents, real_items, seeds, shares

SHARES = ("keep", "ratio")  # fields that hold a share of a history

every_operator = pytest.mark.parametrize("name", list(OPERATORS))


def share_fields(name: str) -> list[str]:
    declared: Any = OPERATORS[name]
    return [field.name for field in dataclasses.fields(declared) if field.name in SHARES]


def build(name: str, share: float) -> Operator:
    """The operator with its default fields, but this share of a history."""
    return OPERATORS[name](**dict.fromkeys(share_fields(name), share))


def assert_well_formed(before: Sequences, after: Sequences) -> None:
    assert after.items.shape == before.items.shape
    assert after.lengths.shape == before.lengths.shape
    assert after.items.dtype == after.lengths.dtype == torch.int64
    assert after.lengths.min() >= 1
    assert after.lengths.max() <= before.width
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
    assert_well_formed(seqs, build(name, share)(seqs, generator(seed)))


@every_operator
@pytest.mark.parametrize("share", [0.0, 1.0])
@given(seqs=histories(), seed=seeds)
def test_the_extreme_shares_are_allowed(
    name: str, share: float, seqs: Sequences, seed: int
) -> None:
    assert_well_formed(seqs, build(name, share)(seqs, generator(seed)))


@every_operator
@given(share=shares, seed=seeds)
def test_a_batch_of_one_history_of_one_item_is_enough(name: str, share: float, seed: int) -> None:
    one = padded([[7]])
    assert_well_formed(one, build(name, share)(one, generator(seed)))
    wide = padded([[7]], width=5)
    assert_well_formed(wide, build(name, share)(wide, generator(seed)))


@every_operator
@given(seqs=histories(), share=shares, seed=seeds)
def test_the_input_is_not_edited(name: str, seqs: Sequences, share: float, seed: int) -> None:
    items, lengths = seqs.items.clone(), seqs.lengths.clone()
    build(name, share)(seqs, generator(seed))
    assert torch.equal(seqs.items, items)
    assert torch.equal(seqs.lengths, lengths)


@every_operator
@given(seqs=histories(), share=shares, seed=seeds)
def test_every_item_comes_from_the_history_or_is_hidden(
    name: str, seqs: Sequences, share: float, seed: int
) -> None:
    after = build(name, share)(seqs, generator(seed))
    for old, new in zip(real_items(seqs), real_items(after), strict=True):
        assert set(new) <= {*old, MASK}


@every_operator
@given(seqs=histories(), share=shares, seed=seeds)
def test_the_generator_alone_decides(name: str, seqs: Sequences, share: float, seed: int) -> None:
    torch.manual_seed(1)
    first = build(name, share)(seqs, generator(seed))
    torch.manual_seed(2)
    second = build(name, share)(seqs, generator(seed))
    assert torch.equal(first.items, second.items)
    assert torch.equal(first.lengths, second.lengths)


@every_operator
def test_the_global_random_states_are_left_alone(name: str) -> None:
    torch_state, python_state = torch.get_rng_state(), random.getstate()
    numpy_state = str(np.random.get_state())  # noqa: NPY002
    build(name, 0.5)(padded([[1, 2, 3, 4], [5]]), generator(0))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert str(np.random.get_state()) == numpy_state  # noqa: NPY002
    assert random.getstate() == python_state


@every_operator
@given(percent=percents)
def test_every_share_between_0_and_1_is_accepted(name: str, percent: int) -> None:
    for field in share_fields(name):
        assert getattr(build(name, percent / 100), field) == percent / 100


@pytest.mark.parametrize(
    ("name", "field"), [(name, field) for name in OPERATORS for field in share_fields(name)]
)
@pytest.mark.parametrize("share", [-0.1, 1.1, float("inf"), float("-inf"), float("nan")])
def test_a_share_out_of_range_is_named(name: str, field: str, share: float) -> None:
    with pytest.raises(ValueError, match=f"^{field} "):
        OPERATORS[name](**{field: share})
