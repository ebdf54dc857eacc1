"""The five operators of TiCoSeRec, which choose their places by the time between interactions.

Dang et al. 2023 (AAAI), "Uniform Sequence Better: Time Interval Aware Data Augmentation for
Sequential Recommendation", arXiv:2212.08262.  A gap is the time from an item to the next; regular
gaps are taken for a steady interest, which may be cropped or reordered, and wide gaps for places
where something is missing.  Where gaps are equal, the generator chooses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from augment.insert import insert_before, inserted_at_most
from augment.neighbours import Neighbours
from augment.operator import check_share, refuse_unbound
from augment.reorder import shuffled
from augment.sequences import MASK, Sequences, positions, window, window_size


@dataclass(frozen=True)
class TimeCrop:
    """Ti-Crop: keep the max(1, floor(keep * n)) consecutive items whose gaps vary the least."""

    needs_times: ClassVar[bool] = True
    tells_places: ClassVar[bool] = True
    keep: float = 0.6
    """Share of the history that stays, in [0, 1]."""

    def __post_init__(self) -> None:
        check_share("keep", self.keep)

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        kept = window_size(seqs.lengths, self.keep).clamp(min=1)  # [B]
        return window(seqs, most_regular(seqs, kept, rng), kept)


@dataclass(frozen=True)
class TimeReorder:
    """Ti-Reorder: shuffle the floor(ratio * n) consecutive items whose gaps vary the least."""

    needs_times: ClassVar[bool] = True
    tells_places: ClassVar[bool] = True
    ratio: float = 0.2
    """Share of the history inside the window, in [0, 1]."""

    def __post_init__(self) -> None:
        check_share("ratio", self.ratio)

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        size = window_size(seqs.lengths, self.ratio)  # [B]
        return shuffled(seqs, most_regular(seqs, size, rng), size, rng)


@dataclass(frozen=True)
class TimeMask:
    """Ti-Mask: hide floor(ratio * n) items, those with the widest gaps before them."""

    needs_times: ClassVar[bool] = True
    tells_places: ClassVar[bool] = True
    ratio: float = 0.5
    """Share of the history that is hidden, in [0, 1]."""
    gaps: Literal["widest", "narrowest"] = "widest"
    """Which items are hidden; its code has both, widest in its Beauty run, and random places."""

    def __post_init__(self) -> None:
        check_share("ratio", self.ratio)

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        count = window_size(seqs.lengths, self.ratio)
        hidden = by_gap(seqs, count, self.gaps == "widest", rng)
        return replace(seqs, items=torch.where(hidden, MASK, seqs.items))


@dataclass(frozen=True)
class TimeSubstitute:
    """Ti-Substitute: replace the max(1, floor(ratio * n)) items after the narrowest gaps.

    By correlated ones, as Substitute does; an item without neighbours and a hidden one stay.
    """

    needs_times: ClassVar[bool] = True
    tells_places: ClassVar[bool] = True
    ratio: float = 0.1
    """Share of the history that is replaced, in [0, 1]; one item at least."""

    def __post_init__(self) -> None:
        check_share("ratio", self.ratio)

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        refuse_unbound("time_substitute")

    def correlate(
        self, seqs: Sequences, neighbours: Neighbours, max_length: int, rng: Generator
    ) -> Sequences:
        count = window_size(seqs.lengths, self.ratio).clamp(min=1)  # [B]
        chosen = by_gap(seqs, count, False, rng)
        other = neighbours.draw(seqs.items, rng)
        return replace(seqs, items=torch.where(chosen, other, seqs.items))


@dataclass(frozen=True)
class TimeInsert:
    """Ti-Insert: put a correlated item into each of the max(1, floor(ratio * n)) widest gaps.

    A history of one item has no gap and gets one before it.  Length and times as after Insert.
    """

    needs_times: ClassVar[bool] = True
    tells_places: ClassVar[bool] = True
    ratio: float = 0.5
    """Share of the history's items that get one more before them, in [0, 1]; one at least."""

    def __post_init__(self) -> None:
        check_share("ratio", self.ratio)

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        refuse_unbound("time_insert")

    def correlate(
        self, seqs: Sequences, neighbours: Neighbours, max_length: int, rng: Generator
    ) -> Sequences:
        count = window_size(seqs.lengths, self.ratio).clamp(min=1)  # [B]
        chosen = by_gap(seqs, count, True, rng)
        other = neighbours.draw(seqs.items, rng)
        most = inserted_at_most(seqs, self.ratio)
        return insert_before(seqs, chosen, other, max_length, most)


