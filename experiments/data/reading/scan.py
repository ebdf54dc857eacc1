"""One pass over a table's bytes before it is parsed: what a parser would swallow in silence."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from experiments.data.reading.source import Source
from experiments.errors import UsageError
from experiments.storage.files import checked_chunks

if TYPE_CHECKING:
    from _csv import Reader

LONGEST_FIELD = 1 << 24  # characters of a text in a table; csv takes 131,072 unless told
QUOTE, NEWLINE, RETURN = b'"', b"\n", b"\r"


def check_bytes(source: Source, separator: str | None) -> None:
    """Check a table; separator: of a table whose quotes count, None where they do not.

    Errors: as `checked_chunks`; UsageError for a quoted field that spans lines and holds
    separators: most often a quote that is no quote has swallowed rows.
    """
    odd = 0  # quotes so far
    suspicious = False
    with source.opened() as file:
        for chunk in checked_chunks(file, str(source)):
            if separator is not None and not suspicious and (odd or QUOTE in chunk):
                suspicious, odd = _open_at_a_line_end(chunk, odd)
    if separator is not None and (suspicious or odd):
        _check_quotes(source, separator)


def _open_at_a_line_end(chunk: bytes, odd: int) -> tuple[bool, int]:
    """Whether a line ends after an odd number of quotes, and the parity at the end."""
    text = np.frombuffer(chunk, dtype=np.uint8)
    quotes = np.flatnonzero(text == ord(QUOTE))
    ends = np.flatnonzero((text == ord(NEWLINE)) | (text == ord(RETURN)))
    before = np.searchsorted(quotes, ends) + odd  # [line ends] quotes so far
    return bool((before % 2).any()), (len(quotes) + odd) % 2


def _check_quotes(source: Source, separator: str) -> None:
    """Read record by record, as a CSV reader does, and look at the fields that span lines."""
    with source.opened() as file:
        reader = records(text_lines(file), separator)
        last = 0
        try:
            for record in reader:
                spans, last, first = reader.line_num > last + 1, reader.line_num, last + 1
                if spans and any(_swallows(field, separator) for field in record):
                    raise UsageError(
                        f"{source} line {first}: a quoted field begins there, goes on to line "
                        f"{last} and holds {separator!r}; if the quote is only a character, "
                        "use --quotes no; if the field is meant, --quotes yes"
                    )
        except csv.Error:
            raise UsageError(
                f"{source} line {last + 1}: a field there has more than {LONGEST_FIELD:,} "
                "characters; if a quote that opens it is only a character, use --quotes no"
            ) from None


def _swallows(field: str, separator: str) -> bool:
    return separator in field and ("\n" in field or "\r" in field)


def records(lines: Iterable[str], separator: str) -> Reader:
    """A CSV reader of lines.  Errors: csv.Error for a field of more than LONGEST_FIELD."""
    csv.field_size_limit(LONGEST_FIELD)
    return csv.reader(lines, delimiter=separator)


def text_lines(file: BinaryIO) -> io.TextIOWrapper:
    """The lines of a file as text, line ends included; bytes that are no text are replaced."""
    return io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")


def line_of_row(source: Source, row: int, separator: str | None, header: bool) -> int:
    """The line of a file, from 1, that a row from 0 ends on; blank lines are no rows.

    separator: of a table whose quotes count, None where they do not.
    """
    with source.opened() as file:
        blank, lines = _from_the_first_filled(text_lines(file))
        if separator is None:
            filled = (number for number, line in enumerate(lines, 1) if line.strip("\r\n"))
        else:
            reader = records(lines, separator)
            filled = (reader.line_num for record in reader if record)
        for place, number in enumerate(filled):
            if place == row + header:
                return blank + number
    return row + 1 + header


def _from_the_first_filled(lines: Iterator[str]) -> tuple[int, Iterator[str]]:
    """How many lines of blanks there are at the start, and the lines after them."""
    for blank, line in enumerate(lines):
        if line.strip():
            return blank, chain([line], lines)
    return 0, iter(())
