"""How a table is written, seen from its name and its first lines, and where its columns are."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from experiments.data.ids import is_missing, shown
from experiments.data.reading.recipe import Column, Recipe
from experiments.data.reading.source import Source
from experiments.errors import UsageError, did_you_mean

_SEPARATORS = {".inter": "\t", ".item": "\t", ".tsv": "\t", ".csv": ","}
CANDIDATES = ("::", "\t", ",", ";", "|")
LONGEST_HEADER = 1 << 16  # bytes
LOOKED_AT = 100  # lines that tell whether the first of them is a header


class NoColumn(UsageError):
    """A file has no column, or field, of this name; names: those that it has."""

    def __init__(self, message: str, names: list[str]) -> None:
        super().__init__(message)
        self.names = names


@dataclass(frozen=True)
class Columns:
    """The columns that hold an interaction; no time: the order of the file."""

    user: Column = "user_id"
    item: Column = "item_id"
    time: Column | None = "timestamp"


@dataclass(frozen=True)
class Layout:
    """How a table is written: its separator, whether quotes count, its column names.

    Columns of RecBole's atomic files lose their type: `user_id:token` is `user_id`. Without a
    header the columns are named by their numbers, from 0.
    """

    separator: str
    quoted: bool
    names: list[str]
    header: bool = True
    spanning: bool = False  # whether a quoted field may go on over lines and separators
    exact: bool = False  # whether blanks around a field belong to it, as in RecBole's files

    def position(self, where: object, column: Column, role: str) -> int:
        """The place of a column.

        Errors: UsageError that lists the columns there are, or for a name that two of them have.
        """
        if isinstance(column, tuple):
            column = next((name for name in column if name in self.names), column[0])
        name = str(column)
        if name not in self.names:
            if name.isdecimal() and len(name) < 10 and int(name) < len(self.names):
                return int(name)
            raise NoColumn(f"{where}: {self._no_column(name, role)}", self.names)
        if self.names.count(name) > 1:
            raise UsageError(f"{where}: two columns are named {name!r}; rename one of them")
        return self.names.index(name)

    def _no_column(self, name: str, role: str) -> str:
        columns = ", ".join(shown(column) for column in self.names[:20])
        hint = (
            "; `run.py data` takes the order of the file with --time-column none"
            if role == "time"
            else ""
        )
        if not self.header:
            return (
                f"no column {name!r} for the {role}: the file has no header, and columns "
                f"0 to {len(self.names) - 1}{hint}"
            )
        return (
            f"no column {name!r} for the {role}{did_you_mean(name, self.names)}; "
            f"its header has: {columns}{hint}"
        )

    def positions(self, where: object, columns: dict[str, Column]) -> dict[str, int]:
        """The place of each of these, by role. Errors: UsageError for one that is named twice."""
        at = {role: self.position(where, column, role) for role, column in columns.items()}
        one_each = [at[role] for role in ("user", "item", "time") if role in at]
        if len(set(one_each)) < len(one_each):
            named = ", ".join(
                f"{role} {columns[role]!r}" for role in ("user", "item", "time") if role in at
            )
            raise UsageError(f"{where}: different columns are needed, got {named}")
        return at


def read_layout(path: Path) -> Layout:
    """The layout that the extension and the header of a table tell."""
    return layout_of(Source(path), Recipe())


def layout_of(source: Source, recipe: Recipe, lines: list[str] | None = None) -> Layout:
    """The layout that a recipe says, or else the extension and the first lines of a table tell.

    lines: the first of them, where they were read already.

    `.inter`, `.item` and `.tsv` are separated by tabs, `.csv` by commas; where the first line
    has none of these, and for other extensions, the most frequent of :: tab , ; | is taken.
    Quotes are plain characters in `.inter` and `.item`, and between tabs. Errors: UsageError for
    a file that is empty or not text, for a separator that never occurs, and for a first line that
    may be a header or an interaction.
    """
    lines = lines or first_lines(source, LOOKED_AT)
    atomic = source.suffix in (".inter", ".item") or recipe.format == "inter"
    separator = recipe.separator or _separator(source, lines[0], atomic)
    if recipe.separator and separator not in lines[0]:
        raise UsageError(
            f"{source} line 1: the separator {separator!r} does not occur in {shown(lines[0])}"
        )
    quoted = recipe.quotes
    if quoted is None:
        quoted = not atomic and len(separator.encode()) == 1 and separator not in "\t "
    if quoted and (len(separator.encode()) > 1 or separator == " "):
        raise UsageError(f"{source}: quotes cannot count where {separator!r} separates fields")
    first = _fields(source, lines[0], separator, quoted)
    header = recipe.header
    if header is None:
        rows = csv.reader(lines[1:], delimiter=separator) if quoted else None
        below = list(rows or (line.split(separator) for line in lines[1:]))
        header = _names_columns(source, recipe, first, below)
    if header:
        names = [name.split(":")[0] if atomic else name for name in first]
    else:
        names = [str(number) for number in range(len(first))]
    spanning = recipe.quotes is True
    return Layout(separator, quoted, [name.strip() for name in names], header, spanning, atomic)


def _separator(source: Source, line: str, atomic: bool) -> str:
    separator = _SEPARATORS.get(source.suffix, "\t")
    if separator not in line and not atomic:
        separator = max(CANDIDATES, key=lambda text: line.count(text) * len(text))
    return separator


def _fields(source: Source, line: str, separator: str, quoted: bool) -> list[str]:
    """The fields of a line."""
    if not quoted:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        raise UsageError(f"{source} line 1: {shown(line)} names no columns ({error})") from None


def _names_columns(
    source: Source, recipe: Recipe, first: list[str], below: list[list[str]]
) -> bool:
    """Whether the first line is a header, where the recipe does not say.

    It is where any column is told by its name. Where all are told by number, a header has no time
    in the column of times, and without such a column it has a word over a column of numbers.
    Errors: UsageError where that line also has a number, or a user or item that comes again.
    """
    columns = (recipe.user, recipe.item, recipe.time)
    if not all(isinstance(column, int) or column is None for column in columns):
        return True
    if isinstance(recipe.time, int):
        time = first[recipe.time] if recipe.time < len(first) else ""
        return not is_missing(time) and not any(map(str.isdigit, time))
    named = any(
        not is_missing(word) and not _is_number(word) and _are_numbers(_column(below, place))
        for place, word in enumerate(first)
    )
    again = any(
        first[place] in _column(below, place)
        for place in (recipe.user, recipe.item)
        if isinstance(place, int) and place < len(first)
    )
    if named and (again or any(map(_is_number, first))):
        raise UsageError(
            f"{source} line 1: {', '.join(map(shown, first[:12]))} may be the names of the columns "
            "or an interaction; say which with --header yes or --header no"
        )
    return named


def _column(rows: list[list[str]], place: int) -> list[str]:
    return [row[place] for row in rows if place < len(row)]


def _are_numbers(texts: list[str]) -> bool:
    """Whether those that are not missing are numbers, and there are some."""
    there = [text for text in texts if not is_missing(text)]
    return bool(there) and all(map(_is_number, there))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def first_line(path: Path) -> str:
    """The header of a table, without its line end, whichever that is."""
    return first_lines(Source(path), 1)[0]


def first_lines(source: Source, most: int) -> list[str]:
    """The first lines that are not blank, without their ends; only the first must be there.

    Errors: UsageError when it is endless or not UTF-8, and for a file without any.
    """
    with source.opened() as file:
        head = file.read(LONGEST_HEADER + 1).removeprefix(b"\xef\xbb\xbf")
    whole = len(head) <= LONGEST_HEADER
    raw = head.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if len(raw) == 1 and not whole:
        raise UsageError(
            f"{source} line 1: {shown(raw[0])} names no columns: it has more than "
            f"{LONGEST_HEADER:,} bytes"
        )
    complete = raw if whole else raw[:-1]
    numbered = ((number, line) for number, line in enumerate(complete, 1) if line.strip())
    lines = []
    for number, line in islice(numbered, most):
        try:
            lines.append(line.decode())
        except UnicodeDecodeError:
            raise UsageError(
                f"{source} line {number}: {shown(line)} is not UTF-8 text; "
                "convert it, such as by `iconv -f latin1 -t utf-8`"
            ) from None
    if not lines:
        raise UsageError(f"{source} is empty or has no header; its first line names the columns")
    return lines
