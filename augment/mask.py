"""Item mask: some items of the history are hidden."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Generator

from augment.operator import check_share
from augment.sequences import MASK, Sequences, random_positions, window_size


@dataclass(frozen=True)
class Mask:
    """Hide floor(ratio * n) distinct random positions behind the [mask] item.

    "Item Mask" of CL4SRec (arXiv:2010.14395, section 3.3.2).  [mask] has an embedding of its
    own; some public code reuses the padding row, which makes a masked item vanish.
    """

    tells_places: ClassVar[bool] = True
    ratio: float = 0.3
    """Share of the history that is hidden, in [0, 1]."""
    at_least_one: bool = False
    """Hide at least one item of every history."""

    def __post_init__(self) -> None:
        check_share("ratio", self.ratio)

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        count = window_size(seqs.lengths, self.ratio)  # [B]
        if self.at_least_one:
            count = count.clamp(min=1)
        hidden = random_positions(seqs, count, rng)  # [B, L]
        return replace(seqs, items=torch.where(hidden, MASK, seqs.items))
