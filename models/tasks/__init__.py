"""What a history may be contrasted with.  A new task is one file and one line here."""

from models.snapshot import Pooling, Snapshot
from models.tasks.augmented_views import AugmentedViews
from models.tasks.dropout_twin import DropoutTwin
from models.tasks.same_target import SameTarget
from models.tasks.task import (
    Batch,
    ContrastiveTask,
    ItemVectors,
    OwnState,
    Sizes,
    Task,
    TaskLoss,
    View,
    Wanted,
)

TASKS: dict[str, type[Task]] = {
    "augmented_views": AugmentedViews,
    "same_target": SameTarget,
    "dropout_twin": DropoutTwin,
}

__all__ = [
    "TASKS",
    "AugmentedViews",
    "Batch",
    "ContrastiveTask",
    "DropoutTwin",
    "ItemVectors",
    "OwnState",
    "Pooling",
    "SameTarget",
    "Sizes",
    "Snapshot",
    "Task",
    "TaskLoss",
    "View",
    "Wanted",
]
