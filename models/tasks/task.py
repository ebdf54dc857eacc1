"""What a contrastive task declares: what it mines, which views it needs, and its loss."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor, nn

from augment import TrainHistories
from augment.correlation import CountNeighbours, counted_neighbours
from models.configured import ConfiguredModule
from models.ranges import check_not_negative
from models.snapshot import Pooling, Snapshot
from models.tasks.step import Batch, Requests, Step, TaskError


@dataclass(frozen=True)
class ParameterGroup:
    """Weights of a task that are not trained as all others are.

    rate_factor: of the run's learning rate.
    second_step: moved by the gradient of `Task.second_step` only, after the other weights.
    """

    parameters: tuple[nn.Parameter, ...]
    rate_factor: float = 1.0
    second_step: bool = False


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
        wide = pooling in ("concat", "padded")
        return self.dim * self.max_length if wide else self.dim


@dataclass(frozen=True)
class TaskLoss:
    """A scalar to be weighted and added to the loss, and named scalars for the history."""

    value: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)


def weighted_sum(losses: Mapping[str, Tensor], factors: Mapping[str, float]) -> TaskLoss:
    """The losses of a task that has several, each times its factor, added in their order.

    Each is recorded as `NAME_loss`, without its factor.  A factor without a loss has no part.
    """
    value = torch.stack([factors[name] * loss for name, loss in losses.items()]).sum()
    return TaskLoss(value, {f"{name}_loss": loss.detach() for name, loss in losses.items()})


@dataclass(eq=False, repr=False)
class Task(ConfiguredModule):
    """One auxiliary objective.  A dataclass whose fields are its configuration.

    It is a torch module too, so parameters made in `prepare` are trained and saved with the
    model, and buffers are saved.  A field out of range is a ValueError in __post_init__.
    """

    needs_causal: ClassVar[bool] = False
    """It reads states that must know of no later item: an encoder that is not causal is refused."""
    shares_views: ClassVar[bool] = False
    """Its requests are views of histories, a and b, that another task may read (SharedView)."""

    name: str = ""
    """Unique in a model; the task's kind where it is not given."""
    weight: float = 0.1
    """Factor of this loss next to the next-item loss; 0 leaves the task out."""
    anchors: Literal["all", "one_per_user"] = "all"
    """all: every row of a batch takes part.  one_per_user: only the row that ends its user's
    training history, so that views are drawn once a user in an epoch, not once a prefix."""

    def __init_subclass__(cls) -> None:
        """TypeError for a class that was written for the first contract, with lists of views."""
        super().__init_subclass__()
        arguments = {
            name: list(inspect.signature(vars(cls)[name]).parameters)
            for name in ("views", "loss", "diagnose")
            if inspect.isfunction(vars(cls).get(name))
        }
        if "views" in arguments or any("batch" in names for names in arguments.values()):
            raise TypeError(
                f"{cls.__name__} is written for an earlier version: views(batch, rng) is "
                "requests(step) now, and loss and diagnose get (encoded, step), with encoded a "
                "mapping by the names of the requests (experiments/docs/extending.md)"
            )

    def __post_init__(self) -> None:
        check_not_negative("weight", self.weight)

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

    def requests(self, step: Step) -> Requests:
        """What to encode or look up, by name; a View has one row for every row of the batch,
        or for every history that it says it was made from."""
        raise TaskError(f"{type(self).__name__} defines no `requests`")

    def loss(self, encoded: Mapping[str, Tensor], step: Step) -> TaskLoss:
        """The objective, from what `requests` asked for, by its names: [B, d] each, or [N, d]."""
        raise TaskError(f"{type(self).__name__} defines no `loss`")

    def diagnose(self, encoded: Mapping[str, Tensor], step: Step) -> dict[str, Tensor]:
        """Further scalars for the history, computed without gradient on some batches only."""
        return {}

    def reads_views_of(self) -> Sequence[str]:
        """Names of the tasks of which it asks a SharedView."""
        return ()

    def momentum_copies(self) -> Sequence[float]:
        """Coefficients of the moving averages of the model that its views are encoded by."""
        return ()

    # Training in two steps --------------------------------------------------------------------

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Weights of this task that are trained in another way than the model's."""
        return ()

    def second_step(self, encoded: Mapping[str, Tensor], step: Step) -> Tensor:
        """What the parameters of the second step descend, once the other weights have moved.

        The views of the same step, encoded anew and without gradient: the model stands still.
        """
        raise NotImplementedError

    def trains_again(self) -> bool:
        """Whether the other weights take one more step on the batch, after the second step.

        It descends the losses of all tasks, on the same views and the same moving averages.
        """
        return False


