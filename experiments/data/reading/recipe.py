"""How a raw file becomes interactions: its form, its columns, and what is filtered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from experiments.errors import UsageError, unknown

FORMATS = ("auto", "csv", "jsonl", "literal", "parquet", "inter", "lists", "pairs")
TIME_FORMATS = ("auto", "number", "s", "ms", "us", "iso")
DUPLICATES = ("keep", "exact", "first", "last")
FILTERS = ("keep", "min", "drop_missing", "duplicates", "k_core", "user_core", "item_core")
"""Options that leave something out."""

Column = str | int | tuple[str, ...]
"""A name, a number from 0, or the names it may have, of which a file has one."""


@dataclass(frozen=True)
class Titles:
    """Where the titles of items are: a file beside the interactions."""

    files: tuple[str, ...]
    item: Column
    title: Column
    format: str = "auto"
    separator: str | None = None
    header: bool | None = None


@dataclass(frozen=True)
class Recipe:
    """One form of raw file. Every field but files and titles is an option of `run.py data`.

    separator:      of the fields of a line, one character or more; None: the look decides.
    header:         whether the first line names the columns; None: the look decides.
    quotes:         whether "a, b" is one field, on as many lines as it takes; None: in files
                    separated by one character other than a tab, and on one line.
    time:           None: the order of the file.
    time_format:    auto, a unit of numbers, number (as they are), iso, or a pattern: %d.%m.%Y.
    time_offset:    a column of milliseconds to be added to the time.
    item_separator: an item's field holds several items, with this between them.
    item_suffix:    only items that end so are interactions; the end is no part of the id.
    history:        a column of the items before a user's first row, in the form of the items.
    keep:           column -> the values it must have one of.
    min:            column -> the smallest number.
    duplicates:     exact: rows alike in user, item and time count once; first, last: of a user's
                    rows with the same item only that one stays.
    user_core, item_core: the fewest interactions of a user and of an item.
    """

    files: tuple[str, ...] = ()
    format: str = "auto"
    separator: str | None = None
    header: bool | None = None
    quotes: bool | None = None
    user: Column = "user_id"
    item: Column = "item_id"
    time: Column | None = "timestamp"
    time_format: str = "auto"
    time_offset: Column | None = None
    item_separator: str | None = None
    item_suffix: str | None = None
    history: Column | None = None
    keep: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    min: Mapping[str, float] = field(default_factory=dict)
    drop_missing: bool = False
    duplicates: str = "keep"
    user_core: int = 1
    item_core: int = 1
    titles: Titles | None = None

    @property
    def columns_named(self) -> bool:
        """Whether any column is told, rather than left as it is by default."""
        standard = Recipe()
        return (self.user, self.item, self.time) != (standard.user, standard.item, standard.time)


def recipe_of(values: Mapping[str, Any], where: str, base: Recipe | None = None) -> Recipe:
    """A recipe from plain values, on top of another one; `k_core` sets both cores.

    Errors: UsageError, beginning with where, for an unknown field or a value of a wrong type.
    """
    given = dict(values)
    if (core := given.pop("k_core", None)) is not None:
        given = {"user_core": core, "item_core": core, **given}
    if isinstance(given.get("titles"), dict):
        given["titles"] = Titles(**_checked(given["titles"], _TITLES, f"{where}: titles."))
    return replace(base or Recipe(), **_checked(given, _FIELDS, f"{where}: "))


def unfiltered(recipe: Recipe) -> Recipe:
    """The same, keeping everything."""
    standard = Recipe()
    return replace(
        recipe, **{name: getattr(standard, name) for name in FILTERS if name != "k_core"}
    )


def plain_recipe(recipe: Recipe) -> dict[str, Any]:
    """The fields that are not at their defaults, as plain values; files and titles left out."""
    standard = Recipe()
    told = [entry.name for entry in fields(Recipe) if entry.name not in ("files", "titles")]
    values = {name: getattr(recipe, name) for name in told}
    return {
        name: _plain(value) for name, value in values.items() if value != getattr(standard, name)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _checked(values: Mapping[str, Any], known: Mapping[str, Any], where: str) -> dict[str, Any]:
    checked = {}
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"{where}{unknown(name, known)}")
        fits, right = known[name]
        if not fits(value):
            raise UsageError(f"{where}{name} must be {right}, not {value!r}")
        checked[name] = _frozen(name, value)
    return checked


def _frozen(name: str, value: Any) -> Any:
    if name == "keep":
        return {column: tuple(map(str, kept)) for column, kept in value.items()}
    if isinstance(value, str) and name in _OPTIONAL_COLUMNS and value == "none":
        return None
    return tuple(value) if isinstance(value, list) else value


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_column(value: object) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(map(_is_text, value))
    return _is_text(value) or (type(value) is int and value >= 0)


def _is_optional_column(value: object) -> bool:
    return value is None or _is_column(value)


def _is_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_text, value))


def _is_separator(value: object) -> bool:
    return value is None or (_is_text(value) and not set(str(value)) & set('\r\n"'))


def _is_time_format(value: object) -> bool:
    return value in TIME_FORMATS or (isinstance(value, str) and "%" in value)


def _is_kept(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        _is_text(column) and isinstance(kept, list | tuple) and kept
        for column, kept in value.items()
    )


def _are_bounds(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        _is_text(column) and type(bound) in (int, float) for column, bound in value.items()
    )


def _is_core(value: object) -> bool:
    return type(value) is int and value >= 1


def _is_optional_bool(value: object) -> bool:
    return value is None or isinstance(value, bool)


def _one_of(names: tuple[str, ...]) -> tuple[Callable[[object], bool], str]:
    return (lambda value: value in names), f"one of {', '.join(names)}"


_COLUMN = (_is_column, "a column: its name, or its number from 0")
_OPTIONAL = (_is_optional_column, "a column: its name, its number from 0, or none")
_OPTIONAL_COLUMNS = ("time", "time_offset", "history")
_SEPARATOR = (_is_separator, "a text without quotes and line ends")
_YES_OR_NO = (_is_optional_bool, "true or false")
_CORE = (_is_core, "a whole number of at least 1: the fewest interactions to keep")
_TITLES: dict[str, tuple[Callable[[object], bool], str]] = {
    "files": (_is_texts, "a list of file names"),
    "item": _COLUMN,
    "title": _COLUMN,
    "format": _one_of(FORMATS),
    "separator": _SEPARATOR,
    "header": _YES_OR_NO,
}
_FIELDS: dict[str, tuple[Callable[[object], bool], str]] = {
    "files": (_is_texts, "a list of file names"),
    "format": _one_of(FORMATS),
    "separator": _SEPARATOR,
    "header": _YES_OR_NO,
    "quotes": _YES_OR_NO,
    "user": _COLUMN,
    "item": _COLUMN,
    "time": _OPTIONAL,
    "time_format": (_is_time_format, f"one of {', '.join(TIME_FORMATS)}, or a pattern with %"),
    "time_offset": _OPTIONAL,
    "item_separator": _SEPARATOR,
    "item_suffix": (_is_text, "a text"),
    "history": _OPTIONAL,
    "keep": (_is_kept, "columns, each with a list of values"),
    "min": (_are_bounds, "columns, each with a number"),
    "drop_missing": (lambda value: isinstance(value, bool), "true or false"),
    "duplicates": _one_of(DUPLICATES),
    "user_core": _CORE,
    "item_core": _CORE,
    "titles": (lambda value: isinstance(value, Titles), "files, item and title"),
}
assert list(_FIELDS) == [entry.name for entry in fields(Recipe)]
