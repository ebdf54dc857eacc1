"""What the parts of a record's line have to be, where they are there."""

from __future__ import annotations

from typing import Any, TypeGuard

KINDS = {
    "axes": (dict, "keys and values"),
    "config": (dict, "keys and values"),
    "features_sha256": (dict, "keys and values"),
    "baseline": (str, "a text"),
    "model": (str, "a text"),
    "data_sha256": (str, "a text"),
}
GROUP = ("users", "excluded/ndcg@10")  # numbers that a report reads of a group


def misshapen(values: dict[str, Any]) -> str | None:
    """What is wrong with the first part that is; null is as good as not there."""
    given = {key: value for key, value in values.items() if value is not None}
    for key, (kind, name) in KINDS.items():
        if not isinstance(given.get(key, kind()), kind):
            return f"{key!r} has to be {name}, got {given[key]!r}"
    curves = {key: value for key, value in given.items() if key.startswith("curve/")}
    for key, value in curves.items():
        if not isinstance(value, list) or not all(map(is_number, value)):
            return f"{key!r} has to be a list of numbers"
    if len({len(value) for value in curves.values()}) > 1:
        return "the lists curve/* have to be of one length"
    for key, value in given.items():
        if key.startswith("groups/") and not (isinstance(value, list) and all(map(group, value))):
            return f"{key!r} has to be a list of groups of users with from, to, {', '.join(GROUP)}"
    return None


def group(value: Any) -> bool:
    ends = isinstance(value, dict) and {"from", "to"} <= value.keys()
    return ends and all(is_number(value.get(key)) for key in GROUP)


def is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
