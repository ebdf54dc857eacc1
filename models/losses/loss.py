"""What a next-item loss declares: what it counts, how it scores, and what it touches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Generator, Tensor

from augment import TrainHistories
from models.configured import ConfiguredModule


class LossError(ValueError):
    """A next-item loss does not do what it has to; the message says what would be right."""


@dataclass(frozen=True)
class Items:
    """The embeddings of the real items 1..num, neither padding nor [mask].

    weight: the embedding table; row i is item i, row 0 padding, the last row [mask].
    sparse: look-ups give sparse gradients, for an optimiser that leaves other rows alone.
    """

    weight: Tensor
    num: int
    sparse: bool = False

    def all(self) -> Tensor:
        """[num, d]; row i is item i + 1."""
        return self.weight[1 : self.num + 1]

    def vectors(self, items: Tensor) -> Tensor:
        """Embeddings of item numbers 1..num, of any shape: [..., d]."""
        return F.embedding(items, self.weight, sparse=self.sparse)


@dataclass(eq=False, repr=False)
class NextItemLoss(ConfiguredModule):
    """Scores each target against the catalogue, or against a sample of it.

    A dataclass whose fields are its configuration; a field out of range is a ValueError in
    __post_init__.  What `fit` counts is kept in buffers that are not saved: the same training
    split gives them again.
    """

    whole_catalogue: ClassVar[bool] = True
    """Every item's embedding gets a gradient at every step; False for losses that sample."""

    @property
    def cosine_scores(self) -> bool:
        """Scores are cosines: of items at length 1 in training and in every ranking, where the
        length of the state changes nothing."""
        return False

    def fit(self, train: TrainHistories) -> None:
        """Count what the loss must know of the training split, the only data given."""

    def forward(self, states: Tensor, items: Items, targets: Tensor, rng: Generator) -> Tensor:
        """states [T, d], targets [T] item numbers -> a scalar in nats, the mean over targets.

        rng draws negatives, and nothing else does.
        """
        raise NotImplementedError
