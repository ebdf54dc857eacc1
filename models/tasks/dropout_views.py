"""The same history under another dropout mask is recognised: unsupervised SimCSE, DuoRec."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator

from models.tasks.contrastive import ContrastiveTask
from models.tasks.step import Batch, EncodingRequest, HistoryState, View


@dataclass(eq=False, repr=False)
class DropoutViews(ContrastiveTask):
    """Contrast each history's state with its state under another dropout mask.

    Unsupervised SimCSE (arXiv:2104.08821, section 3); the unsupervised part of DuoRec
    (arXiv:2110.05730, section 3.2).  With pooling: last one view is the history's own
    state (HistoryState), so one further pass is enough; otherwise there are two.
    """

    def make_views(self, batch: Batch, rng: Generator) -> list[EncodingRequest]:
        view = View(batch.histories, self.pooling)
        return [HistoryState() if self.pooling == "last" else view, view]
