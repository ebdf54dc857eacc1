"""Renamed fields, tasks, classes and methods, old name to new; and fields that came later.

Old names keep working wherever they can be met: on the command line, in a study's YAML, in the
config.yaml of a run, in a preset, in a data set's declaration, in committed results, and in
plug-ins.  Hashes of configurations are taken over the names that a field had first, so that a
trial keeps its id when one of its fields is renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.errors import UsageError


@dataclass(frozen=True)
class Renamed:
    """A field that has another name now, and so have some of its values.

    within: the list or group whose entries have the field, "" for a field of the run itself.
    """

    within: str
    old: str
    new: str
    values: Mapping[str, str] = field(default_factory=dict)  # old to new


FIELDS = (
    Renamed("", "protocol", "examples", {"prefix": "prefixes", "sequence": "windows"}),
    Renamed("contrast", "rows", "anchors", {"one_a_user": "one_per_user"}),
    Renamed("contrast", "left_out", "false_negatives"),
    Renamed(
        "contrast", "same_as", "false_negatives_as", {"left_out": "masked", "positive": "positives"}
    ),
    Renamed("contrast", "short", "short_max_length"),
)
TASKS = {"dropout_twin": "dropout_views", "recent_self": "recent_subsequence"}
"""Kinds of contrastive tasks."""
CLASSES = {
    "Wanted": "EncodingRequest",
    "OwnState": "HistoryState",
    "ItemVectors": "ItemEmbeddings",
    "DropoutTwin": "DropoutViews",
    "RecentSelf": "RecentSubsequence",
}
"""What a plug-in imports from models.tasks."""
ADDED: Mapping[str, Any] = {
    "encoder.padding": "right",
    "init_from.run": None,
    "init_from.parts": ["item_embedding.*", "encoder.*"],
    "init_from.sha256": None,
    "features.source": None,
    "features.fusion": "sum",
    "features.columns": 64,
    "train.ema": None,
    "train.monitor": "excluded/ndcg@10",
    "evaluate.cutoffs": [5, 10, 20],
    "evaluate.score0": False,
    "evaluate.beyond": False,
    "split": {"kind": "leave_one_out"},
    "contrast.*.momentum": None,
    "contrast.*.positive_weights": {},
    "contrast.*.positive": "other_user",
    "contrast.*.views_of": None,
    "contrast.*.negatives": "centroids",
    "contrast.*.mask_same_intent": False,
}
"""Fields that came later, by dotted name, and the value that leaves everything as it was before:
with it, a field is no part of a hash.  `contrast.*.NAME` is a field of any task."""
METHODS = {
    "pair": "make_views",
    "altered": "augment_negatives",
    "share": "select_rows",
    "draw_pair": "draw_views",
    "beyond": "extra_negatives",
    "by_direction": "cosine_scores",
}
"""What a plug-in's task or loss defines or calls."""


def current(key: str, value: Any) -> tuple[str, Any]:
    """A dotted field and its value, as they are called now.

    ("contrast.0.left_out", ["target"]) -> ("contrast.0.false_negatives", ["target"]); a value may
    be a part of the configuration: ("contrast", ["dropout_twin"]) -> ("contrast",
    ["dropout_views"]).  What was never renamed stays as it is.
    """
    return translated(key, value, back=False)


def original(key: str, value: Any) -> tuple[str, Any]:
    """The same under the names that it had first."""
    return translated(key, value, back=True)


def translated(key: str, value: Any, back: bool) -> tuple[str, Any]:
    group, *path = key.split(".")
    if not path:
        return next(iter(translated_tree({group: value}, back).items()))
    if group != "contrast" or len(path) > 2:
        return key, value
    if len(path) == 1:
        return key, translated_task(value, back)
    if path[1] == "task":
        return key, task_kinds(back).get(value, value) if isinstance(value, str) else value
    ((name, value),) = renamed({path[1]: value}, group, back).items()
    return f"{group}.{path[0]}.{name}", value


def current_key(key: str) -> str:
    """A dotted field as it is called now."""
    return current(key, None)[0]


def current_tree(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The nested plain values of a configuration, or some of them, as they are called now.

    Errors: UsageError where a field is given under both of its names.
    """
    return translated_tree(tree, back=False)


def current_task(task: Any) -> Any:
    """A task of `contrast`, as a bare kind or with its fields, as it is called now."""
    return translated_task(task, back=False)


def original_tree(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The same configuration under the names that its fields had first: what hashes are taken of.

    A tree that has these names already comes back equal.
    """
    return translated_tree(tree, back=True)


def translated_tree(tree: Mapping[str, Any], back: bool) -> dict[str, Any]:
    tree = renamed(tree, "", back)
    if isinstance(tree.get("contrast"), list):
        tree["contrast"] = [translated_task(task, back) for task in tree["contrast"]]
    return tree


def translated_task(task: Any, back: bool) -> Any:
    """A name that was given to a task stays, whatever the kind."""
    kinds = task_kinds(back)
    if isinstance(task, str):
        return kinds.get(task, task)
    if not isinstance(task, dict):
        return task
    task = renamed(task, "contrast", back)
    kind = task.get("task")
    if not isinstance(kind, str) or kind not in kinds:
        return task
    named_by_kind = {"name": kinds[kind]} if back and task.get("name") == kind else {}
    return {**task, "task": kinds[kind], **named_by_kind}


def task_kinds(back: bool) -> dict[str, str]:
    """Each kind of task that was renamed, and its other name."""
    return {new: old for old, new in TASKS.items()} if back else TASKS


def without_added(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree without fields of `ADDED` that leave everything as it was before them."""
    result = dict(tree)
    for key, unchanged in ADDED.items():
        remove(result, key.split("."), unchanged)
    return result


def remove(tree: dict[str, Any], path: list[str], value: Any) -> None:
    """Take out what lies at the path if it equals the value, and a group that is empty then;
    parts on the way are copied, not changed."""
    (name, *rest) = path
    part = tree.get(name)
    if not rest:
        if name in tree and part == value:
            del tree[name]
    elif rest[0] == "*" and isinstance(part, (list, tuple)):
        entries = [dict(entry) if isinstance(entry, Mapping) else entry for entry in part]
        for entry in entries:
            if isinstance(entry, dict):
                remove(entry, rest[1:], value)
        tree[name] = entries
    elif isinstance(part, Mapping):
        tree[name] = dict(part)
        remove(tree[name], rest, value)
        if not tree[name]:
            del tree[name]


def old_kind(kind: str) -> str | None:
    """What a kind of task was called before; None where it has its first name."""
    return next((old for old, new in TASKS.items() if new == kind), None)


def renamed(fields: Mapping[str, Any], within: str, back: bool = False) -> dict[str, Any]:
    """Fields of one group under their present names, or their first ones; in their order.

    Errors: UsageError where a field is given under both.
    """
    table = {}
    for rule in FIELDS:
        if rule.within == within:
            if rule.old in fields and rule.new in fields:
                where = f"{within}: " if within else ""
                raise UsageError(f"{where}{rule.old} is called {rule.new} now, and both are given")
            values = {new: old for old, new in rule.values.items()} if back else dict(rule.values)
            table[rule.new if back else rule.old] = (rule.old if back else rule.new, values)
    result = {}
    for key, value in fields.items():
        name, values = table.get(key, (key, {}))
        result[name] = values.get(value, value) if isinstance(value, str) else value
    return result
