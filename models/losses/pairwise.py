"""Each target against its own few negatives: binary cross-entropy, gBCE and BPR.

Negatives are uniform over the real items other than the target, each target's own.  The user's
other items may be among them, where the published samplers draw again: that concerns a share of
history length / catalogue of the draws, under .1 % on Beauty and 5 % on ML-1M.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Generator, Tensor

from augment import TrainHistories
from augment.operator import check_share
from models.losses.drawn_negatives import check_catalogue, score_against_others
from models.losses.loss import Items, NextItemLoss
from models.ranges import check_count


@dataclass(eq=False, repr=False)
class OwnNegatives(NextItemLoss):
    """Draws each target's own negatives, uniformly over the other real items."""

    whole_catalogue: ClassVar[bool] = False

    negatives: int = 1

    def __post_init__(self) -> None:
        check_count("negatives", self.negatives)

    def fit(self, train: TrainHistories) -> None:
        check_catalogue(train)


@dataclass(eq=False, repr=False)
class BinaryCrossEntropy(OwnNegatives):
    """Is this item the next one?  Yes for the target, no for each of its negatives.

    -log sigmoid(s+) - sum over the negatives of log(1 - sigmoid(s-)), averaged over the targets:
    the loss of SASRec (Kang & McAuley 2018, arXiv:1808.09781, section III-E), which draws one.
    (negatives + 1) ln 2 when the states carry no information.
    """

    negatives: int = 1
    """Drawn for each target."""

    def forward(self, states: Tensor, items: Items, targets: Tensor, rng: Generator) -> Tensor:
        positive, negative = score_against_others(states, items, targets, self.negatives, rng)
        return -(F.logsigmoid(positive) + F.logsigmoid(-negative).sum(dim=1)).mean()


@dataclass(eq=False, repr=False)
class GeneralisedBCE(OwnNegatives):
    """Binary cross-entropy that undoes the overconfidence of drawing few negatives.

    gBCE of gSASRec (Petrov & Macdonald 2023, arXiv:2308.07192): the target's probability is
    sigmoid(s+)^beta, with alpha = negatives / (items - 1), the share of the catalogue that is
    drawn, and beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha).  Divided by negatives + 1, as
    there, so t = 0 is BinaryCrossEntropy divided by negatives + 1.  alpha is at most 1.
    """

    negatives: int = 256
    """Drawn for each target."""
    calibration: float = 0.75
    """t, in [0, 1]: 0 is plain binary cross-entropy, 1 is calibrated in full."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share("calibration", self.calibration)

    def beta(self, num_items: int) -> float:
        """The exponent of the target's probability: 1 at t = 0, alpha at t = 1."""
        alpha = min(1.0, self.negatives / (num_items - 1))
        return alpha * (self.calibration * (1.0 - 1.0 / alpha) + 1.0 / alpha)

    def forward(self, states: Tensor, items: Items, targets: Tensor, rng: Generator) -> Tensor:
        positive, negative = score_against_others(states, items, targets, self.negatives, rng)
        accepted = self.beta(items.num) * F.logsigmoid(positive)  # [T] log sigmoid(s+)^beta
        rejected = F.logsigmoid(-negative).sum(dim=1)  # [T]
        return -(accepted + rejected).mean() / (self.negatives + 1)


@dataclass(eq=False, repr=False)
class BPR(OwnNegatives):
    """The target ranks above each of its negatives.

    -log sigmoid(s+ - s-) (Rendle et al. 2009, arXiv:1205.2618, BPR-Opt), averaged over the
    negatives and the targets; its L2 penalty is left to train.weight_decay.  ln 2 when the
    states carry no information.
    """

    negatives: int = 1
    """Drawn for each target."""

    def forward(self, states: Tensor, items: Items, targets: Tensor, rng: Generator) -> Tensor:
        positive, negative = score_against_others(states, items, targets, self.negatives, rng)
        return -F.logsigmoid(positive[:, None] - negative).mean()
