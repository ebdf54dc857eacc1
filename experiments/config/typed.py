"""Nested plain values (YAML) to typed dataclasses and back; nothing unknown passes."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import types
import typing
from typing import Any, Literal, Union, get_args, get_origin

from augment import OPERATORS, Operator
from experiments.config.suggest import UnknownField
from experiments.data.splits.kinds import SPLITS, SplitConfig
from experiments.errors import UsageError, unknown
from models.encoders import ENCODERS, EncoderConfig
from models.losses.next_item import NEXT_ITEM_LOSSES, NextItemLoss
from models.tasks import TASKS, Task

CATALOGUES: dict[Any, tuple[str, dict[str, Any]]] = {
    EncoderConfig: ("kind", ENCODERS),
    NextItemLoss: ("loss", NEXT_ITEM_LOSSES),
    Task: ("task", TASKS),
    Operator: ("operator", OPERATORS),
    SplitConfig: ("kind", SPLITS),
}
"""Types with several implementations: the key that names one, and the names."""
DEFAULT_FIRST = (EncoderConfig, NextItemLoss, SplitConfig)
"""Where no name is given, the first is meant."""
TAGS = {tag for tag, _ in CATALOGUES.values()}
hints_of = functools.cache(typing.get_type_hints)  # uncached, it compiles each annotation anew
fields_of = functools.cache(dataclasses.fields)
PLAIN = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}


def build(hint: Any, value: Any, path: str) -> Any:
    """`value` as an instance of the type `hint`; UsageError that names `path` otherwise."""
    if hint is Any:
        return value
    if hint in CATALOGUES:
        return build_choice(hint, value, path)
    if dataclasses.is_dataclass(hint):
        return build_dataclass(hint, value, path)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in arguments:
            yaml = "; YAML reads on, off, yes and no so" if isinstance(value, bool) else ""
            raise UsageError(f"{path}: {unknown(value, arguments)}{yaml}")
        return value
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return build(next(a for a in arguments if a is not type(None)), value, path)
    if origin is tuple:
        if not isinstance(value, list):
            one = f": write {json.dumps([value])}" if isinstance(value, (str, int, float)) else ""
            if isinstance(value, str) and re.fullmatch(r"[\w-]+", value):
                one = f": write [{value}]"
            if isinstance(value, str) and value.startswith("["):
                one = ': a bracket or a quote is not closed, or a text needs quotes, as in ["*"]'
            raise UsageError(f"{path}: expected a list, got {value!r}{one}")
        return tuple(build(arguments[0], item, f"{path}.{i}") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise UsageError(f"{path}: expected names and their values, got {value!r}")
        return {key: build(arguments[1], item, f"{path}.{key}") for key, item in value.items()}
    return build_plain(hint, value, path)


def build_plain(hint: Any, value: Any, path: str) -> Any:
    """An int, float, str or bool.  A float may be written as an integer or like 1e-3."""
    if hint is float and isinstance(value, str):
        value = number(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise UsageError(f"{path}: expected {PLAIN[hint]}, got {value!r}")
    if hint is int and abs(value) >= 2**63:
        raise UsageError(f"{path}: expected an integer of 64 bits, got {value!r}")
    return value


def number(text: str) -> float | str:
    """YAML 1.1 reads 1e-3 as a text."""
    try:
        return float(text)
    except ValueError:
        return text


def build_choice(hint: Any, value: Any, path: str) -> Any:
    """One of a catalogue: {tag: name, field: value ...}, or the bare name for its defaults."""
    tag, catalogue = CATALOGUES[hint]
    if isinstance(value, str):
        value = {tag: value}
    if not isinstance(value, dict):
        raise UsageError(f"{path}: expected a name or keys and values, got {value!r}")
    fields = dict(value)
    name = fields.pop(tag, next(iter(catalogue)) if hint in DEFAULT_FIRST else None)
    if not isinstance(name, str) or name not in catalogue:
        raise UsageError(f"{path}.{tag}: {unknown(name, catalogue)}")
    for key in fields:
        if owners := owners_of(key, name, catalogue):
            raise UnknownField(
                f"{path}.{key}",
                f"{path}.{key}: unknown {key!r} of {tag} {name}; it is a field of "
                f"{' and '.join(owners)} (--{path}.{tag}={owners[0]})",
            )
    return build_dataclass(catalogue[name], fields, path)


def owners_of(key: str, name: str, catalogue: dict[str, Any]) -> list[str]:
    """The other kinds that have a field, where this one has it not."""
    having = [
        kind
        for kind, cls in catalogue.items()
        if key in [field.name for field in dataclasses.fields(cls)]
    ]
    return [] if name in having else having


def build_dataclass(cls: Any, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise UsageError(f"{path or 'configuration'}: expected keys and values, got {value!r}")
    hints = hints_of(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    prefix = f"{path}." if path else ""
    for key in value:
        if key not in names:
            dotted = f"{prefix}{key}"
            raise UnknownField(dotted, f"{dotted}: {unknown(key, names)}")
    missing = [name for name in required(cls) if name not in value]
    if missing:
        raise UsageError(f"{path or 'configuration'}: {', '.join(missing)} must be given")
    fields = {key: build(hints[key], item, f"{prefix}{key}") for key, item in value.items()}
    try:
        return cls(**fields)
    except ValueError as error:  # a field out of its range; the message begins with its name
        named = re.split(r"\W", str(error), maxsplit=1)[0] in names
        raise UsageError(f"{prefix if named else f'{path}: ' * bool(path)}{error}") from None


def required(cls: Any) -> list[str]:
    """The fields of a dataclass that have no default."""
    none = dataclasses.MISSING
    return [
        field.name
        for field in dataclasses.fields(cls)
        if field.init and field.default is none and field.default_factory is none
    ]


def readable(hint: Any) -> bool:
    """Whether a value of this type can be built from plain ones."""
    if hint is Any or hint in PLAIN or hint in CATALOGUES:
        return True
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return all(map(readable, hints_of(hint).values()))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        kinds = [kind for kind in arguments if kind is not type(None)]
        return len(kinds) == 1 and readable(kinds[0])
    if origin is tuple:
        return arguments[1:] == (...,) and readable(arguments[0])
    if origin is dict:
        return arguments[0] is str and readable(arguments[1])
    return origin is Literal


def to_tree(value: Any) -> Any:
    """The nested plain values that `build` turns back into `value`."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [to_tree(item) for item in value]
    if isinstance(value, dict):
        return {key: to_tree(item) for key, item in value.items()}
    if not dataclasses.is_dataclass(value):
        return value
    tree = {f.name: to_tree(getattr(value, f.name)) for f in fields_of(value.__class__)}
    for tag, catalogue in CATALOGUES.values():
        for name, cls in catalogue.items():
            if type(value) is cls:
                return {tag: name, **tree}
    return tree
