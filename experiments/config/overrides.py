"""Plain trees of a configuration: one on top of another, and single fields by dotted names."""

from __future__ import annotations

import copy
from typing import Any

from experiments.aliases import old_kind
from experiments.config.suggest import UnknownField
from experiments.config.typed import TAGS
from experiments.errors import UsageError, unknown

MOST_SEGMENTS = 40  # of a dotted key; the deepest field has 6
NAMED = {"encoder": "kind", "next_item": "loss", "split": "kind"}
"""Parts that may be given by a bare name, for its defaults."""
KEPT = ("max_length", "name", "weight")
"""Fields that stay where a part becomes one of another kind."""


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`: mappings key by key, everything else replaced.

    A mapping that names another kind (loss: bce over loss: cross_entropy) has other fields: of
    the old one only KEPT stay.
    """
    return {**base, **{key: on_top(base.get(key), value) for key, value in over.items()}}


def on_top(old: Any, value: Any) -> Any:
    """One value on top of another, as in `merged`."""
    if not isinstance(old, dict) or not isinstance(value, dict):
        return value
    if any(tag in old and tag in value and old[tag] != value[tag] for tag in TAGS):
        old = {key: kept for key, kept in old.items() if key in KEPT}
    return merged(old, value)


def unfolded(tree: dict[str, Any]) -> dict[str, Any]:
    """The same with keys and values for a part that is given by a bare name."""
    return {
        key: {NAMED[key]: value} if key in NAMED and isinstance(value, str) else value
        for key, value in tree.items()
    }


def with_overrides(tree: dict[str, Any], overrides: list[tuple[str, Any]]) -> dict[str, Any]:
    """Set each dotted key in turn, but first what names a choice (encoder.kind), as it resets
    fields, unless the part or list that it stands in is set as well."""
    tree = copy.deepcopy(tree)
    overrides = [
        (f"{key}.{NAMED[key]}", value) if key in NAMED and isinstance(value, str) else (key, value)
        for key, value in overrides
    ]
    parts = tuple(f"{key}." for key, value in overrides if isinstance(value, (dict, list)))
    is_tag = [key.split(".")[-1] in TAGS and not key.startswith(parts) for key, _ in overrides]
    first = [o for o, tag in zip(overrides, is_tag, strict=True) if tag]
    then = [o for o, tag in zip(overrides, is_tag, strict=True) if not tag]
    for key, value in first + then:
        assign(tree, key, value)
    return tree


def assign(tree: dict[str, Any], dotted: str, value: Any) -> None:
    """tree["a"]["b"] = value for "a.b"; list entries by index or by name.

    A mapping goes on top of the one that is there, as in `merged`.
    """
    *parents, last = dotted.split(".")
    if len(parents) >= MOST_SEGMENTS:
        raise UsageError(f"{dotted[:MOST_SEGMENTS]}...: a key has at most {MOST_SEGMENTS} parts")
    node: Any = tree
    for depth, segment in enumerate(parents):
        path = ".".join(parents[: depth + 1])
        if isinstance(node, list):
            index = entry_index(node, segment, path)
            if isinstance(node[index], str):  # a bare name stands for its defaults
                node[index] = {tag_of(path): node[index]}
            node = node[index]
        else:
            if isinstance(node.get(segment), str) and path in NAMED:
                node[segment] = {NAMED[path]: node[segment]}
            node = node.setdefault(segment, {})
        if not isinstance(node, (dict, list)):
            raise UsageError(f"{dotted}: {path} is a single value and has no keys")
    if isinstance(node, list):
        index = entry_index(node, last, dotted)
        old = node[index]
        node[index] = on_top({tag_of(dotted): old} if isinstance(old, str) else old, value)
        return
    if last in TAGS and node.get(last, value) != value:
        for stale in [key for key in node if key not in KEPT]:
            del node[stale]
    node[last] = on_top(node.get(last), value)


def entry_index(entries: list[Any], segment: str, path: str) -> int:
    """The index of a list entry that is given by number, name or kind."""
    if not entries and path.split(".")[0] == "contrast":
        raise UsageError(
            f"{path}: this model has no contrast; take a preset that has one (--model cl4srec), or "
            "add one: --contrast='[augmented_views]'"
        )
    if segment.isascii() and segment.isdigit():
        if len(segment) < 10 and int(segment) < len(entries):
            return int(segment)
        last = f", the last is {len(entries) - 1}" if len(entries) > 1 else ""
        told = f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}"
        raise UsageError(f"{path}: the model has {told}; the first is 0{last}")
    names = [names_of(entry) for entry in entries]
    matches = [index for index, entry in enumerate(names) if segment in entry]
    if len(matches) != 1:
        known = [name for entry in names for name in entry]
        raise UnknownField(path, f"{path}: {unknown(segment, known)}")
    return matches[0]


def names_of(entry: Any) -> list[str]:
    if isinstance(entry, str):
        entry = {"name": entry}
    given = [entry.get(key) for key in ("name", *sorted(TAGS))] if isinstance(entry, dict) else []
    names = [str(name) for name in given if name]
    return list(dict.fromkeys([*names, *(old for name in names if (old := old_kind(name)))]))


def tag_of(path: str) -> str:
    """Which key names an entry of this list: operators hold operators, contrast holds tasks."""
    return "operator" if path.split(".")[-2] == "operators" else "task"
