"""What is recorded of a task beside its loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from augment import Sequences, identity_rate
from augment.views import unchanged
from models.one_pass import TaskStep
from models.tasks import TaskLoss, View
from models.tasks.step import TaskError


@torch.no_grad()
def task_metrics(
    task_step: TaskStep, result: TaskLoss, encoded: Mapping[str, Tensor], diagnose: bool
) -> dict[str, Tensor]:
    """contrast/<task>/<name> for every scalar of a task; those that cost extra with `diagnose`."""
    task, step = task_step.task, task_step.step
    scalars = {"loss": result.value.detach(), **result.metrics}
    if diagnose:
        scalars["weight"] = torch.tensor(task.weight)
        scalars |= task.diagnose(encoded, step)
        scalars |= identity_rates(step.batch.histories, list(task_step.named().values()))
    return {
        f"contrast/{task.name}/{name}": as_number(f"{task.name}: {name}", value)
        for name, value in scalars.items()
    }


def as_number(what: str, value: object) -> Tensor:
    """A scalar that means can be taken of.  TaskError for anything but one number."""
    try:
        number = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise TaskError(f"{what} has to be one number, got a {type(value).__name__}") from None
    if number.dim():
        raise TaskError(f"{what} has to be one number, got one of shape {[*number.shape]}")
    return number if number.is_floating_point() else number.double()


def identity_rates(histories: Sequences, views: Sequence[View]) -> dict[str, Tensor]:
    """Share of views equal to their input: over all, and for each operator that drew some."""
    views = [v for v in views if v.sequences is not (v.made_from or histories)]  # meant to differ
    if not views:
        return {}
    each = [identity_rate(v.made_from or histories, v.sequences) for v in views]
    rates = {"identity_rate": torch.stack(each).mean()}
    drawn = [v for v in views if v.drawn is not None]
    if drawn:
        same = torch.cat([unchanged(v.made_from or histories, v.sequences) for v in drawn]).double()
        operator = torch.cat([v.drawn for v in drawn if v.drawn is not None])
        for index, name in enumerate(drawn[0].operators):
            made = operator == index
            rates[f"identity_rate/{name}"] = (same * made).sum() / made.sum()
    return rates
