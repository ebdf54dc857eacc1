"""Which field was meant by one that there is not."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from experiments.aliases import current_key
from experiments.errors import SHORT, UsageError

MOST = 3  # suggestions


class UnknownField(UsageError):
    """A field that there is not.  key: its dotted name.  The message names those beside it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def meant(key: str, fields: Iterable[str]) -> list[str]:
    """The dotted fields that an unknown one probably stands for, the likeliest first.

    By the last part of the name, its usual short form (lr, bs, tau) or its earlier one; in the
    same group before others.
    """
    *group, leaf = key.replace("-", "_").lower().split(".")
    leaf = current_key(f"contrast.0.{leaf}").rpartition(".")[2]
    by_leaf: dict[str, list[str]] = {}
    for field in fields:
        by_leaf.setdefault(leaf_of(field), []).append(field)
    exact = [name for name in (leaf, *SHORT.get(leaf, ())) if name in by_leaf][:1]
    names = exact or get_close_matches(leaf, by_leaf, n=MOST, cutoff=0.7)
    near = [field for name in names for field in by_leaf[name]]
    beside = [field for field in near if field.split(".")[:-1][: len(group)] == group]
    if not group:
        beside = [field for field in near if "." not in field]
    likeliest = [field for field in beside if leaf_of(field) == leaf_of(beside[0])]
    if not likeliest and (exact or not group):
        likeliest = sorted(near, key=lambda field: not field.startswith("contrast."))
    return likeliest[:MOST]


def leaf_of(field: str) -> str:
    return field.rpartition(".")[2]


def told(error: UnknownField, fields: Iterable[str], elsewhere: Iterable[str]) -> UsageError:
    """The error with what was meant; as it is where nothing is near.

    fields: of this configuration.  elsewhere: those of a model that has a contrast.
    """
    fields = list(fields)
    if error.key in fields:  # of another kind of encoder or loss: its own are named
        return error
    if near := meant(error.key, fields):
        return UsageError(f"{error.key}: unknown field (did you mean {' or '.join(near)}?)")
    of_contrasts = [field for field in elsewhere if field.startswith("contrast.")]
    if near := meant(error.key, of_contrasts):
        return UsageError(
            f"{error.key}: unknown field; {near[0]} is one, where a model has a contrast: take a "
            "preset that has one (--model cl4srec), or add one: --contrast='[augmented_views]'"
        )
    return error
