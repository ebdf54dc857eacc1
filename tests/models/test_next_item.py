"""The blockwise cross-entropy is cross-entropy."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.losses import cross_entropy, full_softmax
from models.losses.next_item import NEXT_ITEM_LOSSES, Items
from tests.histories import generator
from tests.models.tiny import cyclic_histories

BOTH = [torch.float32, torch.float64]
BLOCKS = [1, 11, 22, 10**9]  # scores held at once: 1, 1, 2 or all rows of 11 items


def example(dtype: torch.dtype, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Five states, eleven items, five targets."""
    rng = torch.Generator().manual_seed(0)
    states = torch.randn(5, 3, generator=rng, dtype=dtype) * scale
    items = torch.randn(11, 3, generator=rng, dtype=dtype)
    return states.requires_grad_(), items.requires_grad_(), torch.tensor([0, 10, 3, 3, 7])


def value_and_gradients(loss: Tensor, states: Tensor, items: Tensor) -> tuple[Tensor, ...]:
    return (loss.detach(), *torch.autograd.grad(loss, (states, items)))


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("dtype", BOTH)
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_value_and_gradients_are_torch_s(
    monkeypatch: pytest.MonkeyPatch, block: int, dtype: torch.dtype, scale: float
) -> None:
    monkeypatch.setattr(full_softmax, "BLOCK", block)
    states, items, targets = example(dtype, scale)
    ours = value_and_gradients(0.3 * cross_entropy(states, items, targets), states, items)
    plain = 0.3 * F.cross_entropy(states @ items.T, targets)
    for mine, theirs in zip(ours, value_and_gradients(plain, states, items), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("block", [22, 10**9])
def test_the_gradient_is_the_derivative(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(full_softmax, "BLOCK", block)
    states, items, targets = example(torch.float64)
    assert torch.autograd.gradcheck(lambda s, i: cross_entropy(s, i, targets), (states, items))


@pytest.mark.parametrize("size", [1, 2, 11, 5000])
def test_states_without_information_cost_a_guess(size: int) -> None:
    loss = cross_entropy(torch.zeros(3, 4), torch.ones(size, 4), torch.tensor([0, size - 1, 0]))
    assert loss.item() == pytest.approx(math.log(size), abs=1e-5)


@pytest.mark.parametrize("target", [0, 1, 2])
def test_extreme_scores_stay_finite(target: int) -> None:
    states = torch.tensor([[1e4]], requires_grad=True)
    items = torch.tensor([[1.0], [-1.0], [0.0]], requires_grad=True)  # scores 1e4, -1e4, 0
    loss = cross_entropy(states, items, torch.tensor([target]))
    assert loss.item() == [0.0, 2e4, 1e4][target]
    expected = F.cross_entropy(states @ items.T, torch.tensor([target]))
    ours = value_and_gradients(loss, states, items)
    for mine, theirs in zip(ours, value_and_gradients(expected, states, items), strict=True):
        assert mine.isfinite().all()
        torch.testing.assert_close(mine, theirs)


def test_states_need_not_be_contiguous() -> None:
    states, items, targets = example(torch.float64)
    turned = states.detach().T.contiguous().T.requires_grad_()
    ours = value_and_gradients(cross_entropy(turned, items, targets), turned, items)
    plain = F.cross_entropy(states @ items.T, targets)
    for mine, theirs in zip(ours, value_and_gradients(plain, states, items), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_its_inputs_are_not_edited() -> None:
    states, items, targets = example(torch.float32)
    before = [tensor.detach().clone() for tensor in (states, items, targets)]
    cross_entropy(states, items, targets).backward()  # type: ignore[no-untyped-call]
    for tensor, old in zip((states, items, targets), before, strict=True):
        assert torch.equal(tensor, old)


def test_every_next_item_loss_is_a_scalar_with_gradients() -> None:
    train = cyclic_histories(users=9, num_items=11, longest=8)
    for name, kind in NEXT_ITEM_LOSSES.items():
        if name == "none":
            continue
        states, table, targets = example(torch.float32)
        weight = torch.cat([torch.zeros(1, 3), table, torch.zeros(1, 3)])
        loss = kind()
        loss.fit(train)
        value = loss(states, Items(weight, 11), targets + 1, generator(0))
        assert value.shape == ()
        for grad in torch.autograd.grad(value, (states, table)):
            assert grad.isfinite().all()
            assert grad.abs().max() > 0
