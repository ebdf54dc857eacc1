"""Item substitute: some items give way to ones that go with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Generator

from augment.neighbours import Neighbours
from augment.operator import check_share, refuse_unbound
from augment.sequences import Sequences, random_positions, window_size


@dataclass(frozen=True)
class Substitute:
    """Replace max(1, floor(ratio * n)) distinct random items by correlated ones.

    "Substitute" of CoSeRec (arXiv:2108.06479, section 3.2.1).  An item without neighbours and
    a hidden one stay as they are, where CoSeRec's code takes any item.  A new item has the time
    of the one that it replaces.
    """

    tells_places: ClassVar[bool] = True
    ratio: float = 0.1
    """Share of the history that is replaced, in [0, 1]; one item at least."""

    def __post_init__(self) -> None:
        check_share("ratio", self.ratio)

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        refuse_unbound("substitute")

    def correlate(
        self, seqs: Sequences, neighbours: Neighbours, max_length: int, rng: Generator
    ) -> Sequences:
        count = window_size(seqs.lengths, self.ratio).clamp(min=1)  # [B]
        chosen = random_positions(seqs, count, rng)  # [B, L]
        other = neighbours.draw(seqs.items, rng)
        return replace(seqs, items=torch.where(chosen, other, seqs.items))
