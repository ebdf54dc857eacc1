"""Training examples of histories: every prefix, or windows that cover each history."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augment.sequences import Sequences, TrainHistories, cut_histories

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Examples as slices of one flat array of items: nothing is copied before a batch is made.

    Example i reads items[start[i] : start[i] + length[i]] and predicts the item after it.
    A window's positions from scored_from[i] on predict the item after them.  Where `target` is
    given, example i predicts items[target[i]] instead, which may come later.
    """

    start: IntArray
    length: IntArray
    user: IntArray
    scored_from: IntArray | None = None
    target: IntArray | None = None

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def final(self) -> NDArray[np.bool_]:
        """[N]: which rows are their user's last; rows stand user after user."""
        last: NDArray[np.bool_] = np.diff(self.user, append=-1) != 0
        return last

    def to(self, device: torch.device) -> DeviceRows:
        """The same rows as tensors there."""

        def there(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(array).to(device)

        scored_from = None if self.scored_from is None else there(self.scored_from)
        start, length, user = there(self.start), there(self.length), there(self.user)
        return DeviceRows(start, length, user, there(self.final), scored_from)

    @property
    def targets(self) -> int:
        """Items predicted in one epoch."""
        if self.scored_from is None:
            return len(self)
        return int((self.length - self.scored_from).sum())


@dataclass(frozen=True)
class DeviceRows:
    """Rows as tensors on the device that trains: [N] each."""

    start: Tensor
    length: Tensor
    user: Tensor
    final: Tensor
    scored_from: Tensor | None


def histories_at(
    items: Tensor, times: Tensor | None, start: IntArray, length: IntArray
) -> Sequences:
    """The slices items[start : start + length], padded to the longest.

    start, length: [B] on the host; the histories lie where the items do.
    """
    start_there, length_there = (
        torch.from_numpy(each).to(items.device) for each in (start, length)
    )
    return cut_histories(items, times, start_there, length_there, int(length.max()))


def numbered(counts: IntArray) -> tuple[IntArray, IntArray]:
    """[N] whose each of N rows is, and its place among its owner's, from 0.

    counts: [U] rows of each owner; N is their sum, and rows stand owner after owner.
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return owner, place


def prefix_rows(train: TrainHistories, max_length: int) -> Rows:
    """One example for every item that has one before it; the latest max_length items are read.

    The training rows of RecBole's sequential data augmentation.
    """
    offsets = train.offsets.numpy()
    user, place = numbered(np.maximum(np.diff(offsets) - 1, 0))
    before = place + 1  # items in front of the target
    length = np.minimum(before, max_length)
    return Rows(offsets[:-1][user] + before - length, length, user)


def window_rows(train: TrainHistories, max_length: int) -> Rows:
    """One example for every window of max_length inputs; every target is scored exactly once.

    A history of more inputs than that is covered by windows that overlap by half: a later
    window scores only what its predecessor did not, so each of its targets has at least
    max_length // 2 items of context.
    """
    offsets = train.offsets.numpy()
    inputs = np.maximum(np.diff(offsets) - 1, 0)  # [U] scored positions of each user
    stride = max_length - max_length // 2
    more = np.maximum(inputs - max_length, 0)
    windows = np.where(inputs > 0, 1 + -(-more // stride), 0)  # [U]
    user, place = numbered(windows)
    shift = place * stride
    length = np.minimum(inputs[user] - shift, max_length)
    scored_from = np.where(shift > 0, max_length // 2, 0)
    return Rows(offsets[:-1][user] + shift, length, user, scored_from)
