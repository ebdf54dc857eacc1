"""What a contrastive task declares: what it mines, which views it needs, and its loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Generator, Tensor

from augment import Sequences, TrainHistories
from augment.correlation import CountNeighbours, counted_neighbours
from models.configured import ConfiguredModule
from models.snapshot import Pooling, Snapshot


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
    """

    histories: Sequences
    targets: Tensor
    users: Tensor
    labels: Tensor | None = None
    scored: NDArray[np.int64] | None = None
    final: Tensor | None = None

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

    def of(self, rows: Tensor) -> Batch:
        """The given rows alone, as the contrast sees them: without labels."""
        return Batch(self.histories.rows(rows), self.targets[rows], self.users[rows])


@dataclass(frozen=True)
class View:
    """Histories for the encoder, one for each row of the batch unless `made_from` is given.

    pooling:   which representation the task wants back: the last real position's state or
               the mean over real positions, [B, d]; or all states side by side, [B, L * d].
    operators: names, and for each row the index of the one that made it: only for the history.
    made_from: the histories that the view changes, where they are not the batch's; there may be
               any number of them.
    positions: of a concatenation, its L; None: as many as the longest history of any batch.
    """

    sequences: Sequences
    pooling: Pooling = "last"
    operators: tuple[str, ...] = ()
    drawn: Tensor | None = None
    made_from: Sequences | None = None
    positions: int | None = None


@dataclass(frozen=True)
class HistoryState:
    """The state of each history as it is: [B, d].

    The next-item loss has encoded it, so no further pass is needed, unless the input is augmented.

    pooling: the state at the last item, which the loss reads too, or the mean over real items.
    """

    pooling: Literal["last", "mean"] = "last"


@dataclass(frozen=True)
class ItemEmbeddings:
    """The embeddings of some items.  items: item numbers [N] -> [N, d]."""

    items: Tensor


EncodingRequest = View | HistoryState | ItemEmbeddings


@dataclass(frozen=True)
class Sizes:
    """What a task's parameters depend on, and how it has neighbours of items counted."""

    dim: int
    max_length: int
    num_items: int
    num_users: int
    count_neighbours: CountNeighbours = counted_neighbours

    def pooled(self, pooling: Pooling) -> int:
        """The size of a history's representation."""
        return self.dim * self.max_length if pooling == "concat" else self.dim


@dataclass(frozen=True)
class TaskLoss:
    """A scalar to be weighted and added to the loss, and named scalars for the history."""

    value: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)


@dataclass(eq=False, repr=False)
class Task(ConfiguredModule):
    """One auxiliary objective.  A dataclass whose fields are its configuration.

    It is a torch module too, so parameters made in `prepare` are trained and saved with the
    model, and buffers are saved.  A field out of range is a ValueError in __post_init__.
    """

    needs_causal: ClassVar[bool] = False
    """It reads states that must know of no later item: an encoder that is not causal is refused."""

    name: str = ""
    """Unique in a model; the task's kind where it is not given."""
    weight: float = 0.1
    """Factor of this loss next to the next-item loss; 0 leaves the task out."""
    anchors: Literal["all", "one_per_user"] = "all"
    """all: every row of a batch takes part.  one_per_user: only the row that ends its user's
    training history, so that views are drawn once a user in an epoch, not once a prefix."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.weight < float("inf"):
            raise ValueError(f"weight must be at least 0, got {self.weight}")

    def prepare(self, sizes: Sizes) -> None:
        """Make parameters.  Called once, after all other weights of the model are drawn."""

    def fit(self, train: TrainHistories) -> None:
        """Mine positives, clusters, neighbours: from the training split, the only data given."""

    def start_epoch(self, epoch: int, snapshot: Snapshot, rng: Generator) -> None:
        """Mine again what depends on the model as it stands; epochs count from 1."""

    def select_rows(self, batch: Batch) -> Batch:
        """The rows of a batch that take part."""
        if self.anchors == "all":
            return batch
        if batch.final is None:
            raise ValueError("anchors: one_per_user needs batches that know each user's last row")
        return batch.of(batch.final)

    def views(self, batch: Batch, rng: Generator) -> Sequence[EncodingRequest]:
        """What to encode or look up; a View has one row for every row of the batch,
        or for every history that it says it was made from."""
        raise NotImplementedError

    def loss(self, encoded: list[Tensor], batch: Batch) -> TaskLoss:
        """The objective, from what `views` asked for, in its order: [B, d] each, or [N, d]."""
        raise NotImplementedError

    def diagnose(self, encoded: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Further scalars for the history, computed without gradient on some batches only."""
        return {}


def refuse_equal_names(tasks: Sequence[Task]) -> None:
    """ValueError for two tasks of one name: views, losses and records go by it."""
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"contrast: two tasks are named {name!r}; give each its own `name`")
