"""Binary cross-entropy, gBCE and BPR: plain loops, closed forms, and whom they draw."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from augment import TrainHistories
from models.losses.drawn_negatives import draw_others, score_against_others
from models.losses.next_item import (
    BPR,
    BinaryCrossEntropy,
    GeneralisedBCE,
    Items,
    NextItemLoss,
)
from tests.histories import could_be_uniform, generator

ITEMS = 11
TARGETS = torch.tensor([1, 11, 4, 4, 8])
PAIRWISE: list[type[NextItemLoss]] = [BinaryCrossEntropy, GeneralisedBCE, BPR]
every_loss = pytest.mark.parametrize("kind", PAIRWISE)


def example() -> tuple[Tensor, Items]:
    """Five states, eleven items between padding and [mask]."""
    rng = generator(0)
    states = torch.randn(5, 3, generator=rng, dtype=torch.float64)
    return states, Items(torch.randn(ITEMS + 2, 3, generator=rng, dtype=torch.float64), ITEMS)


def pairs(negatives: int, seed: int = 7) -> list[tuple[float, list[float]]]:
    """For each target its score and its negatives' scores, one dot product at a time."""
    states, items = example()
    drawn = draw_others(TARGETS, ITEMS, negatives, generator(seed))
    return [
        (
            float(states[row] @ items.weight[target]),
            [float(states[row] @ items.weight[other]) for other in drawn[row].tolist()],
        )
        for row, target in enumerate(TARGETS.tolist())
    ]


def value(loss: NextItemLoss, seed: int = 7) -> float:
    states, items = example()
    result: Tensor = loss(states, items, TARGETS, generator(seed))
    return result.item()


def log_sigmoid(x: float) -> float:
    return -math.log(1 + math.exp(-x))


# Plain loops ---------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3])
def test_bce_sums_the_target_and_its_negatives(k: int) -> None:
    total = 0.0
    for positive, negatives in pairs(k):
        total -= log_sigmoid(positive) + sum(log_sigmoid(-n) for n in negatives)
    assert value(BinaryCrossEntropy(k)) == pytest.approx(total / len(TARGETS))


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("t", [0.0, 0.4, 1.0])
def test_gbce_raises_the_target_s_probability_to_beta(k: int, t: float) -> None:
    alpha = k / (ITEMS - 1)
    beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
    total = 0.0
    for positive, negatives in pairs(k):
        total -= math.log((1 / (1 + math.exp(-positive))) ** beta)
        total -= sum(log_sigmoid(-n) for n in negatives)
    assert value(GeneralisedBCE(k, t)) == pytest.approx(total / len(TARGETS) / (k + 1))


@pytest.mark.parametrize("k", [1, 3])
def test_bpr_compares_the_target_with_each_negative(k: int) -> None:
    total = -sum(log_sigmoid(p - n) for p, negatives in pairs(k) for n in negatives)
    assert value(BPR(k)) == pytest.approx(total / len(TARGETS) / k)


# Closed forms --------------------------------------------------------------------------------


def test_one_negative_is_two_cross_entropies_of_two_classes() -> None:
    """BCE of a score x is the cross-entropy of the logits [x, 0]."""
    scores = torch.tensor([[p, n[0]] for p, n in pairs(1)], dtype=torch.float64)
    logits = torch.stack([scores, torch.zeros_like(scores)], dim=-1)  # [5, 2, 2]
    labels = torch.tensor([[0, 1]] * len(scores))
    expected = 2 * F.cross_entropy(logits.flatten(0, 1), labels.flatten())
    assert value(BinaryCrossEntropy(1)) == pytest.approx(expected.item())


@pytest.mark.parametrize("k", [1, 4])
def test_gbce_of_calibration_0_is_bce_over_the_candidates(k: int) -> None:
    expected = value(BinaryCrossEntropy(k)) / (k + 1)
    assert value(GeneralisedBCE(k, 0.0)) == pytest.approx(expected)


