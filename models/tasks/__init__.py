"""What a history may be contrasted with.  A new task is one file and one line here."""

from models.item_features import ItemFeatures
from models.snapshot import Pooling, Snapshot
from models.tasks.alignment import Alignment
from models.tasks.augmented_views import AugmentedViews
from models.tasks.contrastive import ContrastiveTask
from models.tasks.dropout_views import DropoutViews
from models.tasks.feature_task import FeatureTask
from models.tasks.intents import Intents
from models.tasks.learned_views import LearnedViews
from models.tasks.recent_subsequence import RecentSubsequence
from models.tasks.same_target import SameTarget
from models.tasks.same_user import SameUser
from models.tasks.step import (
    Batch,
    EncodingRequest,
    HistoryState,
    ItemEmbeddings,
    Requests,
    SharedView,
    Step,
    View,
)
from models.tasks.subsequence_intents import SubsequenceIntents
from models.tasks.task import ParameterGroup, Sizes, Task, TaskLoss
from models.tasks.user_item import UserItem

TASKS: dict[str, type[Task]] = {
    "augmented_views": AugmentedViews,
    "same_target": SameTarget,
    "dropout_views": DropoutViews,
    "recent_subsequence": RecentSubsequence,
    "alignment": Alignment,
    "same_user": SameUser,
    "user_item": UserItem,
    "intents": Intents,
    "subsequence_intents": SubsequenceIntents,
    "learned_views": LearnedViews,
}

__all__ = [
    "TASKS",
    "Alignment",
    "AugmentedViews",
    "Batch",
    "ContrastiveTask",
    "DropoutViews",
    "EncodingRequest",
    "FeatureTask",
    "HistoryState",
    "Intents",
    "ItemEmbeddings",
    "ItemFeatures",
    "LearnedViews",
    "ParameterGroup",
    "Pooling",
    "RecentSubsequence",
    "Requests",
    "SameTarget",
    "SameUser",
    "SharedView",
    "Sizes",
    "Snapshot",
    "Step",
    "SubsequenceIntents",
    "Task",
    "TaskLoss",
    "UserItem",
    "View",
]
