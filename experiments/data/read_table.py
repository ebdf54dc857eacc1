"""Read tables with a row per interaction: RecBole's `.inter`, CSV and TSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from experiments.data.histories import IntArray
from experiments.data.ids import id_order, shown, unusable
from experiments.data.interactions import Interactions, StrArray, TimeArray
from experiments.data.layout import LONGEST_HEADER, Columns, Layout, read_layout
from experiments.data.times import TimeParser
from experiments.data.titles import read_titles
from experiments.errors import UsageError
from experiments.storage.files import check_lines, opened
from experiments.storage.hashing import file_sha256

CHUNK = 1_000_000  # rows parsed at a time


def read_table(path: Path, columns: Columns | None = None) -> Interactions:
    """Every row of a table, sorted by user, then time; ties keep the order of the file.

    Ids are text; users and items are numbered by `id_order`. Times are numbers or ISO dates.
    For a `.inter` file, the `.item` file next to it gives the titles. Errors: UsageError
    with the row for an id or a time that is none, and for a file that is no such table.
    """
    columns = columns or Columns()
    layout = read_layout(path)
    at = layout.positions(path, columns)
    parser = TimeParser(f"{path} column {columns.time!r}")
    user_ids, item_ids = _Ids(), _Ids()
    parts: list[tuple[IntArray, IntArray, TimeArray]] = []
    for chunk in _chunks(path, layout, at):
        user, item, time = (chunk[position] for position in at)
        parts.append((user_ids.numbers(user), item_ids.numbers(item), parser.parse(time)))
    if not parts:
        raise UsageError(f"{path} has a header, but no interactions below it")
    users, items, times = (np.concatenate(column) for column in zip(*parts, strict=True))
    del parts
    users, user_names = user_ids.sorted(users, f"{path} column {columns.user!r}")
    items, item_names = item_ids.sorted(items, f"{path} column {columns.item!r}")
    order = np.lexsort((times, users))  # [N] stable
    return Interactions(
        source=str(path),
        sha256=file_sha256(path),
        users=users[order],
        items=items[order],
        user_ids=user_names,
        item_ids=item_names,
        times=parser.seconds(times[order]),
        titles=read_titles(path.with_suffix(".item")) if path.suffix == ".inter" else {},
    )


class _Ids:
    """Numbers given to ids in the order they are met."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def numbers(self, column: pd.Series[Any]) -> IntArray:
        """[rows] of a categorical column."""
        known = self.known
        met = [known.setdefault(str(name), len(known)) for name in column.cat.categories]
        numbers: IntArray = np.array(met, dtype=np.int64)[column.cat.codes.to_numpy()]
        return numbers

    def sorted(self, numbers: IntArray, where: str) -> tuple[IntArray, StrArray]:
        """Renumber [N] by the order of the ids, and return these: [n].

        Errors: UsageError for an id that cannot be one.
        """
        if wrong := unusable(self.known):
            name, problem = wrong
            row = int(np.argmax(numbers == self.known[name])) + 1
            raise UsageError(f"{where}, row {row} below the header: the id {shown(name)} {problem}")
        ids = np.array(list(self.known))  # [n]
        order = id_order(ids)
        return np.argsort(order)[numbers], ids[order]


def _chunks(path: Path, layout: Layout, at: list[int]) -> Iterator[pd.DataFrame]:
    """The rows in chunks; columns are named by position; user and item are categorical."""
    check_lines(path)
    user, item, _ = at
    beyond = len(layout.names)  # a column that no row may fill: pandas drops it silently
    try:
        with (
            opened(path) as file,
            pd.read_csv(
                io.BufferedReader(_Widened(file, layout.separator * beyond)),
                sep=layout.separator,
                quoting=csv.QUOTE_MINIMAL if layout.quoted else csv.QUOTE_NONE,
                header=0,
                names=range(beyond + 1),
                usecols=[*at, beyond],
                index_col=False,
                dtype={user: "category", item: "category", beyond: "category"},
                na_filter=False,
                float_precision="round_trip",
                low_memory=False,
                chunksize=CHUNK,
            ) as reader,
        ):
            for chunk in reader:
                _check_width(path, chunk[beyond], beyond)
                if len(chunk):
                    yield chunk
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text") from None
    except pd.errors.ParserError as error:
        reason = re.sub(r"\s+", " ", str(error).removeprefix("Error tokenizing data. C error: "))
        raise UsageError(f"{path} is not a well-formed table: {reason}") from None


class _Widened(io.RawIOBase):
    """A table with another first line: pandas takes its width from there."""

    def __init__(self, file: BinaryIO, header: str) -> None:
        super().__init__()
        self.file = file
        self.start = header.encode() + b"\n"
        head = file.read(LONGEST_HEADER + 1)
        end = re.search(b"\r\n?|\n", head)
        self.start += head[end.end() :] if end else b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self.start[: len(buffer)] or self.file.read(len(buffer))
        self.start = self.start[len(chunk) :]
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _check_width(path: Path, extra: pd.Series[Any], columns: int) -> None:
    """Errors: UsageError with the first row that has more fields than the header."""
    more = (extra.astype(str) != "").to_numpy() if set(extra.cat.categories) - {""} else []
    if np.any(more):
        row = int(extra.index[np.argmax(more)]) + 1
        raise UsageError(
            f"{path}, row {row} below the header: has more fields than the {columns} of the header"
        )
