"""The rows of a table of lines, chunk by chunk: CSV, TSV, RecBole's `.inter`, and the like."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import pandas as pd

from experiments.data.ids import shown
from experiments.data.reading.layout import LONGEST_HEADER, Layout
from experiments.data.reading.scan import check_bytes, line_of_row
from experiments.data.reading.source import Source
from experiments.errors import UsageError

CHUNK = 1_000_000  # rows parsed at a time
PLAIN_SEPARATOR = b"\x1f"  # stands for a separator of several bytes, which pandas reads slowly
NUMERIC = ("time", "time_offset")  # roles whose fields are parsed where they are numbers


class TableRows:
    """Rows of some columns of a table; a row knows its line.

    at: role -> place of its column. Texts are categorical and read as they are written: nothing
    stands for a missing value. Blanks around a text are left out, but in RecBole's files.
    """

    def __init__(self, source: Source, layout: Layout, at: Mapping[str, int]) -> None:
        self.source = source
        self.layout = layout
        self.at = at

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Chunks with a column for each role; their index counts the rows from 0.

        Errors: UsageError for what is no such table, with the line of a row of too many fields.
        """
        one_line = self.layout.quoted and not self.layout.spanning
        check_bytes(self.source, self.layout.separator if one_line else None)
        beyond = len(self.layout.names)  # a column no row may fill: pandas drops it silently
        used = sorted({*self.at.values(), beyond})
        numeric = {self.at[role] for role in NUMERIC if role in self.at}
        with self._well_formed(), self.source.opened() as file:
            reader = pd.read_csv(
                io.BufferedReader(_Prepared(file, self.layout)),
                sep=self._separator.decode(),
                quoting=csv.QUOTE_MINIMAL if self.layout.quoted else csv.QUOTE_NONE,
                header=0,
                names=range(beyond + 1),
                usecols=used,
                index_col=False,
                dtype={column: "category" for column in used if column not in numeric},
                na_filter=False,
                float_precision="round_trip",
                low_memory=False,
                chunksize=CHUNK,
            )
            with reader:
                for chunk in reader:
                    self._check_width(chunk[beyond])
                    if len(chunk):
                        rows = {role: chunk[place] for role, place in self.at.items()}
                        if not self.layout.exact:
                            rows = {role: _without_blanks(column) for role, column in rows.items()}
                        yield pd.DataFrame(rows)

    def place(self, row: int) -> str:
        """Where a row is, for messages."""
        separator = self.layout.separator if self.layout.quoted else None
        return f"line {line_of_row(self.source, row, separator, self.layout.header)}"

    @property
    def _separator(self) -> bytes:
        separator = self.layout.separator.encode()
        return separator if len(separator) == 1 else PLAIN_SEPARATOR

    @contextmanager
    def _well_formed(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError:
            raise UsageError(f"{self.source} is not UTF-8 text") from None
        except pd.errors.ParserError as error:
            reason = str(error).removeprefix("Error tokenizing data. C error: ")
            reason = re.sub(r"\s+", " ", reason)
            raise UsageError(f"{self.source} is not a well-formed table: {reason}") from None

    def _check_width(self, extra: pd.Series[Any]) -> None:
        """Errors: UsageError with the first row that has more fields than the first line."""
        if set(extra.cat.categories) - {""}:
            row = int(extra.index[(extra.astype(str) != "").to_numpy().argmax()])
            more = shown(str(extra[row]))
            raise UsageError(
                f"{self.source}, {self.place(row)}: has more fields than the "
                f"{len(self.layout.names)} of the first line; the next is {more}"
            )


def _without_blanks(column: pd.Series[Any]) -> pd.Series[Any]:
    """[rows] the same texts without blanks around them; a column of anything else as it is."""
    if not isinstance(column.dtype, pd.CategoricalDtype):  # times, which may be no numbers
        return column.str.strip(" ") if column.dtype.kind == "O" else column
    names = column.cat.categories
    bare = names.str.strip(" ")
    if bare.equals(names):
        return column
    numbers, texts = pd.factorize(bare)
    of_rows = pd.Categorical.from_codes(numbers[column.cat.codes.to_numpy()], texts)
    return pd.Series(of_rows, index=column.index)


class _Prepared(io.RawIOBase):
    """A table under another first line, from which pandas takes its width, with a separator of
    one byte."""

    def __init__(self, file: BinaryIO, layout: Layout) -> None:
        super().__init__()
        self.file = file
        self.long = layout.separator.encode() if len(layout.separator.encode()) > 1 else b""
        self.kept = b""  # the end of what was read: the next read may complete a separator
        separator = PLAIN_SEPARATOR if self.long else layout.separator.encode()
        start = file.read(LONGEST_HEADER + 1).removeprefix(b"\xef\xbb\xbf")
        if layout.header:
            start = start.lstrip()  # blank lines, as `first_lines` skips them
            end = re.search(rb"\r\n?|\n", start)
            start = start[end.end() :] if end else b""
        header = separator * len(layout.names) + b"\n"
        self.ready = header + self._translated(start, last=not start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.ready:
            chunk = self.file.read(1 << 18)
            self.ready = self._translated(chunk, last=not chunk)
            if not chunk:
                break
        chunk = self.ready[: len(buffer)]
        self.ready = self.ready[len(chunk) :]
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def _translated(self, chunk: bytes, last: bool) -> bytes:
        if not self.long:
            return chunk
        text = (self.kept + chunk).replace(self.long, PLAIN_SEPARATOR)
        kept = 0 if last else self._beginning_of_separator(text)
        self.kept = text[len(text) - kept :]
        return text[: len(text) - kept]

    def _beginning_of_separator(self, text: bytes) -> int:
        """How many bytes at the end of the text may belong to a separator."""
        return next(
            (n for n in range(len(self.long) - 1, 0, -1) if text.endswith(self.long[:n])), 0
        )
