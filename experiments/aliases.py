"""Names from before, and what they are called now: the one table of them.

Old names keep working wherever they can be met: on the command line, in a study's YAML, in the
config.yaml of a run, in a data set's declaration, in committed results, and in plug-ins.  Hashes
of configurations are taken over the names that a field had first, so that a trial keeps its id
when one of its fields is renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
CLASSES = {"Wanted": "EncodingRequest", "OwnState": "HistoryState", "ItemVectors": "ItemEmbeddings"}
"""What a plug-in imports from models.tasks."""
METHODS = {"pair": "make_views", "altered": "augment_negatives", "share": "select_rows"}
"""What a plug-in's task defines."""


def current(key: str, value: Any) -> tuple[str, Any]:
    """A dotted field and its value, as they are called now.

    ("contrast.0.left_out", ["target"]) -> ("contrast.0.false_negatives", ["target"]); a value may
    be a part of the configuration: ("contrast", ["dropout_twin"]) -> ("contrast",
    ["dropout_views"]).  What was never renamed stays as it is.
    """
    group, *path = key.split(".")
    if not path:
        top = current_tree({group: value})
        return next(iter(top.items()))
    if group != "contrast":
        return key, value
    path[0] = TASKS.get(path[0], path[0])
    if len(path) == 1:
        return f"{group}.{path[0]}", current_task(value)
    if path[1] == "task":
        return f"{group}.{path[0]}.task", TASKS.get(value, value) if is_text(value) else value
    if len(path) == 2:
        (path[1], value), *_ = renamed({path[1]: value}, "contrast").items()
    return ".".join([group, *path]), value


def current_key(key: str) -> str:
    """A dotted field as it is called now."""
    return current(key, None)[0]


def current_tree(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The nested plain values of a configuration, or some of them, as they are called now."""
    tree = renamed(tree, "")
    if isinstance(tree.get("contrast"), list):
        tree["contrast"] = [current_task(task) for task in tree["contrast"]]
    return tree


def current_task(task: Any) -> Any:
    """A task: a bare kind, or its fields.  A name that was given stays, whatever the kind."""
    if isinstance(task, str):
        return TASKS.get(task, task)
    if not isinstance(task, dict):
        return task
    task = renamed(task, "contrast")
    if is_text(task.get("task")):
        task["task"] = TASKS.get(task["task"], task["task"])
    return task


def original_tree(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The same configuration under the names that its fields had first: what hashes are taken of.

    A tree that has these names already comes back equal.
    """
    tree = renamed(tree, "", back=True)
    if isinstance(tree.get("contrast"), list):
        tree["contrast"] = [original_task(task) for task in tree["contrast"]]
    return tree


def original_task(task: Any) -> Any:
    first = {new: old for old, new in TASKS.items()}
    if not isinstance(task, dict):
        return first.get(task, task) if is_text(task) else task
    task = renamed(task, "contrast", back=True)
    for key in ("task", "name"):  # a task is named by its kind where nothing else is said
        if is_text(task.get(key)):
            task[key] = first.get(task[key], task[key])
    return task


def renamed(fields: Mapping[str, Any], within: str, back: bool = False) -> dict[str, Any]:
    """Fields of one group under their present names, or their first ones; in their order."""
    table = {}
    for rule in FIELDS:
        if rule.within == within:
            values = {new: old for old, new in rule.values.items()} if back else dict(rule.values)
            table[rule.new if back else rule.old] = (rule.old if back else rule.new, values)
    result = {}
    for key, value in fields.items():
        name, values = table.get(key, (key, {}))
        result[name] = values.get(value, value) if is_text(value) else value
    return result


def is_text(value: Any) -> bool:
    return isinstance(value, str)
