"""The prefixes of the training split, found by the item that follows them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from augment import Sequences, TrainHistories
from models.tasks.train_items import TrainItems


@dataclass(frozen=True)
class SameTargetRange:
    """Where the index holds prefixes of the same target: rows [begin, end), [B] each, of which
    [own, own_end) are the row's own user's."""

    begin: Tensor
    own: Tensor
    own_end: Tensor
    end: Tensor


class TrainPrefixes(TrainItems):
    """Every position of the training split that has one before it, sorted by (item, user, place).

    A prefix is known by where its target stands among the split's items, as in
    `Batch.target_at`.  The index is one sort.

    key:      [P] item * users + user, rising.
    position: [P] where the target stands.
    place:    [P] how many items of its user come before it.
    row:      [N] the row of the index for each item of the split, -1 for a user's first.
    """

    key: Tensor
    position: Tensor
    place: Tensor
    row: Tensor

    def __init__(self, train: TrainHistories, max_length: int) -> None:
        super().__init__(train)
        self.max_length, self.users = max_length, len(train.offsets) - 1
        lengths = train.offsets.diff()
        user = torch.repeat_interleave(torch.arange(self.users), lengths)  # [N]
        place = torch.arange(len(train.items)) - train.offsets[:-1][user]
        has_history = place > 0
        key = (train.items * self.users + user)[has_history]
        order = key.argsort(stable=True)
        positions = torch.arange(len(train.items))
        row = torch.full_like(positions, -1)
        row[positions[has_history][order]] = torch.arange(len(order))
        self.register_buffer("row", row, persistent=False)
        self.register_buffer("key", key[order], persistent=False)
        self.register_buffer("position", positions[has_history][order], persistent=False)
        self.register_buffer("place", place[has_history][order], persistent=False)

    def __len__(self) -> int:
        return len(self.key)

    def same_target(self, targets: Tensor, users: Tensor) -> SameTargetRange:
        """The prefixes that are followed by each target [B]; users: [B], whose the rows are."""
        target = targets * self.users
        bounds = torch.stack([target, target + users, target + users + 1, target + self.users])
        begin, own, own_end, end = torch.searchsorted(self.key, bounds)
        return SameTargetRange(begin, own, own_end, end)

    def rows_at(self, target_at: Tensor) -> Tensor:
        """[B]: the rows of the index whose targets stand there."""
        return self.row[target_at]

    def histories(self, rows: Tensor, lengths: Tensor | None = None) -> Sequences:
        """The prefixes of rows [N] of the index, each its latest max_length items.

        lengths: [N] how many of them are read, where it is not as many as there are.
        """
        lengths = self.lengths(rows) if lengths is None else lengths
        # The longest is asked for on a CPU only: a GPU would have to be waited for.
        width = int(lengths.max()) if lengths.device.type == "cpu" else self.max_length
        return self.cut(self.position[rows] - lengths, lengths, width)

    def lengths(self, rows: Tensor) -> Tensor:
        """[N]: how many items of the prefixes are read."""
        return self.place[rows].clamp(max=self.max_length)