def gaps_before(seqs: Sequences) -> Tensor:
    """[B, L] float64: the time from the item before, over the row's widest; -1 for the first item.

    Errors: ValueError where the data have no times.
    """
    gaps = times_before(seqs)
    gaps = gaps / gaps.amax(dim=1, keepdim=True).clamp(min=1.0)
    gaps[:, 0] = -1.0
    return gaps


def times_before(seqs: Sequences) -> Tensor:
    """[B, L] float64: the time from the item before; 0 for the first item and at padding.

    Errors: ValueError where the data have no times.
    """
    if seqs.times is None:
        raise ValueError("operators that read time gaps need data with times, and these have none")
    gaps = (seqs.times - seqs.times.roll(1, dims=1)).double().masked_fill(~seqs.real(), 0.0)
    gaps[:, 0] = 0.0
    return gaps


def by_gap(seqs: Sequences, count: Tensor, widest: bool, rng: Generator) -> Tensor:
    """[B, L] bool: the `count` [B] items with the widest or narrowest gaps before them.

    A row's first item has no gap before it and comes last.
    """
    gaps = gaps_before(seqs)
    ties = torch.rand(gaps.shape, dtype=torch.float64, generator=rng, device=gaps.device)
    keys = -gaps if widest else gaps
    keys[:, 0] = 2.0
    keys = keys.masked_fill(~seqs.real(), 3.0)
    random_order = ties.argsort(dim=1)
    order = random_order.gather(1, keys.gather(1, random_order).argsort(dim=1, stable=True))
    rank = torch.empty_like(order).scatter(1, order, positions(seqs).expand_as(order))
    return rank < count[:, None]


def most_regular(seqs: Sequences, size: Tensor, rng: Generator) -> Tensor:
    """[B]: where the window of `size` [B] items starts whose gaps have the least variance.

    Windows whose variances differ by less than 1e-12 of the least are equal.
    """
    variance = window_variances(seqs, size)
    ties = torch.rand(variance.shape, dtype=torch.float64, generator=rng, device=variance.device)
    fits = positions(seqs) <= (seqs.lengths - size)[:, None]  # [B, L]
    variance = variance.masked_fill(~fits, float("inf"))
    least = variance.amin(dim=1, keepdim=True)
    return ties.masked_fill(variance > least * (1.0 + 1e-12), float("inf")).argmin(dim=1)


def window_variances(seqs: Sequences, size: Tensor) -> Tensor:
    """[B, L] float64: n^3 times the variance of the n = size - 1 gaps in the window of `size` [B]
    items from each place on; 0 for windows of fewer gaps than two.

    It adds squares of n * gap - (the sum of the gaps), which is exact for times that are whole
    numbers, as all are: a far gap elsewhere in the history costs a window no digit.
    """
    gaps = times_before(seqs)
    count = (size - 1).clamp(min=0)[:, None, None]  # [B, 1, 1]
    # The most is asked for on a CPU only: a GPU would have to be waited for.
    most = max(1, int(count.max())) if gaps.device.type == "cpu" else seqs.width
    # A window's first gap is before its second item.
    windows = F.pad(gaps[:, 1:], (0, most)).unfold(1, most, 1)  # [B, L, most]
    inside = torch.arange(most, device=gaps.device) < count
    windows = windows.masked_fill(~inside, 0.0)
    apart = count * windows - windows.sum(dim=2, keepdim=True)
    variance: Tensor = apart.masked_fill(~inside, 0.0).square().sum(dim=2)
    return variance
