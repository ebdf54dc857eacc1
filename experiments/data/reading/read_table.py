"""Read a table with a row per interaction, whatever its form, into interactions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from experiments.data.histories import IntArray
from experiments.data.ids import id_order, shown, unusable
from experiments.data.interactions import BoolArray, Interactions, StrArray, TimeArray
from experiments.data.reading.csv_rows import TableRows
from experiments.data.reading.item_lists import PastItems, unrolled
from experiments.data.reading.json_rows import RecordRows
from experiments.data.reading.layout import Columns, layout_of
from experiments.data.reading.missing import MissingIds, missing_rows, unusable_rows
from experiments.data.reading.parquet_rows import ParquetRows
from experiments.data.reading.recipe import Column, Recipe
from experiments.data.reading.row_filters import RowFilters, distinct
from experiments.data.reading.source import Source
from experiments.data.reading.time_forms import TimeParser
from experiments.data.reading.titles import read_titles
from experiments.errors import UsageError
from experiments.storage.hashing import file_sha256


class Rows(Protocol):
    """The rows of a file in chunks, with a column for each role; a row knows its place."""

    def __iter__(self) -> Iterator[pd.DataFrame]: ...

    def place(self, row: int) -> str: ...


@dataclass(frozen=True)
class TableRead:
    """All that a table says, and what is to be left of it."""

    interactions: Interactions
    kept: list[tuple[str, BoolArray]]  # what a filter asks for, [N] the interactions that pass it
    notes: list[str] = field(default_factory=list)  # how the file was read


def read_table(path: Path, columns: Columns) -> Interactions:
    """Every row of a `.inter`, CSV or TSV file with a header; times are numbers or ISO dates.

    For a `.inter` file, the `.item` file next to it gives the titles. Errors: as `read_rows`.
    """
    recipe = Recipe(
        user=columns.user, item=columns.item, time=columns.time, time_format="plain", header=True
    )
    read = read_rows(Source(path), recipe, "csv").interactions
    if path.suffix != ".inter":
        return read
    return replace(read, titles=read_titles(Source(path.with_suffix(".item"))))


def read_rows(source: Source, recipe: Recipe, form: str) -> TableRead:
    """Every row of a table, sorted by user, then time; ties keep the order of the file.

    Ids are text; users and items are numbered by `id_order`. form: csv, jsonl, literal or
    parquet. Errors: UsageError with the line for an id or a time that is none, and for a file
    that is no such table.
    """
    columns = _roles(recipe)
    rows, notes = _rows(source, recipe, form, columns)
    reading = _Reading(source, recipe, rows, columns)
    for chunk in rows:
        reading.add(chunk)
    return reading.finished(notes)


def _roles(recipe: Recipe) -> dict[str, Column]:
    """Role -> column, for all that is read.

    Errors: UsageError for a history of items without times, which it is put before.
    """
    if recipe.history is not None and recipe.time is None:
        raise UsageError(
            "a history of items before a row needs the time of that row: leave out "
            "--time-column none"
        )
    optional = {
        "time": recipe.time,
        "time_offset": recipe.time_offset,
        "history": recipe.history,
    }
    columns: dict[str, Column] = {"user": recipe.user, "item": recipe.item}
    columns |= {role: column for role, column in optional.items() if column is not None}
    return columns | {f"filter {name}": name for name in (*recipe.keep, *recipe.min)}


def _rows(
    source: Source, recipe: Recipe, form: str, columns: dict[str, Column]
) -> tuple[Rows, list[str]]:
    """The rows of a file in this form, and how it is written."""
    if form in ("jsonl", "literal"):
        about = {"jsonl": "a JSON object a line", "literal": "a Python literal a line"}
        return RecordRows(source, form, columns), [f"form: {about[form]}"]
    if form == "parquet":
        return ParquetRows(source, columns), ["form: parquet"]
    layout = layout_of(source, recipe)
    header = "a header" if layout.header else "no header"
    notes = [f"form: separated by {shown(layout.separator)}, {header}"]
    return TableRows(source, layout, layout.positions(source, columns)), notes


class _Reading:
    """What was read so far."""

    def __init__(
        self, source: Source, recipe: Recipe, rows: Rows, columns: dict[str, Column]
    ) -> None:
        self.source, self.recipe, self.rows, self.columns = source, recipe, rows, columns
        self.times = TimeParser(self.where("time"), recipe.time_format, rows.place)
        self.user_ids, self.item_ids = _Ids(), _Ids()
        self.filters = RowFilters(recipe, str(source), rows.place)
        self.past = PastItems(recipe)
        self.missing = MissingIds()
        self.shown_items = 0
        self.parts: list[tuple[IntArray, IntArray, TimeArray, list[BoolArray]]] = []

    def where(self, role: str) -> str:
        column = self.columns.get(role, role)
        name = column if isinstance(column, int) else shown(" or ".join(np.atleast_1d(column)))
        return f"{self.source} column {name}"

    def add(self, chunk: pd.DataFrame) -> None:
        """Number ids, parse times, and see what the filters say of each row."""
        if "history" in chunk:
            self.past.add(chunk, self.times.parse(chunk["time"]))
        if self.recipe.item_separator is not None:
            chunk, shown_items = unrolled(chunk, self.recipe)
            self.shown_items += shown_items
        passed = self.filters.passed(chunk)  # of each filter: [rows]
        alive = np.logical_and.reduce(passed) if passed else np.ones(len(chunk), dtype=bool)
        gone = np.zeros(len(chunk), dtype=bool)
        for role in ("user", "item"):
            lacking = (missing_rows(chunk[role]) | unusable_rows(chunk[role])) & alive
            self.missing.add(role, chunk[role], lacking)
            gone |= lacking
        if self.recipe.drop_missing:
            if "time" in chunk:
                gone |= missing_rows(chunk["time"]) & alive
            passed = [*passed, ~gone]
        times = self._parsed(chunk, alive & ~gone)
        users = self.user_ids.numbers(chunk["user"])
        items = self.item_ids.numbers(chunk["item"])
        self.parts.append((users, items, times, passed))

    def _parsed(self, chunk: pd.DataFrame, alive: BoolArray) -> TimeArray:
        """[rows] times; 0 in rows that are left out, and the order where there are none."""
        if "time" not in chunk:
            return np.zeros(len(chunk), np.int64)
        parsed = self.times.parse(chunk["time"] if alive.all() else chunk["time"][alive])
        if "time_offset" in chunk:
            offset = pd.to_numeric(chunk["time_offset"][alive].astype(str), errors="coerce")
            if offset.isna().any():
                row = int(offset.index[offset.isna().to_numpy().argmax()])
                text = shown(str(chunk["time_offset"][row]))
                raise UsageError(
                    f"{self.where('time_offset')}, {self.rows.place(row)}: {text} is not a "
                    "number of milliseconds"
                )
            parsed = parsed + (offset.to_numpy() * (self.times.second / 1000)).astype(parsed.dtype)
        if alive.all():
            return parsed
        times = np.zeros(len(chunk), parsed.dtype)
        times[alive] = parsed
        return times

    def finished(self, notes: list[str]) -> TableRead:
        """The interactions in order. Errors: UsageError for ids that are none."""
        if not self.parts:
            raise UsageError(f"{self.source} has a first line, but no interactions below it")
        if not self.recipe.drop_missing:
            self.missing.check(self.where, self.rows.place)
        self.filters.check()
        notes = [*notes, *self._notes()]
        self._add_past()
        users, items, times = (
            np.concatenate([part[place] for part in self.parts]) for place in range(3)
        )
        labels = [
            *self.filters.labels,
            *(["rows with ids and times"] if self.recipe.drop_missing else []),
        ]
        kept = [np.concatenate([p[3][n] for p in self.parts]) for n in range(len(labels))]
        self.parts = []
        left = np.logical_and.reduce(kept) if kept else np.ones(len(users), dtype=np.bool_)
        users, user_names = self.user_ids.sorted(users, left, self.where("user"))
        items, item_names = self.item_ids.sorted(items, left, self.where("item"))
        timed = self.recipe.time is not None
        order = np.lexsort((times, users)) if timed else np.argsort(users, kind="stable")
        interactions = Interactions(
            source=str(self.source),
            sha256=file_sha256(self.source.path),
            users=users[order],
            items=items[order],
            user_ids=user_names,
            item_ids=item_names,
            times=self.times.seconds(times[order]) if timed else None,
        )
        masks = [(label, mask[order]) for label, mask in zip(labels, kept, strict=True)]
        return TableRead(interactions, masks, notes)

    def _notes(self) -> list[str]:
        notes = [f"times: {self.times}"] if self.recipe.time is not None else []
        if self.recipe.time is None:
            notes = ["times: none; the order of the file"]
        if self.shown_items:
            taken = sum(len(part[0]) for part in self.parts)
            notes.append(
                f"items: {self.shown_items:,} in lists, {taken:,} of them taken"
                + (f" (ending in {self.recipe.item_suffix!r})" if self.recipe.item_suffix else "")
            )
        return notes

    def _add_past(self) -> None:
        """The items before a user's first row, a second apart."""
        users, items, times = self.past.rows(self.times.second)
        if len(users):
            passed = [np.ones(len(users), dtype=bool) for _ in self.parts[0][3]]
            numbers = self.user_ids.numbers(users), self.item_ids.numbers(items)
            self.parts.append((*numbers, times, passed))


class _Ids:
    """Numbers given to ids in the order they are met."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def numbers(self, column: pd.Series[Any]) -> IntArray:
        """[rows] of a column of texts or numbers."""
        known = self.known
        codes, names = distinct(column)
        met = [known.setdefault(name, len(known)) for name in names]
        numbers: IntArray = np.array(met, dtype=np.int64)[codes]
        return numbers

    def sorted(self, numbers: IntArray, left: BoolArray, where: str) -> tuple[IntArray, StrArray]:
        """Renumber [N] by the order of the ids, and return these: [n].

        left: [N] the rows that stay. Errors: UsageError for an id of theirs that cannot be one.
        """
        ids = np.array(list(self.known))  # [n]
        if wrong := unusable(ids[np.unique(numbers[left])].tolist()):
            name, problem = wrong
            raise UsageError(f"{where}: the id {shown(name)} {problem}")
        order = id_order(ids)
        return np.argsort(order)[numbers], ids[order]
