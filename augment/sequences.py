"""Histories as tensors: the one shape that operators, tasks and encoders exchange."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as ListOf
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

PADDING = 0  # no item: fills the right end of short rows; real items are 1, 2, ...
MASK = -1  # a hidden item: takes the embedding table's last row, is never scored or ranked


@dataclass(frozen=True)
class Sequences:
    """A batch of histories: right-padded, oldest item first.

    items:   [B, L] int64; real items are positive, a hidden one is MASK; positions at and
             beyond a row's length hold PADDING.
    lengths: [B] int64; at least 1 and at most L.
    times:   [B, L] int64, when each item was met, never falling along a row, 0 at padding; in
             the unit of the data, which is seconds wherever it is known.  None where the data
             have no times, or an operator says nothing of them.
    places:  [B, L] int64, where each item stood in the history that operators were given: 1 for
             its oldest item, 0 for an item that was put in, and at padding.  None where nobody
             asks, or an operator says nothing of them.
    """

    items: Tensor
    lengths: Tensor
    times: Tensor | None = None
    places: Tensor | None = None

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

    def each(self, change: Callable[[Tensor], Tensor], lengths: Tensor) -> Sequences:
        """Items, times and places changed alike; padding is 0 in all of them."""
        times = None if self.times is None else change(self.times)
        places = None if self.places is None else change(self.places)
        return Sequences(change(self.items), lengths, times, places)

    def rows(self, index: Tensor | slice) -> Sequences:
        """The given rows alone, in that order."""
        return self.each(lambda values: values[index], self.lengths[index])

    def with_width(self, width: int) -> Sequences:
        """As wide as that: padded further, or rid of columns that hold padding only."""
        if width <= self.width:
            return self.each(lambda values: values[:, :width], self.lengths)
        more = (0, width - self.width)
        return self.each(lambda values: F.pad(values, more, value=PADDING), self.lengths)


@dataclass(frozen=True)
class TrainHistories:
    """Every user's training interactions: all that a task may mine.

    items:     [N] int64, user after user, oldest first; 1..num_items.
    offsets:   [U + 1] int64; user u owns items[offsets[u]:offsets[u + 1]].
    num_items: real items in the catalogue.
    times:     [N] int64, when each item was met; None where the data have no times.
    """

    items: Tensor
    offsets: Tensor
    num_items: int
    times: Tensor | None = None

    def to(self, device: torch.device) -> TrainHistories:
        times = None if self.times is None else self.times.to(device)
        return TrainHistories(self.items.to(device), self.offsets.to(device), self.num_items, times)


def positions(seqs: Sequences) -> Tensor:
    """[1, L]: 0, 1, ..., L - 1, to compare with a [B, 1] column of lengths."""
    return torch.arange(seqs.width, device=seqs.device)[None, :]


def with_places(seqs: Sequences) -> Sequences:
    """The histories, each item with its place."""
    return replace(seqs, places=torch.where(seqs.real(), positions(seqs) + 1, 0))


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


def gathered(seqs: Sequences, source: Tensor, lengths: Tensor) -> Sequences:
    """Row i holds the first lengths[i] of the row's items at source [B, L], with all that is known
    of them."""
    inside = positions(seqs) < lengths[:, None]
    return seqs.each(lambda values: torch.where(inside, values.gather(1, source), PADDING), lengths)


def cut_histories(
    items: Tensor, times: Tensor | None, start: Tensor, lengths: Tensor, width: int
) -> Sequences:
    """The same slices of flat items and, where there are any, of their times, as histories."""
    cut_times = None if times is None else cut(times, start, lengths, width)
    return Sequences(cut(items, start, lengths, width), lengths, cut_times)


def window(seqs: Sequences, start: Tensor, size: Tensor) -> Sequences:
    """Each row's size [B] items from place start [B] on, with all that is known of them."""
    source = (start[:, None] + positions(seqs)).clamp(max=seqs.width - 1)  # [B, L]
    return gathered(seqs, source, size)


def concatenated(sequences: ListOf[Sequences]) -> Sequences:
    """The rows of all batches, padded to the widest; with what is known of all their items."""
    if len(sequences) == 1:
        return sequences[0]
    width = max(seqs.width for seqs in sequences)
    wide = [seqs.with_width(width) for seqs in sequences]
    return Sequences(
        torch.cat([seqs.items for seqs in wide]),
        torch.cat([seqs.lengths for seqs in wide]),
        joined([seqs.times for seqs in wide]),
        joined([seqs.places for seqs in wide]),
    )


def joined(parts: ListOf[Tensor | None]) -> Tensor | None:
    """One after the other; None where one is missing."""
    present = [part for part in parts if part is not None]
    return torch.cat(present) if len(present) == len(parts) else None
