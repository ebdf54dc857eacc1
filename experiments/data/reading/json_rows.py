"""The rows of a file with a record a line: JSON, or a Python literal."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd

from experiments.data.ids import shown
from experiments.data.reading.layout import NoColumn, first_lines
from experiments.data.reading.recipe import Column
from experiments.data.reading.source import LOOK, Source
from experiments.errors import UsageError, did_you_mean

CHUNK = 100_000  # records parsed at a time
BROKEN = (ValueError, SyntaxError, RecursionError, MemoryError, TypeError)
FORMS = {"jsonl": "JSON", "literal": "a Python literal"}


class RecordRows:
    """Rows of some fields of the records of a file; a row's label is its line, from 1.

    columns: role -> the field's name, or the names it may have. A field that a record lacks is
    None there. Literals are read by `ast.literal_eval`: nothing in a file is run.
    """

    def __init__(self, source: Source, form: str, columns: Mapping[str, Column]) -> None:
        self.source = source
        self.form = form
        self.parse: Callable[[str], Any] = json.loads if form == "jsonl" else ast.literal_eval
        self.names = self._names(columns)

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Chunks with a column of texts or numbers for each role.

        Errors: UsageError with the line that is no record.
        """
        roles = list(self.names)
        lines: list[int] = []
        rows: list[list[Any]] = []
        for line, record in self.records():
            lines.append(line)
            rows.append([self._value(line, role, record) for role in roles])
            if len(rows) == CHUNK:
                yield pd.DataFrame(rows, index=lines, columns=roles, dtype=object)
                lines, rows = [], []
        if rows:
            yield pd.DataFrame(rows, index=lines, columns=roles, dtype=object)

    def _value(self, line: int, role: str, record: dict[str, Any]) -> Any:
        value = record.get(self.names[role])
        if isinstance(value, (dict, list, set, tuple)):
            raise UsageError(
                f"{self.source} line {line}: the {role} is {shown(repr(value))}; it has to be a "
                "text or a number"
            )
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Line numbers and records; blank lines are skipped."""
        with self.source.opened() as file:
            for line, raw in enumerate(file, 1):
                text = raw.removeprefix(b"\xef\xbb\xbf").strip()
                if text:
                    yield line, self._record(line, text)

    def place(self, line: int) -> str:
        """Where a row is, for messages."""
        return f"line {line}"

    def _record(self, line: int, raw: bytes) -> dict[str, Any]:
        try:
            record = self.parse(raw.decode())
        except UnicodeDecodeError:
            raise UsageError(f"{self.source} line {line} is not UTF-8 text") from None
        except BROKEN:
            record = None
        if not isinstance(record, dict):
            if raw.lstrip().startswith(b"["):
                raise _is_list(self.source)
            raise UsageError(
                f"{self.source} line {line}: {shown(raw)} is not an object in {FORMS[self.form]}, "
                'such as {"user": 1, ...}'
            )
        return record

    def _names(self, columns: Mapping[str, Column]) -> dict[str, str]:
        """The field of each role: the first of its names that one of the first records has."""
        seen: dict[str, None] = {}
        for number, (_, record) in enumerate(self.records()):
            seen.update(dict.fromkeys(map(str, record)))
            if number == 1000:
                break
        if not seen:
            raise UsageError(f"{self.source} is empty: it has no records")
        names = {}
        for role, column in columns.items():
            options = column if isinstance(column, tuple) else (str(column),)
            names[role] = next((name for name in options if name in seen), options[0])
            if names[role] not in seen:
                raise NoColumn(
                    f"{self.source}: no field {names[role]!r} for the {role}"
                    f"{did_you_mean(names[role], seen)}; its records have: "
                    f"{', '.join(map(shown, list(seen)[:20]))}",
                    list(seen),
                )
        return names


def _is_list(source: Source) -> UsageError:
    return UsageError(f"{source}: is one JSON list; `jq -c '.[]'` makes it an object a line")


def record_form(source: Source) -> str:
    """jsonl or literal: which of them the first line is in. Errors: UsageError for a JSON list."""
    with source.opened() as file:
        start = file.read(LOOK).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        raise _is_list(source)
    (line,) = first_lines(source, 1)
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return "literal"
    return "jsonl"
