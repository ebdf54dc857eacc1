"""The same history under another dropout mask is recognised: unsupervised SimCSE, DuoRec."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator

from models.tasks.task import Batch, ContrastiveTask, OwnState, View, Wanted


@dataclass(eq=False, repr=False)
class DropoutTwin(ContrastiveTask):
    """Contrast each history's state with its state under another dropout mask.

    Unsupervised SimCSE (arXiv:2104.08821, section 3); the unsupervised part of DuoRec
    (arXiv:2110.05730, section 3.2).  One view is the state that the next-item loss reads, so
    one further pass is enough.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pooling != "last":
            raise ValueError("pooling must be last: the next-item loss reads the last state")

    def views(self, batch: Batch, rng: Generator) -> list[Wanted]:
        return [OwnState(), View(batch.histories)]
