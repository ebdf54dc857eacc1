"""Histories that led to the same item are recognised as alike: DuoRec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from augment import Sequences, TrainHistories
from augment.sequences import random_below
from augment.views import either
from models.tasks.contrastive import ContrastiveTask
from models.tasks.prefixes import TrainPrefixes
from models.tasks.step import Batch, EncodingRequest, HistoryState, View


@dataclass(eq=False, repr=False)
class SameTarget(ContrastiveTask):
    """Contrast each history with another one that is followed by the same item.

    The supervised part of DuoRec (arXiv:2110.05730, section 3.3).  The positive is drawn from
    all training prefixes of other users with the row's target; a row whose target nobody else
    has takes its own history.  Of a window the target is its last.
    """

    anchor: Literal["twin", "own"] = "twin"
    """What is compared with the positive.  twin: the history encoded once more, under another
    dropout mask (the published run).  own: the history's own state (HistoryState), which saves a
    pass."""
    positive: Literal["other_user", "other_row", "last_row"] = "other_user"
    """other_user: drawn from all prefixes of other users.  other_row: from all but the row's own,
    its user's too.  last_row: always the last of them, by user and place, which is what ICSRec's
    code takes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.anchor == "own" and self.pooling != "last":
            raise ValueError("anchor: own needs pooling: last, the state the next-item loss reads")

    def fit(self, train: TrainHistories) -> None:
        """Index every prefix by the item that follows it."""
        super().fit(train)
        self.prefixes = TrainPrefixes(train, self.max_length)

    def make_views(self, batch: Batch, rng: Generator) -> list[EncodingRequest]:
        anchor = HistoryState() if self.anchor == "own" else View(batch.histories, self.pooling)
        return [anchor, View(self.positives(batch, rng), self.pooling)]

    def positives(self, batch: Batch, rng: Generator) -> Sequences:
        """A history before the same target, for each row; its own where there is none."""
        rows, alone = self.choose(batch, rng)
        lengths = torch.where(alone, batch.histories.lengths, self.prefixes.lengths(rows))
        found = self.prefixes.histories(rows, lengths)
        return either(alone, batch.histories.with_width(found.width), found)

    def choose(self, batch: Batch, rng: Generator) -> tuple[Tensor, Tensor]:
        """[B] rows of the index of prefixes, and [B] bool where there is none to choose."""
        within = self.prefixes.same_target(batch.targets, batch.users)
        if self.positive == "other_user":
            own, own_end = within.own, within.own_end
        else:
            if batch.target_at is None:
                raise ValueError(f"positive: {self.positive} needs batches that know their rows")
            own = self.prefixes.rows_at(batch.target_at)
            own_end = own + 1
        others = within.end - within.begin - (own_end - own)  # [B]
        if self.positive == "last_row":
            drawn = torch.where(own == within.end - 1, within.end - 2, within.end - 1)
        else:
            drawn = within.begin + random_below(others.clamp(min=1), rng)
            drawn = torch.where(drawn < own, drawn, drawn + own_end - own)
        alone = others < 1
        return torch.where(alone, 0, drawn), alone  # any row of the index: it is not used
