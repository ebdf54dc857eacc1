"""What a task answers is checked before it is used, so that a mistake of its author is one line."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from augment.well_formed import malformed, wrong_shape
from models.tasks.step import EncodingRequest, Requests, Step, TaskError, View
from models.tasks.task import Task, TaskLoss


def asked_by(task: Task, step: Step, num_items: int, max_length: int) -> Requests:
    """What a task asks for.

    TaskError where it is no mapping of names to requests, asks for a moving average of the model
    that it did not announce, or for a view that is no histories of at most `max_length` items.
    """
    requests = task.requests(step)
    what = requests.values() if isinstance(requests, Mapping) else [requests]
    strange = next((one for one in what if not isinstance(one, EncodingRequest)), None)
    if strange is not None:
        raise TaskError(
            f"{task.name}: `requests` has to return names and a View, HistoryState, ItemEmbeddings "
            f"or SharedView for each, got a {type(strange).__name__}"
        )
    momenta = {one.momentum for one in what if isinstance(one, View)} - {None}
    if unknown := momenta - set(task.momentum_copies()):
        raise TaskError(
            f"{task.name}: a View has momentum {unknown.pop()}, which `momentum_copies` does not "
            "name"
        )
    for name, request in requests.items():
        if isinstance(request, View):
            check_view(f"{task.name}: view {name!r}", request, step, num_items, max_length)
    return requests


def check_view(what: str, view: View, step: Step, num_items: int, max_length: int) -> None:
    """TaskError for a view that is no histories, one for each row unless it says otherwise."""
    rows = len(step.batch if view.made_from is None else view.made_from)
    if wrong := wrong_shape(view.sequences, rows):
        raise TaskError(f"{what} has to be {wrong}")
    if found := malformed(view.sequences, num_items, max_length):
        row, wrong = found
        operator = view.operator_of(row)
        made = f", made by {operator}," if operator else ""
        raise TaskError(f"{what}: row {row}{made} is no history: {wrong}")


def check_loss(task: Task, found: object) -> None:
    """TaskError for anything but a TaskLoss of one number."""
    if not isinstance(found, TaskLoss):
        got = f"a {type(found).__name__}"
    elif not isinstance(found.value, Tensor):
        got = f"a {type(found.value).__name__}"
    elif found.value.dim():
        got = f"one of shape {[*found.value.shape]}"
    else:
        return
    raise TaskError(f"{task.name}: `loss` has to return a TaskLoss of one number, got {got}")


def check_second_step(task: Task, found: object) -> None:
    """TaskError for anything but a scalar."""
    if isinstance(found, Tensor) and not found.dim():
        return
    got = f"shape {[*found.shape]}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
    raise TaskError(f"{task.name}: `second_step` has to return a scalar tensor, got {got}")
