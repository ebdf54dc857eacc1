"""Item reorder: the order inside a window does not matter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Generator, Tensor

from augment.operator import check_share
from augment.sequences import Sequences, positions, random_below, window_size


@dataclass(frozen=True)
class Reorder:
    """Shuffle one random window of floor(ratio * n) consecutive items.

    "Item Reorder" of CL4SRec (arXiv:2010.14395, section 3.3.3).  Every order of the window is
    equally likely, the old one included.  Times stay where they are: an item that moves takes
    the time of its new place, so that times still rise.
    """

    tells_places: ClassVar[bool] = True
    ratio: float = 0.6
    """Share of the history inside the window, in [0, 1]."""
    at_least_one: bool = False
    """Shuffle at least two items of every history of two or more."""

    def __post_init__(self) -> None:
        check_share("ratio", self.ratio)

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        size = window_size(seqs.lengths, self.ratio)  # [B]
        if self.at_least_one:
            size = size.maximum(seqs.lengths.clamp(max=2))
        return shuffled(seqs, random_below(seqs.lengths - size + 1, rng), size, rng)


def shuffled(seqs: Sequences, start: Tensor, size: Tensor, rng: Generator) -> Sequences:
    """The `size` [B] items from `start` [B] on in a random order, every one as likely."""
    start, size = start[:, None], size[:, None]
    place = positions(seqs)  # [1, L]
    inside = (place >= start) & (place < start + size)  # [B, L]
    draw = torch.rand(seqs.items.shape, dtype=torch.float64, generator=rng, device=seqs.device)
    # Inside keys fall in [start, start + size), outside keys are the positions themselves:
    # sorting by key permutes the window and leaves the rest where it was.
    keys = torch.where(inside, start + draw * size, place.double())
    order = keys.argsort(dim=1, stable=True)
    places = None if seqs.places is None else seqs.places.gather(1, order)
    return replace(seqs, items=seqs.items.gather(1, order), places=places)
