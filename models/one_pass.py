"""What one pass over a batch and all views of it has to encode, and what it gave, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from augment import Sequences
from models.encoders.encoder import at_last
from models.encoders.passes import Request, mean_over_real
from models.tasks import Batch, EncodingRequest, HistoryState, Task, View

Name = tuple[str, int] | Literal["input", "histories"]
"""Of what a task asks for: the task's name, and the place in what its `views` gave.  input: what
the next-item loss reads.  histories: the batch itself, where that is something else."""


@dataclass(frozen=True)
class HistoryStates:
    """States of the batch's own rows: [B, d] at the last items, or [B, L, d]."""

    states: Tensor
    histories: Sequences

    def last(self) -> Tensor:
        """[B, d]: the state at each history's last item."""
        return (
            at_last(self.states, self.histories.lengths) if self.states.dim() == 3 else self.states
        )

    def mean(self) -> Tensor:
        """[B, d]: the mean over real items."""
        return mean_over_real(self.states, self.histories)


@dataclass(frozen=True)
class TaskStep:
    """A task, the rows of the batch that take part in it, and what it asks for, by name."""

    task: Task
    rows: Batch
    requests: dict[Name, EncodingRequest]


def to_encode(
    batch: Batch, read: Batch | None, requested: Mapping[Name, EncodingRequest], max_length: int
) -> dict[Name, Request]:
    """States of `read`, states of `batch` where a task wants them, and every view.

    read: what the next-item loss reads; None where there is none.  Where it is the batch itself,
          its states are the tasks' too.
    """
    poolings = {r.pooling for r in requested.values() if isinstance(r, HistoryState)}
    states: Literal["all", "last"] = "last"
    if batch.labels is not None or "mean" in poolings:
        states = "all"
    requests: dict[Name, Request] = {}
    if read is not None:
        requests["input"] = Request(read.histories, states)
    if poolings and read is not batch:
        requests["histories"] = Request(batch.histories, states)
    for name, view in requested.items():
        if isinstance(view, View):
            positions = view.positions or max_length
            requests[name] = Request(view.sequences, view.pooling, positions)
    return requests


@dataclass(frozen=True)
class Encoded:
    """The tensors of one pass, and the requests that they answer, by the same names."""

    tensors: Mapping[Name, Tensor]
    requests: Mapping[Name, Request]

    def input(self) -> HistoryStates:
        """Of what the next-item loss reads."""
        return HistoryStates(self.tensors["input"], self.requests["input"].sequences)

    def histories(self) -> HistoryStates:
        """Of the batch itself."""
        if "histories" not in self.requests:
            return self.input()
        return HistoryStates(self.tensors["histories"], self.requests["histories"].sequences)
