"""One training step as a task sees it: the batch, and what may be asked of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from augment import Sequences
from models.snapshot import Pooling


@dataclass(frozen=True)
class Batch:
    """Training examples: histories and what follows them.

    histories: [B, L] input items, with their times where the data have any.
    targets:   [B] the item that follows each history.
    users:     [B] user numbers.
    labels:    [B, L] the item that follows each position, 0 where none is scored; None when
               only the last position is trained (then it is `targets`).
    scored:    [B] on the host: how many labels of each row are not 0; None when not counted.
    final:     rows that end their user's training history; None when nobody has looked.
    taken:     [B] the rows of the batch that these were taken from, by `of`; None: it is whole.
    target_at: [B] where each target stands among the items of the training split, which says
               which of its prefixes a row is; None when nobody has looked.
    """

    histories: Sequences
    targets: Tensor
    users: Tensor
    labels: Tensor | None = None
    scored: NDArray[np.int64] | None = None
    final: Tensor | None = None
    target_at: Tensor | None = None
    taken: Tensor | None = None

    def __len__(self) -> int:
        return len(self.histories)

    def label_counts(self) -> NDArray[np.int64]:
        """[B] on the host: how many positions of each row are scored."""
        if self.labels is None:
            return np.ones(len(self), np.int64)
        if self.scored is not None:
            return self.scored
        counts: NDArray[np.int64] = (self.labels > 0).sum(dim=1).cpu().numpy()
        return counts

    def scored_positions(self, part: slice) -> Tensor | None:
        """[T] positions of the flattened [B, L] that have a label, in those rows; None without.

        How many there are is known here, so no device is asked.
        """
        if self.labels is None:
            return None
        count = int(self.label_counts()[part].sum())
        return torch.nonzero_static((self.labels[part] > 0).flatten(), size=count)[:, 0]

    def of(self, rows: Tensor) -> Batch:
        """The given rows alone, as the contrast sees them: without labels."""
        places = None if self.target_at is None else self.target_at[rows]
        return Batch(
            self.histories.rows(rows),
            self.targets[rows],
            self.users[rows],
            target_at=places,
            taken=rows if self.taken is None else self.taken[rows],
        )


class TaskError(ValueError):
    """A task does not do what its kind has to; the message says what would be right."""


def check_pooling(what: str, pooling: str, known: Sequence[str]) -> None:
    if pooling not in known:
        raise TaskError(f"{what}: pooling {pooling!r}; known: {', '.join(known)}")


@dataclass(frozen=True)
class View:
    """Histories for the encoder, one for each row of the batch unless `made_from` is given.

    pooling:   which representation the task wants back: the last real position's state or
               the mean over real positions, [B, d]; all states side by side, [B, L * d]; or all,
               the state at every position, [B, L, d], meaningless at padding.
    operators: names of operators; drawn: [B] the index among them of the one that made each row.
               Both are recorded in history.jsonl and change nothing else.
    made_from: the histories that the view changes, where they are not the batch's; there may be
               any number of them.
    positions: of a concatenation, its L; None: as many as the longest history of any batch.
    momentum:  encode by the moving average of the model with this coefficient, without gradient;
               one of those that the task's `momentum_copies` names.  None: by the model itself.
    """

    sequences: Sequences
    pooling: Pooling | Literal["all"] = "last"
    operators: tuple[str, ...] = ()
    drawn: Tensor | None = None
    made_from: Sequences | None = None
    positions: int | None = None
    momentum: float | None = None

    def __post_init__(self) -> None:
        check_pooling("View", self.pooling, (*get_args(Pooling), "all"))

    def operator_of(self, row: int) -> str:
        """The operator that made a row; "" where nobody says."""
        if self.drawn is None:
            return ""
        index = int(self.drawn[row])
        return self.operators[index] if index >= 0 else "all operators"


@dataclass(frozen=True)
class SharedView:
    """A view that another task has asked for, which is encoded once for both.

    A view by a moving average of the model has no gradient for either.

    task:    the other task's name, which `reads_views_of` names too.
    view:    the name of the view in its requests.
    pooling: may differ from the one that the other task wants.
    """

    task: str
    view: str
    pooling: Pooling | Literal["all"] = "last"


@dataclass(frozen=True)
class HistoryState:
    """The state of each history as it is: [B, d], or [B, L, d] for all.

    The next-item loss has encoded it, so no further pass is needed, unless the input is augmented.

    pooling: the state at the last item, which the loss reads too, the mean over real items, or
             the state at every position, meaningless at padding.
    """

    pooling: Literal["last", "mean", "all"] = "last"

    def __post_init__(self) -> None:
        check_pooling("HistoryState", self.pooling, ("last", "mean", "all"))


@dataclass(frozen=True)
class ItemEmbeddings:
    """The embeddings of some items.  items: item numbers [N] -> [N, d]."""

    items: Tensor


EncodingRequest = View | SharedView | HistoryState | ItemEmbeddings
Requests = Mapping[str, EncodingRequest]
"""What a task asks for, under names of its own."""


@dataclass(frozen=True)
class Step:
    """One training step as a task sees it.

    batch: the rows that take part.
    rng:   draws what `requests` draws, and nothing else does.
    drawn: what `requests` drew and `loss` or `diagnose` must know again, by any names.
    """

    batch: Batch
    rng: Generator
    drawn: dict[str, Any] = field(default_factory=dict)
