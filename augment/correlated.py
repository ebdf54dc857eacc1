"""The table of correlated items that a run's operators read, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from augment.correlation import (
    Counted,
    CountNeighbours,
    counted_neighbours,
    embedding_neighbours,
)
from augment.neighbours import Neighbours, better_of
from augment.operator import CorrelatedOperator, Operator, bind
from augment.sequences import TrainHistories

Similar = Literal["cooccurrence", "cosine", "cosine_iuf", "embedding", "hybrid"]
COUNTED: dict[Similar, Counted] = {  # what is counted once, before the model says anything
    "cooccurrence": "cooccurrence",
    "cosine": "cosine",
    "cosine_iuf": "cosine_iuf",
    "embedding": "cosine_iuf",
    "hybrid": "cosine_iuf",
}


@dataclass(frozen=True)
class Correlation:
    """Which items substitute and insert take for correlated."""

    similar: Similar = "cosine_iuf"
    """By histories that hold both items: cooccurrence (their number), cosine (over item
    frequencies), cosine_iuf (long histories count less; CoSeRec's).  By the model: embedding
    (cosine), hybrid (the better of cosine_iuf and embedding)."""
    neighbours: int = 1
    """Correlated items of each item, all drawn as likely; CoSeRec takes the first alone."""
    warm_up: int = 10
    """Epochs in which embedding and hybrid are still cosine_iuf."""

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise ValueError(f"neighbours must be at least 1, got {self.neighbours}")
        if self.warm_up < 0:
            raise ValueError(f"warm_up must be at least 0, got {self.warm_up}")


class CorrelatedItems:
    """Mines the training split once and, where that is asked for, the embeddings each epoch.

    Only operators that read neighbours make it mine anything.
    """

    def __init__(
        self,
        correlation: Correlation,
        operators: tuple[Operator, ...],
        max_length: int,
        count_neighbours: CountNeighbours = counted_neighbours,
    ) -> None:
        self.correlation = correlation
        self.operators = operators
        self.max_length = max_length
        self.count_neighbours = count_neighbours
        self.needed = any(isinstance(operator, CorrelatedOperator) for operator in operators)
        self.known: Tensor | None = None
        self.counted: Neighbours | None = None
        self.table: Neighbours | None = None

    def fit(self, train: TrainHistories) -> None:
        """Count which items share histories of the training split."""
        if not self.needed:
            return
        counted = COUNTED[self.correlation.similar]
        self.known = torch.unique(train.items)
        self.counted = self.count_neighbours(train, self.correlation.neighbours, counted)
        self.table = self.counted

    def start_epoch(self, epoch: int, vectors: Tensor) -> None:
        """Compare the items' embeddings [num_items, d] as they stand; epochs count from 1."""
        similar = self.correlation.similar
        if similar not in ("embedding", "hybrid") or epoch <= self.correlation.warm_up:
            return
        if self.counted is None or self.known is None:
            return
        known = self.known.to(vectors.device)
        near = embedding_neighbours(vectors, known, self.correlation.neighbours)
        if similar == "hybrid":
            near = better_of(self.counted.to(vectors.device), near)
        self.table = near

    def bound(self, device: torch.device) -> tuple[Operator, ...]:
        """The operators, reading the table as it stands; they are as given before `fit`."""
        if self.table is None:
            return self.operators
        if self.table.items.device != device:
            self.table = self.table.to(device)
        return bind(self.operators, self.table, self.max_length)
