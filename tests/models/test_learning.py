"""Every next-item loss finds planted structure."""

from __future__ import annotations

import pytest

from models.encoders import GRUConfig
from models.losses.next_item import (
    BPR,
    NEXT_ITEM_LOSSES,
    BinaryCrossEntropy,
    CrossEntropy,
    GeneralisedBCE,
    NextItemLoss,
    SampledSoftmax,
)
from tests.models.tiny import build_model, cycles_understood, cyclic_histories, train_steps

LOSSES: dict[str, NextItemLoss] = {
    "cross_entropy": CrossEntropy("effective_number", label_smoothing=0.1),
    "sampled_softmax": SampledSoftmax(10),
    "sampled_softmax negatives": SampledSoftmax(10, corrected="negatives"),
    "bce": BinaryCrossEntropy(),
    "gbce": GeneralisedBCE(2, calibration=0.5),
    "bpr": BPR(4),
}


def test_every_loss_that_predicts_is_in_the_table() -> None:
    assert {name.split()[0] for name in LOSSES} == set(NEXT_ITEM_LOSSES) - {"none"}


@pytest.mark.parametrize("name", LOSSES)
def test_planted_structure_is_found(name: str) -> None:
    """Item i + 1 follows item i: the item after each training history is ranked first."""
    train = cyclic_histories(users=100, num_items=15, longest=8)
    encoder = GRUConfig(16, 1, 0.1, 10, init_std=0.1, hidden=32)
    model = build_model(encoder, [], train, next_item=LOSSES[name])
    train_steps(model, train, "prefixes", steps=100, size=64, learning_rate=0.03)
    assert cycles_understood(model, train, longest=10) > 0.95
