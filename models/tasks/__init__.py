"""What a history may be contrasted with.  A new task is one file and one line here."""

from models.snapshot import Pooling, Snapshot
from models.tasks.augmented_views import AugmentedViews
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
}

__all__ = [
    "TASKS",
    "AugmentedViews",
    "Batch",
    "ContrastiveTask",
    "ItemVectors",
    "OwnState",
    "Pooling",
    "Sizes",
    "Snapshot",
    "Task",
    "TaskLoss",
    "View",
    "Wanted",
]