def test_beta_goes_from_1_to_the_share_that_is_drawn() -> None:
    assert GeneralisedBCE(100, 0.0).beta(1001) == pytest.approx(1.0)
    assert GeneralisedBCE(100, 1.0).beta(1001) == pytest.approx(0.1)
    assert GeneralisedBCE(100, 0.5).beta(1001) == pytest.approx(0.55)


@pytest.mark.parametrize("t", [0.0, 0.5, 1.0])
def test_a_sample_of_the_whole_catalogue_or_more_needs_no_calibration(t: float) -> None:
    assert GeneralisedBCE(10, t).beta(11) == GeneralisedBCE(256, t).beta(11) == pytest.approx(1.0)


@pytest.mark.parametrize("k", [1, 5])
def test_states_without_information_cost_a_guess(k: int) -> None:
    _, items = example()
    states = torch.zeros(5, 3, dtype=torch.float64)
    for loss, expected in [
        (BinaryCrossEntropy(k), (k + 1) * math.log(2)),
        (GeneralisedBCE(k, 0.0), math.log(2)),
        (BPR(k), math.log(2)),
    ]:
        result = loss(states, items, TARGETS, generator(0)).item()
        assert result == pytest.approx(expected)


@every_loss
@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_extreme_scores_stay_finite(kind: type[NextItemLoss], scale: float) -> None:
    states, items = example()
    states = (scale * states).float().requires_grad_()
    weight = items.weight.float().requires_grad_()
    loss = kind()(states, Items(weight, ITEMS), TARGETS, generator(0))
    for grad in torch.autograd.grad(loss, (states, weight)):
        assert grad.isfinite().all()
    assert loss.isfinite()


# Negatives -----------------------------------------------------------------------------------


@pytest.mark.parametrize("num_items", [2, 3, 11])
def test_negatives_are_uniform_over_all_but_the_target(num_items: int) -> None:
    targets = torch.arange(1, num_items + 1)
    drawn = draw_others(targets, num_items, 2000, generator(3))
    for target, row in zip(targets.tolist(), drawn, strict=True):
        counts = torch.bincount(row, minlength=num_items + 1)
        assert counts[0] == counts[target] == 0
        others = [counts[i].item() for i in range(1, num_items + 1) if i != target]
        assert sum(others) == 2000
        assert len(others) == 1 or could_be_uniform([int(count) for count in others])


def test_every_target_has_its_own_negatives() -> None:
    drawn = draw_others(torch.full((4,), 5), 10_000, 20, generator(0))
    assert len({tuple(row) for row in drawn.tolist()}) == 4


def test_the_scores_are_those_of_the_drawn_items() -> None:
    states, items = example()
    positive, negative = score_against_others(states, items, TARGETS, 3, generator(7))
    assert positive.shape == (5,)
    assert negative.shape == (5, 3)
    assert positive.tolist() == pytest.approx([p for p, _ in pairs(3)])
    assert negative.flatten().tolist() == pytest.approx([n for _, some in pairs(3) for n in some])


# What is refused -----------------------------------------------------------------------------


@every_loss
@pytest.mark.parametrize("negatives", [0, -1])
def test_no_negatives_are_refused(kind: type[NextItemLoss], negatives: int) -> None:
    with pytest.raises(ValueError, match=f"^negatives must be at least 1, got {negatives}"):
        kind(negatives=negatives)  # type: ignore[call-arg]


@pytest.mark.parametrize("calibration", [-0.1, 1.1, float("nan")])
def test_a_calibration_outside_0_to_1_is_named(calibration: float) -> None:
    with pytest.raises(ValueError, match=r"^calibration must lie in \[0, 1\]"):
        GeneralisedBCE(calibration=calibration)


@every_loss
def test_a_catalogue_of_one_item_has_no_negatives(kind: type[NextItemLoss]) -> None:
    train = TrainHistories(torch.tensor([1, 1]), torch.tensor([0, 2]), 1)
    with pytest.raises(ValueError, match=r"^negatives need a catalogue of two items, got 1"):
        kind().fit(train)
