"""What a history may be contrasted with.  A new task is one file and one line here."""

from models.snapshot import Pooling, Snapshot
from models.tasks.augmented_views import AugmentedViews
from models.tasks.contrastive import ContrastiveTask
from models.tasks.intents import Intents
from models.tasks.task import (
    Batch,
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
    "intents": Intents,
}

__all__ = [
    "TASKS",
    "AugmentedViews",
    "Batch",
    "ContrastiveTask",
    "Intents",
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
