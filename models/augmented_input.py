"""Augmentation without contrast: the next-item loss itself reads changed histories."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Generator, Tensor

from augment import (
    OPERATORS,
    CorrelatedItems,
    Correlation,
    Crop,
    Mask,
    Operator,
    Reorder,
    TrainHistories,
)
from augment.correlation import CountNeighbours, counted_neighbours
from augment.operator import check_share, check_times, operator_names, without_places
from augment.sequences import Sequences, random_below, with_places
from augment.views import apply_chosen, either
from augment.well_formed import OperatorError, applied, malformed
from models.tasks.step import Batch


@dataclass(frozen=True)
class AugmentConfig:
    """What is done to the input of the next-item loss, in training only; never to targets.

    Plain data augmentation, the rival of a contrast in "Is Contrastive Learning Necessary?"
    (arXiv:2403.11136), which adds changed copies to the data; here a row is changed anew in
    every epoch.  Under prefixes an item that insert or substitute puts in may be the target.
    """

    probability: float = 0.0
    """Share of the rows that are changed, in [0, 1]; 0 switches it off."""
    operators: tuple[Operator, ...] = (Crop(), Mask(), Reorder())
    """What may be done to a history."""
    draw: Literal["one", "chained"] = "one"
    """one: an operator a row, all as likely; chained: all, in this order."""
    correlation: Correlation = field(default_factory=Correlation)
    """Which items substitute and insert take."""

    def __post_init__(self) -> None:
        check_share("probability", self.probability)
        if not self.operators:
            raise ValueError("operators must name at least one operator")

    def check_every_position(self) -> None:
        """ValueError where nobody would know which item follows a position."""
        silent = without_places(self.operators) if self.probability > 0.0 else ()
        if silent:
            names = ", ".join(operator_names(silent, OPERATORS))
            raise ValueError(
                f"augment.operators: {names} does not tell where its items stood (tells_places), "
                "and examples: windows trains what follows each position; use examples: prefixes"
            )


class AugmentedInput:
    """Changes some rows of a batch by a randomly drawn operator, as configured."""

    def __init__(
        self,
        config: AugmentConfig,
        max_length: int,
        count_neighbours: CountNeighbours = counted_neighbours,
    ) -> None:
        self.config, self.max_length, self.num_items = config, max_length, 0
        self.correlated = CorrelatedItems(
            config.correlation, config.operators, max_length, count_neighbours
        )

    def fit(self, train: TrainHistories) -> None:
        """Mine the training split, if there is anything to do with it."""
        self.num_items = train.num_items
        if self.config.probability > 0.0:
            check_times(self.config.operators, OPERATORS, train)
            self.correlated.fit(train)

    def start_epoch(self, epoch: int, vectors: Tensor) -> None:
        """Compare the items' embeddings [num_items, d] as they stand."""
        self.correlated.start_epoch(epoch, vectors)

    def __call__(self, batch: Batch, rng: Generator) -> Batch:
        """The batch with other histories; the batch itself, and nothing drawn, when it is off."""
        if self.config.probability == 0.0:
            return batch
        if batch.labels is None:
            return replace(batch, histories=self.changed(batch.histories, rng))
        self.config.check_every_position()
        return relabelled(batch, self.changed(with_places(batch.histories), rng))

    def changed(self, seqs: Sequences, rng: Generator) -> Sequences:
        """Some rows changed; OperatorError where one of them is no history any more."""
        result = self.drawn(seqs, rng)
        if found := malformed(result, self.num_items, self.max_length):
            names = ", ".join(operator_names(self.config.operators, OPERATORS))
            row, wrong = found
            raise OperatorError(f"augment: what {names} made of row {row} is no history: {wrong}")
        return result

    def drawn(self, seqs: Sequences, rng: Generator) -> Sequences:
        operators = self.correlated.bound(seqs.device)
        draw = torch.rand(len(seqs), generator=rng, device=seqs.device)  # [B]
        taking_part = draw < self.config.probability
        if self.config.draw == "chained":
            result = seqs
            for operator in operators:
                result = applied(operator, result, rng)
            return either(taking_part, result, seqs)
        choice = random_below(torch.full_like(seqs.lengths, len(operators)), rng)
        return apply_chosen(seqs, operators, choice.masked_fill(~taking_part, -1), rng)


def relabelled(batch: Batch, after: Sequences) -> Batch:
    """The batch with changed histories: an item's label goes where the item goes.

    A label stays only where no later item of the history stands before it, which the label itself
    may be, and where no operator has put it in at or before its position, as a new item or in the
    place of another: so no position is shown what it is to predict.  An inserted item has none.
    """
    assert batch.labels is not None
    assert after.places is not None
    latest = after.places.cummax(dim=1).values  # [B, L]
    known = (after.places > 0) & (after.places == latest)
    labels = batch.labels.gather(1, (after.places - 1).clamp(min=0))
    was = batch.histories.items.gather(1, (after.places - 1).clamp(min=0))  # [B, L]
    other = (after.places == 0) | (after.items != was)
    put_in = torch.where(other, after.items, 0)  # [B, L]
    shown = (put_in[:, None, :] == labels[:, :, None]).tril().any(dim=2)  # [B, L]
    known &= ~shown
    histories = replace(after, places=None)
    return replace(batch, histories=histories, labels=torch.where(known, labels, 0), scored=None)
