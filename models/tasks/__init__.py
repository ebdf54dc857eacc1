"""What a history may be contrasted with.  A new task is one file and one line here."""

from models.tasks.augmented_views import AugmentedViews
from models.tasks.task import Batch, ContrastiveTask, Pooling, Task, TaskLoss, View

TASKS: dict[str, type[Task]] = {
    "augmented_views": AugmentedViews,
}

__all__ = [
    "TASKS",
    "AugmentedViews",
    "Batch",
    "ContrastiveTask",
    "Pooling",
    "Task",
    "TaskLoss",
    "View",
]
