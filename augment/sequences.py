"""Histories as tensors: the one shape that operators, tasks and encoders exchange."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

PADDING = 0  # no item: fills the right end of short rows; real items are 1, 2, ...
MASK = -1  # a hidden item: takes the embedding table's last row, is never scored or ranked


@dataclass(frozen=True)
class Sequences:
    """A batch of histories: right-padded, oldest item first.

    items:   [B, L] int64; real items are positive, a hidden one is MASK; positions at and
             beyond a row's length hold PADDING.
    lengths: [B] int64; at least 1 and at most L.
    """

    items: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return self.items.shape[0]

    @property
    def width(self) -> int:
        """L, the padded length: known without asking the device."""
        return self.items.shape[1]

    @property
    def device(self) -> torch.device:
        return self.items.device

    def real(self) -> Tensor:
        """[B, L] bool: True at real items, False at padding."""
        return positions(self) < self.lengths[:, None]


@dataclass(frozen=True)
class TrainHistories:
    """Every user's training interactions: all that a task may mine.

    items:     [N] int64, user after user, oldest first; 1..num_items.
    offsets:   [U + 1] int64; user u owns items[offsets[u]:offsets[u + 1]].
    num_items: real items in the catalogue.
    """

    items: Tensor
    offsets: Tensor
    num_items: int


def positions(seqs: Sequences) -> Tensor:
    """[1, L]: 0, 1, ..., L - 1, to compare with a [B, 1] column of lengths."""
    return torch.arange(seqs.width, device=seqs.device)[None, :]


def window_size(lengths: Tensor, share: float) -> Tensor:
    """floor(share * n) for each length n: [B] int64.

    Computed in float64 with a tolerance of 1e-9, because 0.7 * 90 is 62.99999999999999 in
    binary and floor would lose an item that the paper counts.
    """
    return (lengths.double() * share + 1e-9).floor().long()


def random_below(bounds: Tensor, rng: Generator) -> Tensor:
    """A uniform integer in [0, bound) for each bound >= 1: int64, same shape."""
    draw = torch.rand(bounds.shape, dtype=torch.float64, generator=rng, device=bounds.device)
    return (draw * bounds).long().clamp(max=bounds - 1)


def random_positions(seqs: Sequences, count: Tensor, rng: Generator) -> Tensor:
    """[B, L] bool: `count` [B] distinct real positions of each row, every choice as likely."""
    keys = torch.rand(seqs.items.shape, generator=rng, device=seqs.device)  # [B, L]
    keys = torch.where(seqs.real(), keys, 2.0)  # padding sorts last and is never chosen
    place = keys.argsort(dim=1)  # a random permutation of each row's real positions
    return place < count[:, None]


def cut(items: Tensor, start: Tensor, lengths: Tensor, width: int) -> Tensor:
    """The slices items[start : start + length] of a flat [N] array, padded to [B, width]."""
    column = torch.arange(width, device=items.device)[None, :]
    inside = column < lengths[:, None]  # [B, width]
    index = torch.where(inside, start[:, None] + column, 0)
    return torch.where(inside, items[index], PADDING)
