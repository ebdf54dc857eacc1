"""Find the columns of a table from its header line."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from experiments.data.ids import shown
from experiments.errors import UsageError, did_you_mean
from experiments.storage.files import opened

_SEPARATORS = {".inter": "\t", ".item": "\t", ".tsv": "\t", ".csv": ","}
_CANDIDATES = "\t,;|"
LONGEST_HEADER = 1 << 16  # bytes


@dataclass(frozen=True)
class Columns:
    """The names of the columns that hold an interaction."""

    user: str = "user_id"
    item: str = "item_id"
    time: str = "timestamp"


@dataclass(frozen=True)
class Layout:
    """How a table is written: its separator, whether quotes count, its column names.

    Columns of RecBole's atomic files lose their type: `user_id:token` is `user_id`.
    """

    separator: str
    quoted: bool
    names: list[str]

    def position(self, path: Path, name: str, role: str) -> int:
        """Where this column is.

        Errors: UsageError that lists the columns there are, or for a name that two of them have.
        """
        if name not in self.names:
            columns = ", ".join(shown(column) for column in self.names[:20])
            raise UsageError(
                f"{path}: no column {name!r} for the {role}{did_you_mean(name, self.names)}; "
                f"its header has: {columns}"
            )
        if self.names.count(name) > 1:
            raise UsageError(f"{path}: two columns are named {name!r}; rename one of them")
        return self.names.index(name)

    def positions(self, path: Path, columns: Columns) -> list[int]:
        """Where user, item and time are.

        Errors: UsageError for a missing column, or one that is named for two of them.
        """
        wanted = {"user": columns.user, "item": columns.item, "time": columns.time}
        if len(set(wanted.values())) < len(wanted):
            named = ", ".join(f"{role} {name!r}" for role, name in wanted.items())
            raise UsageError(f"{path}: three different columns are needed, got {named}")
        return [self.position(path, name, role) for role, name in wanted.items()]


def read_layout(path: Path) -> Layout:
    """The layout that the extension and the first line of a table tell.

    `.inter`, `.item` and `.tsv` are separated by tabs, `.csv` by commas; where the header
    has none of these, and for other extensions, the most frequent of tab , ; | is taken.
    Quotes are plain characters in `.inter` and `.item`. Errors: UsageError for a file that
    is empty or not text.
    """
    atomic = path.suffix in (".inter", ".item")
    line = first_line(path)
    separator = _SEPARATORS.get(path.suffix, _CANDIDATES[0])
    if separator not in line and not atomic:
        separator = max(_CANDIDATES, key=line.count)
    if atomic:
        names = [column.split(":")[0] for column in line.split(separator)]
    else:
        names = _unquoted(path, line, separator)
    return Layout(separator, not atomic, [name.strip() for name in names])


def _unquoted(path: Path, line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        raise UsageError(f"{path} line 1: {shown(line)} names no columns ({error})") from None


def first_line(path: Path) -> str:
    """The header of a table, without its line end, whichever that is.

    Errors: UsageError when it is blank, endless or not UTF-8.
    """
    with opened(path) as file:
        head = file.read(LONGEST_HEADER + 1)
    line = head.replace(b"\r", b"\n").split(b"\n", 1)[0]
    if len(line) > LONGEST_HEADER:
        raise UsageError(
            f"{path} line 1: {shown(line)} names no columns: it has more than "
            f"{LONGEST_HEADER:,} bytes"
        )
    try:
        text = line.decode("utf-8-sig").strip("\n")
    except UnicodeDecodeError:
        raise UsageError(f"{path} line 1: {shown(line)} is not UTF-8 text") from None
    if not text.strip():
        raise UsageError(f"{path} is empty or has no header; its first line names the columns")
    return text
