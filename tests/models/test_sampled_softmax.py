"""The sampled softmax: its formula, what it samples, and what it tends to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from augment import TrainHistories
from models.losses.next_item import Items, SampledSoftmax
from tests.histories import could_be_uniform, generator

ITEMS = 11
TARGETS = torch.tensor([1, 11, 4, 4, 8])
OFTEN = [1, 9, 1, 3, 1, 4, 1, 2, 16, 1, 1]  # interactions of items 1..11; 3, 5 have none
UNSEEN = (3, 5)
Corrected = Literal["all", "negatives"]
both_corrections = pytest.mark.parametrize("corrected", ["all", "negatives"])


@dataclass(eq=False, repr=False)
class EachItemOnce(SampledSoftmax):
    """Its negatives are the whole catalogue."""

    def draw(self, rng: Generator) -> Tensor:
        return torch.arange(1, ITEMS + 1)


def train_split() -> TrainHistories:
    items = [i for i, n in enumerate(OFTEN, 1) if i not in UNSEEN for _ in range(n)]
    return TrainHistories(torch.tensor(items), torch.tensor([0, len(items)]), ITEMS)


def fitted(loss: SampledSoftmax) -> SampledSoftmax:
    loss.fit(train_split())
    return loss


def example(scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Five states; eleven items between padding and [mask]."""
    rng = generator(0)
    states = torch.randn(5, 3, generator=rng, dtype=torch.float64) * scale
    table = torch.randn(ITEMS + 2, 3, generator=rng, dtype=torch.float64)
    return states.requires_grad_(), table.requires_grad_()


def value_and_gradients(loss: Tensor, *leaves: Tensor) -> list[Tensor]:
    return [loss.detach(), *torch.autograd.grad(loss, leaves)]


def full_softmax(states: Tensor, table: Tensor) -> Tensor:
    return F.cross_entropy(states @ table[1:-1].T, TARGETS - 1)


# The formula ---------------------------------------------------------------------------------


@both_corrections
@pytest.mark.parametrize("temperature", [0.3, 1.0])
@pytest.mark.parametrize("k", [1, 3, 50])
def test_it_is_the_corrected_softmax_of_a_plain_loop(
    corrected: Corrected, temperature: float, k: int
) -> None:
    loss = fitted(SampledSoftmax(k, temperature=temperature, corrected=corrected))
    states, table = (leaf.detach() for leaf in example())
    drawn = loss.draw(generator(5)).tolist()
    powers = [n**0.75 for n in OFTEN]
    expected = [k * power / sum(powers) for power in powers]  # times that k draws give an item
    total = 0.0
    for state, target in zip(states, TARGETS.tolist(), strict=True):
        positive = math.exp(float(state @ table[target]) / temperature)
        positive /= expected[target - 1] if corrected == "all" else 1.0
        rest = sum(
            math.exp(float(state @ table[item]) / temperature) / expected[item - 1]
            for item in drawn
            if item != target
        )
        total -= math.log(positive / (positive + rest))
    value = loss(states, Items(table, ITEMS), TARGETS, generator(5))
    assert value.item() == pytest.approx(total / len(TARGETS), rel=1e-5)


