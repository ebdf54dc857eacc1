"""The same history under another dropout mask is recognised: unsupervised SimCSE, DuoRec."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator

from models.tasks.contrastive import ContrastiveTask
from models.tasks.task import Batch, OwnState, View, Wanted


@dataclass(eq=False, repr=False)
class DropoutTwin(ContrastiveTask):
    """Contrast each history's state with its state under another dropout mask.

    Unsupervised SimCSE (arXiv:2104.08821, section 3); the unsupervised part of DuoRec
    (arXiv:2110.05730, section 3.2).  With pooling: last one view is the history's own
    state (OwnState), so one further pass is enough; otherwise there are two.
    """

    def pair(self, batch: Batch, rng: Generator) -> list[Wanted]:
        twin = View(batch.histories, self.pooling)
        return [OwnState() if self.pooling == "last" else twin, twin]
