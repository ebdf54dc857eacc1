"""A history is recognised by its newest items: the user of late against the user at large."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator

from augment import Sequences
from augment.sequences import window, window_size
from models.tasks.contrastive import ContrastiveTask
from models.tasks.step import Batch, EncodingRequest, HistoryState, View


@dataclass(eq=False, repr=False)
class RecentSubsequence(ContrastiveTask):
    """Contrast each history with its own newest max(1, floor(recent * n)) items.

    Long- and short-term interest as each other's positives, after CLSR (Zheng et al. 2022,
    arXiv:2202.13090), which contrasts them by proxies and with encoders of their own.  With
    pooling: last the whole history's view is its own state (HistoryState), so a pass over the
    newest items is all that is added.
    """

    recent: float = 0.5
    """Of the history that counts as recent, in (0, 1)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.recent < 1.0:
            raise ValueError(f"recent must lie in (0, 1), got {self.recent}")

    def make_views(self, batch: Batch, rng: Generator) -> list[EncodingRequest]:
        whole = batch.histories
        long = HistoryState() if self.pooling == "last" else View(whole, self.pooling)
        return [long, View(newest(whole, self.recent), self.pooling)]


def newest(seqs: Sequences, share: float) -> Sequences:
    """The last max(1, floor(share * n)) items of each history."""
    kept = window_size(seqs.lengths, share).clamp(min=1)  # [B]
    return window(seqs, seqs.lengths - kept, kept)