@both_corrections
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_all_items_once_are_the_full_softmax(corrected: Corrected, scale: float) -> None:
    loss = fitted(EachItemOnce(ITEMS, "uniform", corrected=corrected))
    states, table = example(scale)
    ours = loss(states, Items(table, ITEMS), TARGETS, generator(0))
    for mine, theirs in zip(
        value_and_gradients(ours, states, table),
        value_and_gradients(full_softmax(states, table), states, table),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_the_constant_k_cancels_where_all_are_corrected() -> None:
    """Expected counts and the proposal's probabilities are the same correction."""
    states, table = example()
    values = [
        fitted(EachItemOnce(k))(states, Items(table, ITEMS), TARGETS, generator(0)).item()
        for k in (1, 1000)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-6)


@pytest.mark.parametrize("sampling", ["uniform", "popularity"])
def test_a_large_sample_tends_to_the_full_softmax(sampling: Any) -> None:
    """Where the target, which is there with certainty, is not corrected."""
    states, table = example()
    loss = fitted(SampledSoftmax(200_000, sampling, corrected="negatives"))
    ours = loss(states, Items(table, ITEMS), TARGETS, generator(0))
    for mine, theirs in zip(
        value_and_gradients(ours, states, table),
        value_and_gradients(full_softmax(states, table), states, table),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=0.03, atol=0.003)


@both_corrections
def test_the_mean_gradient_is_nearly_that_of_the_full_softmax(corrected: Corrected) -> None:
    """300 draws of 100 from 100 items, so an item is expected once and both forms are one.

    What is left, about 1 / sqrt(300) of a single draw's error and the bias of order 1 / k of a
    ratio of estimates, is under 6 %.
    """
    rng, num = generator(1), 100
    states = torch.randn(8, 4, generator=rng).requires_grad_()
    table = (0.5 * torch.randn(num + 2, 4, generator=rng)).requires_grad_()
    targets = torch.randint(1, num + 1, (8,), generator=rng)
    loss = SampledSoftmax(num, "uniform", corrected=corrected)
    loss.fit(TrainHistories(targets, torch.tensor([0, 8]), num))
    draws = [loss(states, Items(table, num), targets, rng) for _ in range(300)]
    mean = torch.autograd.grad(torch.stack(draws).mean(), (states, table))
    full = F.cross_entropy(states @ table[1:-1].T, targets - 1)
    for mine, theirs in zip(mean, torch.autograd.grad(full, (states, table)), strict=True):
        assert ((mine - theirs).norm() / theirs.norm()).item() < 0.06


# Accidental hits -----------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class Draws4And8(SampledSoftmax):
    def draw(self, rng: Generator) -> Tensor:
        return torch.tensor([4, 8, 4])


def test_a_negative_that_is_the_target_is_no_negative_of_that_row_alone() -> None:
    states, table = example()
    loss = fitted(Draws4And8(3, "uniform"))
    scores = states @ table.T
    candidates = [[1, 4, 8, 4], [11, 4, 8, 4], [4, 8], [4, 8], [8, 4, 4]]
    expected = [
        F.cross_entropy(scores[row, some][None], torch.tensor([0])).item()
        for row, some in enumerate(candidates)
    ]
    value = loss(states, Items(table, ITEMS), TARGETS, generator(0))
    assert value.item() == pytest.approx(sum(expected) / 5, rel=1e-6)


def test_a_row_without_any_negative_costs_nothing_and_pulls_nowhere() -> None:
    states, table = example()
    targets = torch.tensor([4, 4, 4, 8, 4])
    loss = fitted(Draws4And8(3, "uniform"))
    loss.draw = lambda rng: torch.tensor([4, 4])  # type: ignore[method-assign]
    value = loss(states, Items(table, ITEMS), targets, generator(0))
    assert value.isfinite()
    grad_states, grad_table = torch.autograd.grad(value, (states, table))
    assert grad_table.isfinite().all()
    assert grad_states[[0, 1, 2, 4]].abs().max() == 0
    assert grad_states[3].abs().max() > 0


# What is drawn -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampling", "power", "weights"),
    [
        ("uniform", 0.75, [1.0] * ITEMS),
        ("popularity", 0.0, [1.0] * ITEMS),
        ("popularity", 0.75, [n**0.75 for n in OFTEN]),
        ("popularity", 1.0, [float(n) for n in OFTEN]),
    ],
)
def test_items_are_drawn_by_their_share(sampling: Any, power: float, weights: list[float]) -> None:
    """Items 3 and 5, never seen in training, are drawn like those seen once."""
    loss = fitted(SampledSoftmax(20_000, sampling, power))
    counts = torch.bincount(loss.draw(generator(0)), minlength=ITEMS + 1)
    assert counts[0] == 0
    assert len(counts) == ITEMS + 1
    assert could_be_uniform(counts[1:], weights)
    share = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    torch.testing.assert_close(loss.get_buffer("log_share"), share.log().float())


def test_the_ends_of_the_unit_interval_draw_the_ends_of_the_catalogue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loss = fitted(SampledSoftmax(2))
    loss.get_buffer("running_share")[-1] = 1.0 - 1e-9  # rounding may leave a gap
    monkeypatch.setattr(
        torch, "rand", lambda *size, **options: torch.tensor([0.0, 1.0 - 1e-12]).double()
    )
    assert loss.draw(generator(0)).tolist() == [1, ITEMS]


# What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("negatives", 0, "negatives must be at least 1, got 0"),
        ("power", -0.5, "power must be at least 0, got -0.5"),
        ("power", float("nan"), "power must be at least 0, got nan"),
        ("power", float("inf"), "power must be at least 0, got inf"),
        ("temperature", 0.0, "temperature must be positive, got 0.0"),
        ("temperature", float("nan"), "temperature must be positive, got nan"),
        ("temperature", float("inf"), "temperature must be positive, got inf"),
    ],
)
def test_a_field_out_of_range_is_named(field: str, value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}"):
        SampledSoftmax(**{field: value})
