"""Item insert: items that go with those of the history are put between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from augment.neighbours import Neighbours
from augment.operator import check_share, refuse_unbound
from augment.sequences import PADDING, Sequences, random_positions, window_size


@dataclass(frozen=True)
class Insert:
    """Put a correlated item before each of max(1, floor(ratio * n)) distinct random items.

    "Insert" of CoSeRec (arXiv:2108.06479, section 3.2.1), one item a position, as its default.
    The batch gets wider, up to max_length; of a history that would be longer, the newest
    max_length items stay.  Before an item without neighbours, or a hidden one, the same item
    is put, where CoSeRec's code takes any item.  An inserted item's time is the middle between
    those of the history's items before and after it, rounded down; before the first item, that
    item's time.
    """

    tells_places: ClassVar[bool] = True
    ratio: float = 0.4
    """Share of the history's items that get one more before them, in [0, 1]; one at least."""

    def __post_init__(self) -> None:
        check_share("ratio", self.ratio)

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        refuse_unbound("insert")

    def correlate(
        self, seqs: Sequences, neighbours: Neighbours, max_length: int, rng: Generator
    ) -> Sequences:
        count = window_size(seqs.lengths, self.ratio).clamp(min=1)  # [B]
        chosen = random_positions(seqs, count, rng)  # [B, L]
        other = neighbours.draw(seqs.items, rng)
        return insert_before(seqs, chosen, other, max_length, inserted_at_most(seqs, self.ratio))


def inserted_at_most(seqs: Sequences, ratio: float) -> int:
    """Items that any history as wide as the batch gets, known without asking the device."""
    return max(1, math.floor(seqs.width * ratio + 1e-9))


def insert_before(
    seqs: Sequences, chosen: Tensor, other: Tensor, max_length: int, most: int
) -> Sequences:
    """Put other [B, L] before the items that are chosen [B, L], at most `most` in a row.

    Of a history that would be longer than max_length, the newest items stay.
    """
    count = chosen.sum(dim=1)  # [B]
    lengths = (seqs.lengths + count).clamp(max=max_length)
    too_many = seqs.lengths + count - lengths  # [B] oldest items that go
    width = min(seqs.width + most, max_length)
    # Item j moves right by the insertions up to and including its own, which stands right
    # before it; what falls off the left end, and padding, goes to a column that is cut.
    place = torch.arange(seqs.width, device=seqs.device) + chosen.cumsum(dim=1)  # [B, L]
    place = place - too_many[:, None]
    before = place - 1
    old = torch.where(seqs.real() & (place >= 0), place, width)
    new = torch.where(chosen & (before >= 0), before, width)

    def placed(present: Tensor, added: Tensor) -> Tensor:
        wide = present.new_full((len(seqs), width + 1), PADDING)  # [B, width + 1]
        return wide.scatter(1, old, present).scatter(1, new, added)[:, :width]

    times = None if seqs.times is None else placed(seqs.times, times_between(seqs.times))
    places = None if seqs.places is None else placed(seqs.places, torch.zeros_like(seqs.places))
    return Sequences(placed(seqs.items, other), lengths, times, places)


def times_between(times: Tensor) -> Tensor:
    """[B, L]: the middle between each time and the one before it; the first stays."""
    before = torch.cat([times[:, :1], times[:, :-1]], dim=1)
    return before + (times - before) // 2
