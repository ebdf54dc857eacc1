"""A run's configuration: typed, built from YAML and --dotted.key=value, nothing unknown."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from experiments.aliases import FIELDS, current_tree, original, original_tree, without_added
from experiments.config.init_from import InitFromConfig
from experiments.config.train_config import EvaluateConfig, TrainConfig
from experiments.config.typed import build, to_tree
from experiments.data.interactions import Ties
from experiments.data.splits.kinds import LeaveOneOut, SplitConfig
from experiments.errors import UsageError
from experiments.storage.hashing import json_sha256
from experiments.tracking.config import TrackConfig
from models.augmented_input import AugmentConfig
from models.encoders import ENCODERS, EncoderConfig, SelfAttentionConfig
from models.feature_input import FeaturesConfig
from models.losses.next_item import CrossEntropy, NextItemLoss, NoNextItem
from models.ranges import check_count
from models.tasks import TASKS, Task

Examples = Literal["prefixes", "windows"]
NOT_SCIENCE = ("data_dir", "track")  # where a run reads and reports: not what it computes


@dataclass(frozen=True)
class Config:
    """Everything that decides a run.  Written to config.yaml in full; can be passed back."""

    model: str = "cl4srec"
    """A preset, a baseline (popularity, repeat-last), or recbole:NAME."""
    dataset: str = "ml-100k"
    """A known data set, or the stem of a file in the data directory."""
    seed: int = 0
    """Decides initial weights, data order, dropout and views."""
    epochs: int = 200
    """Passes over the training examples, at most."""
    examples: Examples = "prefixes"
    """What a history is trained as.  prefixes: an example for every prefix.  windows: one for
    every window of it, with a loss at all positions."""
    ties: Ties = "file"
    """Interactions of one user at the same time: in file order, or shuffled, in an order drawn
    from seed 0 (a sensitivity check: on data with day-granular times it changes targets)."""
    split: SplitConfig = field(default_factory=LeaveOneOut)
    data_dir: str | None = None
    """Folder of the data files."""
    encoder: EncoderConfig = field(default_factory=SelfAttentionConfig)
    next_item: NextItemLoss = field(default_factory=CrossEntropy)
    contrast: tuple[Task, ...] = ()
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    init_from: InitFromConfig = field(default_factory=InitFromConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
    recbole: dict[str, Any] = field(default_factory=dict)
    """Fields of a recbole:NAME model, by RecBole's names."""

    def __post_init__(self) -> None:
        check_count("epochs", self.epochs)
        if self.train.schedule != "constant" and self.train.warm_up >= self.epochs:
            raise ValueError(
                f"train.warm_up must be less than epochs ({self.epochs}), got {self.train.warm_up}"
            )
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must lie in [0, 2^32), got {self.seed}")
        if self.train.lazy_rows and self.next_item.whole_catalogue:
            raise ValueError(
                "train.lazy_rows: this next_item loss reads every item at every step; use one that "
                "samples, such as next_item.loss=sampled_softmax"
            )
        always = [task for task in self.contrast if task.weight > 0.0 and task.anchors == "all"]
        if isinstance(self.next_item, NoNextItem) and not always:
            raise ValueError(
                "next_item: none leaves batches with nothing to learn from; it needs a task in "
                "contrast with a weight above 0 and anchors: all"
            )
        if self.augment.probability > 0.0 and isinstance(self.next_item, NoNextItem):
            raise ValueError(
                "augment.probability must be 0 where no next-item loss reads the input"
            )
        if self.examples == "windows":
            self.augment.check_every_position()
        if not self.encoder.causal:
            self.check_no_state_sees_its_target()

    def check_no_state_sees_its_target(self) -> None:
        """ValueError for what an encoder that also reads backwards cannot be asked."""
        kind = next(name for name, cls in ENCODERS.items() if type(self.encoder) is cls)
        if self.examples == "windows":
            raise ValueError(
                f"encoder.kind: {kind} is not causal, so under examples: windows a position would "
                "see the item that it is to predict; use --examples=prefixes"
            )
        for task in self.contrast:
            if task.needs_causal and task.weight > 0.0:
                raise ValueError(
                    f"encoder.kind: {kind} is not causal, and the task {task.name} needs states "
                    "that know of no later item; take another encoder, or leave the task out"
                )


def config_from_tree(tree: dict[str, Any]) -> Config:
    """A Config from nested plain values; UsageError for anything unknown or out of range."""
    tree = current_tree(tree)
    tree["contrast"] = with_names(tree.get("contrast", []))
    config: Config = build(Config, tree, "")
    return config


def with_names(tasks: Any) -> Any:
    """Give each task of a `contrast` list its kind as name; names must be unique."""
    if not isinstance(tasks, list):
        return tasks  # for the type check to refuse
    named = [{"task": task} if isinstance(task, str) else task for task in tasks]
    named = [
        {**task, "name": task.get("name") or task.get("task", "")}
        if isinstance(task, dict)
        else task
        for task in named
    ]
    named = [with_own_fields(task) if isinstance(task, dict) else task for task in named]
    names = [task["name"] for task in named if isinstance(task, dict)]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"contrast: two tasks are named {name!r}; give each its own `name`")
        if not isinstance(name, str) or "." in name or name == "next_item":
            raise UsageError(f"contrast: {name!r} cannot be a task's name")
    return named


def with_own_fields(task: dict[str, Any]) -> dict[str, Any]:
    """A task of a plug-in may have a field of its own that is called as one was before."""
    kind = task.get("task")
    cls = TASKS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        return task
    own = {field.name for field in dataclasses.fields(cls)}
    back = {r.new: r.old for r in FIELDS if r.old in own and r.new not in own}
    return {
        back.get(key, key): original(f"contrast.0.{key}", value)[1] if key in back else value
        for key, value in task.items()
    }


def config_tree(config: Config) -> dict[str, Any]:
    """The nested plain values that config_from_tree turns back into the same Config."""
    tree: dict[str, Any] = to_tree(config)
    return tree


def config_sha256(config: Config) -> str:
    """Hash of everything that decides the result: equal for equal experiments anywhere."""
    return tree_sha256(config_tree(config))


def tree_sha256(tree: dict[str, Any]) -> str:
    """config_sha256 of a config.yaml as it was read, whatever fields there are by now."""
    return json_sha256(original_tree(without_added(science(tree))))


def settings_sha256(tree: dict[str, Any]) -> str:
    """Hash of what a run keeps when it is resumed: config_sha256, without the epochs unless the
    learning rate's schedule depends on them."""
    train = tree.get("train")
    if isinstance(train, dict) and train.get("schedule", "constant") != "constant":
        return tree_sha256(tree)
    return tree_sha256({key: value for key, value in tree.items() if key != "epochs"})


def science(tree: dict[str, Any]) -> dict[str, Any]:
    """Of a configuration's plain values, those that decide what is computed."""
    decides = {key: value for key, value in tree.items() if key not in NOT_SCIENCE}
    if isinstance(decides.get("init_from"), dict):
        weights = {key: value for key, value in decides["init_from"].items() if key != "run"}
        decides["init_from"] = weights  # by their hash, wherever they lie
    return decides
