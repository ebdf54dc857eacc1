"""How much an item's targets count: weights against the long tail."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from augment import TrainHistories

ClassWeight = Literal["none", "inverse_frequency", "effective_number"]


def target_counts(train: TrainHistories) -> Tensor:
    """[num_items] int64: how often each item is a target, which no user's first item is."""
    later = torch.ones(len(train.items), dtype=torch.bool)
    begins = train.offsets[:-1]
    later[begins[begins < train.offsets[1:]]] = False
    return torch.bincount(train.items[later] - 1, minlength=train.num_items)


def inverse_frequency(counts: Tensor) -> Tensor:
    """1 / n for counts n >= 1."""
    return 1.0 / counts.double()


def effective_number(counts: Tensor, beta: float) -> Tensor:
    """(1 - beta) / (1 - beta^n) for counts n >= 1.

    The inverse of the effective number of samples of Cui et al. 2019 (arXiv:1901.05555,
    proposition 1).  beta in [0, 1): 0 weighs all alike, towards 1 it becomes the inverse frequency.
    """
    return (1.0 - beta) / (1.0 - beta ** counts.double())


def item_weights(kind: ClassWeight, counts: Tensor, beta: float) -> Tensor:
    """[num_items] float32 weights whose mean over the training targets is 1.

    counts: [num_items] how often each item is a target.  An item that never is gets the
    weight of one that is once.
    """
    seen = counts.clamp(min=1)
    if kind == "none":
        weights = torch.ones(len(counts), dtype=torch.float64)
    elif kind == "inverse_frequency":
        weights = inverse_frequency(seen)
    else:
        weights = effective_number(seen, beta)
    mean = (weights * counts).sum() / counts.sum()
    return (weights / mean).float()
