"""The blockwise cross-entropy is cross-entropy."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.evaluation.export import item_vectors
from models.losses import cross_entropy, full_softmax
from models.losses.class_weight import ClassWeight, item_weights, target_counts
from models.losses.info_nce import Similarity
from models.losses.next_item import CrossEntropy, Items
from tests.histories import generator, padded
from tests.models.tiny import build_model, cyclic_histories, encoder_config

BOTH = [torch.float32, torch.float64]
WHOLE_ROWS = [(1, 0), (11, 0), (22, 0), (10**9, 0)]  # 1, 1, 2 or all rows of 11 items
PARTS_OF_ROWS = [(1, 16), (10, 16), (22, 16)]  # 1, 2 or 4 of the items at a time
BLOCKS = WHOLE_ROWS + PARTS_OF_ROWS
"""Scores held at once, and how many rows of them are too few."""


def hold(monkeypatch: pytest.MonkeyPatch, block: tuple[int, int]) -> None:
    monkeypatch.setattr(full_softmax, "BLOCK", block[0])
    monkeypatch.setattr(full_softmax, "FEWEST_ROWS", block[1])


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
    monkeypatch: pytest.MonkeyPatch, block: tuple[int, int], dtype: torch.dtype, scale: float
) -> None:
    hold(monkeypatch, block)
    states, items, targets = example(dtype, scale)
    ours = value_and_gradients(0.3 * cross_entropy(states, items, targets), states, items)
    plain = 0.3 * F.cross_entropy(states @ items.T, targets)
    for mine, theirs in zip(ours, value_and_gradients(plain, states, items), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("block", [(22, 0), (10**9, 0), (10, 16)])
def test_the_gradient_is_the_derivative(
    monkeypatch: pytest.MonkeyPatch, block: tuple[int, int]
) -> None:
    hold(monkeypatch, block)
    states, items, targets = example(torch.float64)
    assert torch.autograd.gradcheck(lambda s, i: cross_entropy(s, i, targets), (states, items))


def test_a_large_catalogue_is_never_scored_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """No product of the loss has more than the scores that may be held."""
    held, made = 600, []
    hold(monkeypatch, (held, 16))
    multiply = torch.mm

    def watched(a: Tensor, b: Tensor, **out: Tensor) -> Tensor:
        result = multiply(a, b, **out)
        made.append(result.numel() if a.shape[1] == 4 else 0)  # states x items, not gradients
        return result

    monkeypatch.setattr(torch, "mm", watched)
    rng = generator(0)
    states, items = torch.randn(30, 4, generator=rng), torch.randn(500, 4, generator=rng)
    targets = torch.randint(500, (30,), generator=rng)
    loss = cross_entropy(states, items, targets)
    assert 0 < max(made) <= held
    assert sum(made) == 2 * 30 * 500
    torch.testing.assert_close(loss, F.cross_entropy(states @ items.T, targets))


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


# Weights and label smoothing -----------------------------------------------------------------

WEIGHTS = torch.tensor([0.5, 2.0, 0.0, 1.0, 7.0])


def weighted_mean(scores: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """By torch: the mean over targets of weight * cross-entropy."""
    each = F.cross_entropy(scores, targets, reduction="none", label_smoothing=smoothing)
    return (WEIGHTS.to(scores.dtype) * each).mean()


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("dtype", BOTH)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_weights_and_smoothing_are_torch_s(
    monkeypatch: pytest.MonkeyPatch,
    block: tuple[int, int],
    dtype: torch.dtype,
    smoothing: float,
    scale: float,
) -> None:
    hold(monkeypatch, block)
    states, items, targets = example(dtype, scale)
    loss = 0.3 * cross_entropy(states, items, targets, WEIGHTS.to(dtype), smoothing)
    plain = 0.3 * weighted_mean(states @ items.T, targets, smoothing)
    expected = value_and_gradients(plain, states, items)
    for mine, theirs in zip(value_and_gradients(loss, states, items), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("smoothing", [0.1, 0.9])
def test_smoothing_without_weights_is_torch_s(smoothing: float) -> None:
    states, items, targets = example(torch.float64)
    loss = cross_entropy(states, items, targets, label_smoothing=smoothing)
    plain = F.cross_entropy(states @ items.T, targets, label_smoothing=smoothing)
    expected = value_and_gradients(plain, states, items)
    for mine, theirs in zip(value_and_gradients(loss, states, items), expected, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("dtype", BOTH)
def test_weights_of_1_change_no_bit(dtype: torch.dtype) -> None:
    states, items, targets = example(dtype)
    plain = value_and_gradients(cross_entropy(states, items, targets), states, items)
    ones = cross_entropy(states, items, targets, torch.ones(5, dtype=dtype))
    for mine, other in zip(plain, value_and_gradients(ones, states, items), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_weighted_gradient_is_the_derivative(smoothing: float) -> None:
    states, items, targets = example(torch.float64)
    weights = WEIGHTS.double()
    assert torch.autograd.gradcheck(
        lambda s, i: cross_entropy(s, i, targets, weights, smoothing), (states, items)
    )


# The loss that a configuration names ----------------------------------------------------------


def with_padding_and_mask(items: Tensor) -> Items:
    around = torch.zeros(1, items.shape[1], dtype=items.dtype)
    return Items(torch.cat([around, items, around]), len(items))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", ["inverse_frequency", "effective_number"])
def test_the_fields_reach_the_loss(smoothing: float, weight: ClassWeight) -> None:
    states, items, targets = example(torch.float32)
    loss = CrossEntropy(weight, beta=0.5, label_smoothing=smoothing)
    train = cyclic_histories(users=9, num_items=11, longest=8)
    loss.fit(train)
    weights = item_weights(weight, target_counts(train), 0.5)
    value = loss(states, with_padding_and_mask(items), targets + 1, generator(0))
    expected = cross_entropy(states, items, targets, weights[targets], smoothing)
    assert value.item() == expected.item()


@pytest.mark.parametrize("field", ["beta", "label_smoothing"])
@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan"), float("inf")])
def test_a_share_outside_0_to_1_is_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{field} must lie in \[0, 1\), got {value}"):
        CrossEntropy(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_similarity_and_temperature_are_torch_s(similarity: Similarity, temperature: float) -> None:
    states, items, targets = example(torch.float64)
    table = with_padding_and_mask(items)
    loss = CrossEntropy(similarity=similarity, temperature=temperature)
    left, right = states, items
    if similarity == "cosine":
        left, right = (rows / rows.norm(dim=1, keepdim=True) for rows in (states, items))
        table = replace(table, weight=F.normalize(table.weight, dim=1))
    plain = F.cross_entropy(left @ right.T / temperature, targets)
    value = loss(states, table, targets + 1, generator(0))
    expected = value_and_gradients(plain, states, items)
    for mine, theirs in zip(value_and_gradients(value, states, items), expected, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_not_positive_is_named(value: float) -> None:
    with pytest.raises(ValueError, match=f"^temperature must be positive, got {value}"):
        CrossEntropy(temperature=value)


def test_under_cosine_every_ranking_is_of_directions() -> None:
    """Evaluation, RecBole's two ways of asking, and what is exported."""
    train = cyclic_histories(users=9, num_items=11, longest=8)
    loss = CrossEntropy(similarity="cosine", temperature=0.1)
    model = build_model(encoder_config("self_attention", init_std=0.5), [], train, next_item=loss)
    model.eval()
    histories = padded([[1, 2, 3], [4]])
    weight = model.item_embedding.weight.detach()
    unit = weight[1:12] / weight[1:12].norm(dim=1, keepdim=True)
    expected = model.represent(histories) @ unit.T
    torch.testing.assert_close(model.scores(histories)[:, 1:], expected)
    torch.testing.assert_close(torch.cat([*model.score_blocks(histories, 1)]), expected)
    torch.testing.assert_close(torch.from_numpy(item_vectors(model)), unit)
    asked = {
        model.ITEM_SEQ: histories.items, model.ITEM_SEQ_LEN: histories.lengths,
        model.ITEM_ID: torch.tensor([5, 11]),
    }  # fmt: skip
    torch.testing.assert_close(model.predict(asked), expected[torch.arange(2), [4, 10]])
