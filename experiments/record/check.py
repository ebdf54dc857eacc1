"""What a line of the record must be for everything that reads it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeGuard

from experiments.errors import UsageError

TEXTS = ("study", "trial", "status", "variant", "dataset")
STATUSES = ("finished", "pruned", "failed")
MEASURED = ("valid/", "test/")
CHOSEN = "valid/excluded/ndcg@10"  # what a search goes by
GROUPED = ("from", "to", "users", "excluded/ndcg@10")
LARGEST = 1e39  # beyond any number of 32 bits; its square is still finite


def is_number(value: Any) -> TypeGuard[float]:
    """A number of moderate size; JSON has NaN, infinities and integers without end."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    return known and math.isfinite(value if isinstance(value, float) else 0) and within(value)


def within(value: float) -> bool:
    return -LARGEST <= value <= LARGEST


def is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_number, value))


def are_groups(value: Any) -> bool:
    """Buckets of users, each from a number to a number, or to None for no end."""
    return isinstance(value, list) and all(
        are_names(one)
        and (one.get("to", 0) is None or is_number(one.get("to")))
        and all(is_number(one.get(key)) for key in GROUPED if key != "to")
        for one in value
    )


def is_plain(value: Any) -> bool:
    """Texts, numbers, lists, and names with values; every number is one."""
    if isinstance(value, (list, dict)):
        parts = value if isinstance(value, list) else [*value, *value.values()]
        return all(map(is_plain, parts))
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)  # half of one
    return value is None or isinstance(value, bool) or is_number(value)


def are_names(value: Any) -> bool:
    return isinstance(value, dict) and is_plain(value)


EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("question", "model", "device", "commit", "error"), (is_text, "a text")),
    **dict.fromkeys(("axes", "config", "features_sha256"), (are_names, "names and values")),
    "baseline": (lambda value: value is None or is_text(value), "a text or null"),
    **dict.fromkeys(("users", "epochs"), (is_number, "a finite number")),
}
FAMILIES: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys((*MEASURED, "seconds/", "best/"), (is_number, "a finite number")),
    "curve/": (are_numbers, "a list of finite numbers"),
    "groups/": (are_groups, "a list of groups"),
}


def check_line(values: Any, where: str) -> None:
    """UsageError that begins with `where` for anything that is not a line of the record."""
    if not isinstance(values, dict):
        raise UsageError(f"{where}: not a JSON object, but {type(values).__name__}")
    for key in TEXTS:
        if not is_text(values.get(key)):
            raise UsageError(f"{where}: {key!r} has to be a text, got {shown(values.get(key))}")
    if type(values.get("seed")) is not int or not is_number(values["seed"]):
        raise UsageError(f"{where}: 'seed' has to be an integer, got {shown(values.get('seed'))}")
    if values["status"] not in STATUSES:
        raise UsageError(f"{where}: 'status' is {values['status']!r}; known: {', '.join(STATUSES)}")
    if values["status"] == "finished" and CHOSEN not in values:
        raise UsageError(f"{where}: {CHOSEN!r} is missing in a finished trial")
    for key, value in values.items():
        check_value(key, value, where)
    if len({len(value) for key, value in values.items() if key.startswith("curve/")}) > 1:
        raise UsageError(f"{where}: the lists of 'curve/' have different lengths")


def check_value(key: str, value: Any, where: str) -> None:
    family = next((one for start, one in FAMILIES.items() if key.startswith(start)), None)
    fits, what = EXPECTED.get(key) or family or (is_plain, "plain text or finite numbers")
    if not key.isprintable() or not fits(value):
        raise UsageError(f"{where}: {key!r} has to be {what}, got {shown(value)}")


def shown(value: Any) -> str:
    """The beginning of what there is instead."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
