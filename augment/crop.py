"""Item crop: a window of the history stands for the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Generator

from augment.operator import check_share
from augment.sequences import Sequences, random_below, window, window_size


@dataclass(frozen=True)
class Crop:
    """Keep one random window of max(1, floor(keep * n)) consecutive items.

    "Item Crop" of CL4SRec (arXiv:2010.14395, section 3.3.1).  Differs from RecBole's
    CropItemSequence, which returns an empty history when keep * n < 1.
    """

    tells_places: ClassVar[bool] = True
    keep: float = 0.6
    """Share of the history that stays, in [0, 1]."""
    at_least_one: bool = False
    """Drop at least one item of every history of two or more."""

    def __post_init__(self) -> None:
        check_share("keep", self.keep)

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        kept = window_size(seqs.lengths, self.keep).clamp(min=1)  # [B]
        if self.at_least_one:
            kept = kept.minimum((seqs.lengths - 1).clamp(min=1))
        start = random_below(seqs.lengths - kept + 1, rng)  # [B]
        return window(seqs, start, kept)
