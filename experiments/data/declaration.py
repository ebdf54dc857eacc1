"""The YAML that declares a data set: its file, how to train on it, and what it must hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from experiments.aliases import current_tree
from experiments.data.reading.raw import Raw, filled_in, raw_of
from experiments.errors import UsageError, did_you_mean
from experiments.storage.files import plain_name
from experiments.storage.yaml_file import read_tree

EXAMPLES = ("prefixes", "windows")
_OF_A_RUN = ("model", "dataset", "seed", "data_dir", "track")


@dataclass(frozen=True)
class Declaration:
    """What a data set's YAML says. Where counts or sha256 are given, the file must match."""

    file: str  # a plain file name
    examples: str  # prefixes or windows: how histories become training rows
    max_length: int  # the most recent items that the model sees
    embedded: bool = False  # the file is inside the installed recbole package
    users: int | None = None
    items: int | None = None
    interactions: int | None = None
    sha256: str | None = None
    defaults: dict[str, Any] = field(default_factory=dict)  # dotted fields of a run's configuration
    raw: Raw | None = None  # the raw files that it is made of, and where to get them
    recipe: dict[str, Any] = field(default_factory=dict, compare=False)  # how it was made


def read_declaration(path: Path, category: str | None = None) -> Declaration:
    """The declaration in a YAML file; category: what CATEGORY stands for in that of a family.

    Errors: UsageError for a file that cannot be read, an unknown or missing field (names its
    nearest neighbour), and a value of a wrong type.
    """
    tree = read_tree(path)
    return declaration_of(tree if category is None else filled_in(tree, category), str(path))


def declaration_of(tree: dict[str, Any], path: str) -> Declaration:
    """The declaration that nested plain values make.

    path: what to call them in messages.  Errors: as `read_declaration`.
    """
    values = current_tree(tree)
    for name, value in values.items():
        if name not in _FIELDS:
            raise UsageError(f"{path}: unknown field {name!r}{did_you_mean(str(name), _FIELDS)}")
        fits, right = _FIELDS[name]
        if not fits(value):
            raise UsageError(f"{path}: {name} must be {right}, not {value!r}")
    if missing := [name for name in ("file", "examples", "max_length") if name not in values]:
        raise UsageError(f"{path}: {' and '.join(missing)} missing")
    if "raw" in values:
        values = {**values, "raw": raw_of(values["raw"], f"{path}: raw")}
    return Declaration(**values)


def _is_file_name(value: object) -> bool:
    return isinstance(value, str) and plain_name(value)


def _are_examples(value: object) -> bool:
    return value in EXAMPLES


def _is_positive(value: object) -> bool:
    return type(value) is int and value > 0


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _are_defaults(value: object) -> bool:
    """Data that was handed on decides how it is trained on: not what is read, nor who is told."""
    return (
        isinstance(value, dict)
        and all(isinstance(key, str) for key in value)
        and not {key.split(".")[0] for key in value} & set(_OF_A_RUN)
        and not any(set(text) & set("/\\") for text in _texts(list(value.values())))
    )


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    for part in parts if isinstance(parts, list) else []:
        yield from _texts(part)


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


_COUNT = (_is_positive, "a positive whole number")
_FIELDS: dict[str, tuple[Callable[[object], bool], str]] = {
    "file": (_is_file_name, "a plain file name"),
    "examples": (_are_examples, "prefixes or windows"),
    "max_length": _COUNT,
    "embedded": (_is_bool, "true or false"),
    "users": _COUNT,
    "items": _COUNT,
    "interactions": _COUNT,
    "sha256": (_is_sha256, "64 lower-case hexadecimal digits"),
    "defaults": (
        _are_defaults,
        f"dotted fields and their values: file names without folders, and none of "
        f"{', '.join(_OF_A_RUN)}",
    ),
}
_FIELDS |= {
    "raw": (lambda value: isinstance(value, dict), "keys and values"),
    "recipe": (lambda value: isinstance(value, dict), "keys and values"),
}
assert list(_FIELDS) == [entry.name for entry in fields(Declaration)]
