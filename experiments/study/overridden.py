"""Does one setting of a study undo another?  Fields have several names, and groups have fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from experiments.config.overrides import NAMED, names_of
from experiments.config.presets import preset_tree
from experiments.config.typed import TAGS
from experiments.dotted import flattened
from experiments.errors import UsageError

Setting = tuple[str, Any]
"""A dotted field and a value that it is given."""


def overridden(
    settings: Iterable[Setting], later: Iterable[Setting], models: Iterable[str]
) -> tuple[str, str] | None:
    """The first field that one of the later settings changes, too, and that one's; None if none.

    Settings go on top of earlier ones.  models: whose lists tell which entry a name means.
    """
    before = {(name, key) for key, value in settings for name in written(key, value)}
    after = {(name, key) for key, value in later for name in replaced(key, value)}
    for tree in map(known_tree, models) if before and after else ():
        ours, theirs = (
            sorted((numbered(name, tree), key) for name, key in part) for part in (before, after)
        )
        for (one, key), (two, other) in product(ours, theirs):
            if within(one, two) or within(two, one):
                return key, other
    return None


def within(key: str, group: str) -> bool:
    return f"{key}.".startswith(f"{group}.")


def written(key: str, value: Any) -> list[str]:
    """The fields that a setting gives a value: encoder: {dim: 8} is encoder.dim."""
    if isinstance(value, str) and key in NAMED:
        return [f"{key}.{NAMED[key]}"]
    return [name for name, _ in flattened({key: value})] or [key]


def replaced(key: str, value: Any) -> list[str]:
    """The fields that lose what they had: all of a group that gets another kind."""
    whole = isinstance(value, Mapping) and TAGS & value.keys()
    return [key] if whole else written(key, value)


def known_tree(model: str) -> dict[str, Any]:
    """A preset's fields; nothing for a model that there is not, which is told elsewhere."""
    try:
        return preset_tree(model)
    except UsageError:
        return {}


def numbered(key: str, tree: Any) -> str:
    """A key with the entries of lists by their number: contrast.augmented_views is contrast.0."""
    parts = []
    for name in key.split("."):
        if isinstance(tree, list):
            places = [place for place, entry in enumerate(tree) if name in names_of(entry)]
            name = str(places[0]) if len(places) == 1 else name
            known = name.isdecimal() and len(name) < 10 and int(name) < len(tree)
            tree = tree[int(name)] if known else None
        else:
            tree = tree.get(name) if isinstance(tree, Mapping) else None
        parts.append(name)
    return ".".join(parts)
