"""Two disjoint segments of one user's training history are recognised as one user."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator

from augment import TrainHistories
from augment.sequences import random_below
from models.tasks.contrast_fields import Label
from models.tasks.contrastive import ContrastiveTask
from models.tasks.step import Batch, View
from models.tasks.train_items import TrainItems


@dataclass(eq=False, repr=False)
class SameUser(ContrastiveTask):
    """Contrast the earlier and the later part of a user's training history with other users'.

    The plainest positive of behaviour: one person at two times.  For each row of the batch the
    whole training history of its user, of n items, is split after 1, ..., n - 1 items with
    equal probability; of either segment the latest max_length items are read.  The segments
    share no position.  A user with a single training item has that item as both views.

    The segments belong to the user, not to the row: under `anchors: all` a user takes part once
    for every row, each time with another split.
    """

    false_negatives: tuple[Label, ...] = ("user",)
    """Rows of the same user are no negatives of each other: their segments overlap."""

    def fit(self, train: TrainHistories) -> None:
        super().fit(train)
        longest = int(train.offsets.diff().max())
        self.width = min(self.max_length, max(1, longest))
        self.train_items = TrainItems(train)
        self.register_buffer("history_offsets", train.offsets, persistent=False)

    def make_views(self, batch: Batch, rng: Generator) -> list[View]:
        offsets = self.get_buffer("history_offsets")
        begin, end = offsets[batch.users], offsets[batch.users + 1]  # [B]
        middle = begin + 1 + random_below((end - begin - 1).clamp(min=1), rng)
        later = torch.where(middle < end, middle, begin)  # a single item is both segments
        return [self.segment(begin, middle), self.segment(later, end)]

    def segment(self, begin: torch.Tensor, end: torch.Tensor) -> View:
        """The latest max_length of the items [begin, end) of each row; begin, end: [B]."""
        lengths = (end - begin).clamp(max=self.max_length)
        return View(self.train_items.cut(end - lengths, lengths, self.width), self.pooling)
