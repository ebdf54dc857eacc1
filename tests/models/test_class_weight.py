"""Class weights: what is counted, what the weights are, and that their mean is 1."""

from __future__ import annotations

import pytest
import torch

from augment import TrainHistories
from models.losses.class_weight import ClassWeight, item_weights, target_counts
from models.losses.next_item import CrossEntropy, Items
from tests.histories import generator

COUNTS = torch.tensor([1, 4, 0, 15])
KINDS: list[ClassWeight] = ["none", "inverse_frequency", "effective_number"]


def test_a_users_first_item_is_no_target() -> None:
    """Histories 1 2 2 / 3 / (nothing) / 4 1 / (nothing), of five items."""
    train = TrainHistories(torch.tensor([1, 2, 2, 3, 4, 1]), torch.tensor([0, 3, 4, 4, 6, 6]), 5)
    assert target_counts(train).tolist() == [1, 2, 0, 0, 0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beta", [0.0, 0.9, 0.9999])
def test_the_mean_over_targets_is_1(kind: ClassWeight, beta: float) -> None:
    weights = item_weights(kind, COUNTS, beta)
    assert (weights * COUNTS).sum().item() == pytest.approx(COUNTS.sum().item())
    assert weights.isfinite().all()
    assert weights.min() > 0


def test_inverse_frequency_gives_every_item_the_same_say() -> None:
    """An item that is never a target weighs as much as one that is once."""
    weights = item_weights("inverse_frequency", COUNTS, 0.0)
    assert (weights * COUNTS).tolist() == pytest.approx([20 / 3, 20 / 3, 0, 20 / 3])
    assert weights[2] == weights[0]


def test_the_effective_number_is_a_geometric_sum() -> None:
    """(1 - beta^n) / (1 - beta) = 1 + beta + ... + beta^(n - 1), whose inverse is the weight."""
    effective = [sum(0.9**i for i in range(max(1, n))) for n in COUNTS.tolist()]
    weights = item_weights("effective_number", COUNTS, 0.9)
    assert (weights[0] / weights).tolist() == pytest.approx(effective)


def test_beta_goes_from_equal_weights_to_the_inverse_frequency() -> None:
    equal = item_weights("effective_number", COUNTS, 0.0)
    assert equal.tolist() == pytest.approx([1.0] * 4)
    near = item_weights("effective_number", COUNTS, 1 - 1e-9)
    torch.testing.assert_close(near, item_weights("inverse_frequency", COUNTS, 0.0))


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_over_all_targets_of_an_epoch_is_a_weighted_mean(kind: ClassWeight) -> None:
    """States without information cost ln(items) whatever the weights: their mean is 1."""
    train = TrainHistories(torch.tensor([1, 2, 2, 2, 3, 1]), torch.tensor([0, 4, 6]), 3)
    loss = CrossEntropy(kind)
    loss.fit(train)
    value = loss(
        torch.zeros(4, 2), Items(torch.ones(5, 2), 3), torch.tensor([2, 2, 2, 1]), generator(0)
    )
    assert value.item() == pytest.approx(torch.tensor(3.0).log().item())
