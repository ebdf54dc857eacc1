"""Histories that a person has in a file: JSON lines, or CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from experiments.errors import UsageError
from experiments.storage.files import read_text

FORMS = (
    'FILE.jsonl has a line for each, ["item", ...] or {"user": "name", "items": ["item", ...]}; '
    "FILE.csv has the columns user and item and a row for each interaction; oldest items first"
)


def read_histories(path: Path) -> dict[str, list[str]]:
    """Item ids of each history, oldest first, by user; a line without a user is called by its
    number.

    Errors: UsageError that names file and line.
    """
    readers = {".jsonl": from_json, ".json": from_json, ".csv": from_csv}
    if path.suffix.lower() not in readers:
        raise UsageError(f"{path}: {FORMS}")
    found = readers[path.suffix.lower()](path, read_text(path))
    if not found:
        raise UsageError(f"{path}: holds no history; {FORMS}")
    return found


def from_json(path: Path, text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{where}: not JSON ({error}); {FORMS}") from None
        user: object = str(number)
        if isinstance(value, dict):
            user, value = value.get("user", user), value.get("items")
        if not isinstance(value, list) or not value or not all(map(is_id, value)):
            raise UsageError(f"{where}: no list of item ids; {FORMS}")
        if not is_id(user):
            raise UsageError(
                f"{where}: the user is {json.dumps(user)}; give a text or a whole number, or leave "
                "it out"
            )
        if str(user) in found:
            raise UsageError(f"{where}: user {user!r} has a line already")
        found[str(user)] = [str(item) for item in value]
    return found


def is_id(value: object) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def from_csv(path: Path, text: str) -> dict[str, list[str]]:
    """Every row has as many fields as the first line names columns."""
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    found: dict[str, list[str]] = {}
    try:
        columns = rows.fieldnames or []
        if not {"user", "item"} <= set(columns):
            raise UsageError(f"{path}: has the columns {', '.join(columns) or 'none'}; {FORMS}")
        for row in rows:
            if None in row or None in row.values():
                raise UsageError(
                    f"{path}:{rows.line_num}: has another number of fields than the first line, "
                    f"which has {len(columns)}"
                )
            for name in ("user", "item"):
                if not row[name]:
                    raise UsageError(f"{path}:{rows.line_num}: has no {name}")
            found.setdefault(row["user"], []).append(row["item"])
    except csv.Error as error:
        raise UsageError(f"{path}:{max(1, rows.line_num)}: not a table ({error})") from None
    return found
