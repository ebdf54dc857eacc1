"""What one pass over a batch and all views of it has to encode, and what it gave, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from augment import Sequences
from models.encoders.encoder import at_last
from models.encoders.passes import Request
from models.encoders.pooling import Want, mean_over_real, pooled
from models.tasks import EncodingRequest, HistoryState, Requests, SharedView, Step, Task, View
from models.tasks.task import check_poolings

Name = tuple[str, str] | Literal["input", "histories"]
"""Of what a task asks for: the task's name, and its name for the request.  input: what the
next-item loss reads.  histories: the batch itself, where that is something else."""


@dataclass(frozen=True)
class EncodedRows:
    """States of the batch's own rows: [B, d] at the last items, or [B, L, d]."""

    states: Tensor
    histories: Sequences

    def last(self) -> Tensor:
        """[B, d]: the state at each history's last item."""
        return (
            at_last(self.states, self.histories.lengths) if self.states.dim() == 3 else self.states
        )

    def of(self, pooling: Literal["last", "mean", "all"]) -> Tensor:
        """[B, d], or [B, L, d] for all."""
        if pooling == "last":
            return self.last()
        return self.states if pooling == "all" else mean_over_real(self.states, self.histories)


@dataclass(frozen=True)
class TaskStep:
    """A task, its step, and what it asks for."""

    task: Task
    step: Step
    requests: Requests

    def named(self) -> dict[Name, View]:
        """The views that it has encoded, by their names in the pass."""
        return {
            (self.task.name, key): request
            for key, request in self.requests.items()
            if isinstance(request, View)
        }


def with_own_states(steps: Sequence[TaskStep]) -> list[TaskStep]:
    """Replace each SharedView of a history's own state by a request for that state.

    Errors: ValueError for a view that the other task does not ask for.
    """
    requests: dict[Name, EncodingRequest] = {
        (task_step.task.name, key): request
        for task_step in steps
        for key, request in task_step.requests.items()
    }
    replaced = []
    for task_step in steps:
        own = {key: own_state(r, task_step, requests) for key, r in task_step.requests.items()}
        replaced.append(replace(task_step, requests=own))
    return replaced


def own_state(
    request: EncodingRequest, task_step: TaskStep, requests: Mapping[Name, EncodingRequest]
) -> EncodingRequest:
    if not isinstance(request, SharedView):
        return request
    shared = requests.get((request.task, request.view))
    if isinstance(shared, View):
        return request
    if not isinstance(shared, HistoryState):
        raise ValueError(
            f"contrast: {task_step.task.name} reads the view {request.view!r} of {request.task}, "
            "which asks for no such view of histories"
        )
    if request.pooling == "last" or request.pooling == "mean" or request.pooling == "all":
        return HistoryState(request.pooling)
    return View(task_step.step.batch.histories, request.pooling)


def to_encode(
    batch: Sequences,
    read: Sequences | None,
    every: bool,
    steps: Sequence[TaskStep],
    most: int,
    scored: Tensor | None = None,
) -> dict[Name, Request]:
    """States of `read`, states of `batch` where a task wants them, and every view.

    read:   what the next-item loss reads; None where there is none.  Where it is the batch
            itself, its states are the tasks' too.
    every:  whether it reads states at more than the last position.
    most:   items that a history may have.
    scored: [T] of the flattened [B, L], the positions that it reads, where they are known and
            nobody else reads states of `read`.
    """
    of_tasks = [request for task_step in steps for request in task_step.requests.values()]
    poolings = {request.pooling for request in of_tasks if isinstance(request, HistoryState)}
    states: Literal["all", "last"] = "all" if every or poolings - {"last"} else "last"
    requests: dict[Name, Request] = {}
    if read is not None and scored is not None and not (poolings and read is batch):
        requests["input"] = Request(read, "scored", scored=scored)
    elif read is not None:
        requests["input"] = Request(read, states)
    if poolings and read is not batch:
        requests["histories"] = Request(batch, states)
    for task_step in steps:
        for name, view in task_step.named().items():
            want = wanted(name, view, of_tasks)
            positions = view.positions or most
            requests[name] = Request(view.sequences, want, positions, view.momentum)
    return requests


def wanted(name: Name, view: View, requests: Sequence[object]) -> Want:
    """One pooling, or every state where two tasks want the view in different ways."""
    shared = {
        request.pooling
        for request in requests
        if isinstance(request, SharedView) and (request.task, request.view) == name
    }
    poolings = {view.pooling, *shared}
    check_poolings(name[0], poolings)
    if len(poolings) == 1:
        return view.pooling
    return "padded" if "padded" in poolings else "all"


@dataclass(frozen=True)
class Encoded:
    """The tensors of one pass, and the requests that they answer, by the same names."""

    tensors: Mapping[Name, Tensor]
    requests: Mapping[Name, Request]

    def input(self) -> EncodedRows:
        """Of what the next-item loss reads."""
        return EncodedRows(self.tensors["input"], self.requests["input"].sequences)

    def at(self, scored: Tensor, rows: int) -> Tensor:
        """[T, d]: of what the next-item loss reads, at positions of the flattened [rows, L]."""
        if self.requests["input"].want == "scored":
            return self.tensors["input"]
        return self.tensors["input"][:rows].flatten(0, 1)[scored]

    def histories(self) -> EncodedRows:
        """Of the batch itself."""
        if "histories" not in self.requests:
            return self.input()
        return EncodedRows(self.tensors["histories"], self.requests["histories"].sequences)

    def view(self, name: Name, want: Want, positions: int) -> Tensor:
        """A view as it is wanted, whatever it was encoded for."""
        request, states = self.requests[name], self.tensors[name]
        if request.want == want:
            if want == "concat" and request.max_length < positions:  # the latest item stays last
                wide = positions * (states.shape[1] // request.max_length)
                return F.pad(states, (wide - states.shape[1], 0))
            return states
        if request.want == "padded":
            return states.view(len(states), positions, -1).mean(dim=1)
        return pooled(states, request.sequences, want, positions)
