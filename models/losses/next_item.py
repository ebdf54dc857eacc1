"""Next-item losses: which item of the catalogue follows this history?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Generator, Tensor

from augment import TrainHistories
from models.losses.class_weight import ClassWeight, item_weights, target_counts
from models.losses.full_softmax import cross_entropy
from models.losses.info_nce import Similarity
from models.losses.loss import Items, NextItemLoss
from models.losses.pairwise import BPR, BinaryCrossEntropy, GeneralisedBCE
from models.losses.sampled_softmax import SampledSoftmax
from models.ranges import check_below_one, check_positive

__all__ = [
    "BPR",
    "NEXT_ITEM_LOSSES",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "GeneralisedBCE",
    "Items",
    "NextItemLoss",
    "NoNextItem",
    "SampledSoftmax",
]


@dataclass(eq=False, repr=False)
class CrossEntropy(NextItemLoss):
    """Softmax over the full catalogue.

    The mean over targets of weight * cross-entropy, where an item's weight depends on how often
    it is a target of the training split, and the weights' mean over these targets is 1.
    """

    class_weight: ClassWeight = "none"
    """none; inverse_frequency: 1 / n of an item that is a target n times; effective_number:
    (1 - beta) / (1 - beta^n) (Cui et al. 2019, arXiv:1901.05555)."""
    beta: float = 0.999
    """Of effective_number, in [0, 1): 0 weighs all alike, towards 1 by inverse frequency."""
    label_smoothing: float = 0.0
    """Share of the target's probability, in [0, 1), that is spread over the whole catalogue."""
    similarity: Similarity = "dot"
    """dot: a score is the product of state and item.  cosine: both are brought to length 1 (as
    CORE does, Hou et al. 2022, arXiv:2204.11067): no item gains by the length of its embedding."""
    temperature: float = 1.0
    """Scores are divided by it; cosines want one well below 1."""

    def __post_init__(self) -> None:
        check_positive("temperature", self.temperature)
        for name in ("beta", "label_smoothing"):
            check_below_one(name, getattr(self, name))

    @property
    def cosine_scores(self) -> bool:
        return self.similarity == "cosine"

    def fit(self, train: TrainHistories) -> None:
        if self.class_weight != "none":
            weights = item_weights(self.class_weight, target_counts(train), self.beta)
            self.register_buffer("weights", weights, persistent=False)

    def forward(self, states: Tensor, items: Items, targets: Tensor, rng: Generator) -> Tensor:
        rows = targets - 1
        weights = None if self.class_weight == "none" else self.get_buffer("weights")[rows]
        real = slice(1, items.num + 1)
        states = F.normalize(states, dim=1) if self.cosine_scores else states
        states = states if self.temperature == 1.0 else states / self.temperature
        return cross_entropy(states, items.weight, rows, weights, self.label_smoothing, real)


@dataclass(eq=False, repr=False)
class NoNextItem(NextItemLoss):
    """No next-item loss: the contrastive tasks are all there is to learn from."""

    whole_catalogue: ClassVar[bool] = False


NEXT_ITEM_LOSSES: dict[str, type[NextItemLoss]] = {
    "cross_entropy": CrossEntropy,
    "sampled_softmax": SampledSoftmax,
    "bce": BinaryCrossEntropy,
    "gbce": GeneralisedBCE,
    "bpr": BPR,
    "none": NoNextItem,
}
