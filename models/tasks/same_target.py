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
from models.tasks.task import Batch, EncodingRequest, HistoryState, Sizes, View
from models.tasks.users import TrainItems


@dataclass(eq=False, repr=False)
class SameTarget(ContrastiveTask):
    """Contrast each history with one of another user that is followed by the same item.

    The supervised part of DuoRec (arXiv:2110.05730, section 3.3).  The positive is drawn from
    all training prefixes of other users with the row's target; a row whose target nobody else
    has takes its own history.  Of a window the target is its last.
    The index is one sort of the training items.
    """

    anchor: Literal["twin", "own"] = "twin"
    """What is compared with the positive.  twin: the history encoded once more, under another
    dropout mask (the published run).  own: the history's own state (HistoryState), which saves a
    pass."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.anchor == "own" and self.pooling != "last":
            raise ValueError("anchor: own needs pooling: last, the state the next-item loss reads")

    def prepare(self, sizes: Sizes) -> None:
        super().prepare(sizes)
        self.users = sizes.num_users

    def fit(self, train: TrainHistories) -> None:
        """Sort every position that has one before it by (target, user)."""
        super().fit(train)
        first = train.offsets[:-1]
        lengths = train.offsets.diff()
        user = torch.repeat_interleave(torch.arange(len(lengths)), lengths)  # [N]
        place = torch.arange(len(train.items)) - first[user]
        has_history = place > 0
        key = (train.items * self.users + user)[has_history]
        order = key.argsort(stable=True)
        self.train_items = TrainItems(train)
        mined = {
            "key": key[order],
            "position": torch.arange(len(train.items))[has_history][order],
            "place": place[has_history][order],
        }
        for name, value in mined.items():
            self.register_buffer(name, value, persistent=False)

    def make_views(self, batch: Batch, rng: Generator) -> list[EncodingRequest]:
        anchor = HistoryState() if self.anchor == "own" else View(batch.histories, self.pooling)
        return [anchor, View(self.positives(batch, rng), self.pooling)]

    def positives(self, batch: Batch, rng: Generator) -> Sequences:
        """Another user's history before the same target, for each row; its own where none is."""
        target = batch.targets * self.users
        bounds = torch.stack([target, target + batch.users, target + batch.users + 1])
        bounds = torch.cat([bounds, target[None] + self.users])  # [4, B]
        begin, own, own_end, end = torch.searchsorted(self.get_buffer("key"), bounds)
        of_user = own_end - own
        others = end - begin - of_user  # [B]
        drawn = begin + random_below(others.clamp(min=1), rng)
        drawn = torch.where(drawn < own, drawn, drawn + of_user)
        alone = others < 1
        drawn = torch.where(alone, 0, drawn)  # any row of the index: it is not used
        return self.histories_at(drawn, alone, batch.histories)

    def histories_at(self, drawn: Tensor, alone: Tensor, own: Sequences) -> Sequences:
        """The histories before index rows `drawn` [B]; the row's own where alone [B]."""
        lengths = self.get_buffer("place")[drawn].clamp(max=self.max_length)
        lengths = torch.where(alone, own.lengths, lengths)
        start = self.get_buffer("position")[drawn] - lengths
        # The longest is asked for on a CPU only: a GPU would have to be waited for.
        width = int(lengths.max()) if lengths.device.type == "cpu" else self.max_length
        return either(alone, own.with_width(width), self.train_items.cut(start, lengths, width))