def second_parameters(task: Task) -> list[nn.Parameter]:
    """The weights that a task's second step moves."""
    groups = [group for group in task.parameter_groups() if group.second_step]
    return [parameter for group in groups for parameter in group.parameters]


def check_groups(tasks: Sequence[Task]) -> None:
    """ValueError for groups of weights that would never be trained."""
    for task in tasks:
        own = set(task.parameters())
        if any(p not in own for group in task.parameter_groups() for p in group.parameters):
            raise ValueError(
                f"contrast: parameter_groups of {task.name} has weights that are not part of the "
                "task; make them attributes of it in `prepare`"
            )
        second = second_parameters(task)
        if type(task).second_step is not Task.second_step and not second:
            raise ValueError(
                f"contrast: {task.name} has a `second_step`, and parameter_groups names no weights "
                "that move in it: ParameterGroup(weights, second_step=True)"
            )
        if task.trains_again() and not second:
            raise ValueError(
                f"contrast: {task.name} trains again after a second step, and parameter_groups "
                "names no weights that move in one"
            )
        if second and type(task).second_step is Task.second_step:
            raise ValueError(
                f"contrast: {task.name} has weights for a second step, and no `second_step` that "
                "says what they descend"
            )
        if second and not any(parameter.requires_grad for parameter in second):
            raise ValueError(
                f"contrast: {task.name} has only frozen weights for its second step "
                "(requires_grad is False); leave one of them free"
            )


def refuse_equal_names(tasks: Sequence[Task]) -> None:
    """ValueError for two tasks of one name: views, losses and records go by it."""
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"contrast: two tasks are named {name!r}; give each its own `name`")


def check_shared_views(tasks: Sequence[Task]) -> None:
    """ValueError for a task that reads views of a task that is not there, that has none to share,
    has them of other rows, or pools them in a way that one pass does not give beside its own."""
    known = {task.name: task for task in tasks}
    for task in tasks:
        for other in task.reads_views_of():
            if other not in known:
                raise ValueError(
                    f"contrast: {task.name} reads the views of {other!r}, and no task of weight "
                    f"above 0 has that name; there are {', '.join(known)}"
                )
            if known[other].anchors != task.anchors:
                raise ValueError(
                    f"contrast: {task.name} reads the views of {other}: give both the same anchors"
                )
            if not known[other].shares_views:
                raise ValueError(
                    f"contrast: {task.name} reads the views of {other}, which has no views of "
                    "histories; name a task that contrasts two"
                )
            check_poolings(other, {pooling_of(task), pooling_of(known[other])})


def refuse_to_push_twice(tasks: Sequence[Task]) -> None:
    """ValueError for a queue beside a task that trains again: the repeat takes every task's loss
    once more, on the same views, and a loss feeds its queue."""
    again = [task.name for task in tasks if task.trains_again()]
    fed = [task.name for task in tasks if getattr(task, "negatives", None) == "queue"]
    if again and fed:
        raise ValueError(
            f"contrast: {again[0]} trains again on every batch, which would push the keys of "
            f"{fed[0]} into its queue twice; set train_again: false, or negatives: in_batch"
        )


def pooling_of(task: Task) -> str | None:
    pooling: str | None = getattr(task, "pooling", None)
    return pooling


def check_poolings(name: str, poolings: Set[str | None]) -> None:
    """ValueError for poolings of one view that no single pass of the encoder gives.

    States at padding are made in another way than the states of real items alone.
    """
    padded = {"padded", "mean_padded"}
    wanted = poolings - {None}
    if wanted & padded and not wanted <= padded:
        raise ValueError(
            f"contrast: a view of {name} is wanted as {' and '.join(sorted(map(str, wanted)))}, "
            "which one pass does not give; give both tasks the same pooling"
        )
