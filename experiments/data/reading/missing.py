"""What stands for a missing value in files: an id that is written so is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from experiments.data.ids import is_missing, shown, unusable
from experiments.data.interactions import BoolArray
from experiments.data.reading.row_filters import distinct
from experiments.errors import UsageError


def no_id(names: Iterable[str]) -> tuple[str, str] | None:
    """The first that is missing or cannot be an id, and why; None when all are ids."""
    names = list(names)
    absent = next((name for name in names if is_missing(name)), None)
    return unusable(names) if absent is None else (absent, "stands for a missing value")


def missing_rows(column: pd.Series[Any]) -> BoolArray:
    """[rows] where a field is empty, or written as a missing value is."""
    if column.dtype.kind in "iuM":
        return np.asarray(column.isna())
    if isinstance(column.dtype, pd.CategoricalDtype):
        marks = np.array([is_missing(str(name)) for name in column.cat.categories], dtype=bool)
        return marks[column.cat.codes.to_numpy()] if marks.any() else np.zeros(len(column), bool)
    if column.dtype.kind == "f":
        return np.asarray(column.isna())
    return np.fromiter((is_missing(str(value)) for value in column), bool, len(column))


def unusable_rows(column: pd.Series[Any]) -> BoolArray:
    """[rows] where a text is there, but cannot be an id (`unusable`)."""
    if column.dtype.kind in "iufM":
        return np.zeros(len(column), dtype=bool)
    codes, texts = distinct(column)
    wrong = np.array([unusable([text]) is not None for text in texts], dtype=bool)
    return wrong[codes]


class MissingIds:
    """Counts the rows without an id that can be used, for the one line that refuses them."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.first: dict[str, tuple[int, str]] = {}  # role -> label of its first row, what is there

    def add(self, role: str, column: pd.Series[Any], rows: BoolArray) -> None:
        if rows.any():
            at = int(np.argmax(rows))
            self.first.setdefault(role, (int(column.index[at]), str(column.iloc[at])))
            self.counts[role] = self.counts.get(role, 0) + int(rows.sum())

    def check(self, where: Callable[[str], str], place: Callable[[int], str]) -> None:
        """Errors: UsageError with the number of rows and the first of them."""
        for role, count in self.counts.items():
            row, text = self.first[role]
            rows = "1 row has" if count == 1 else f"{count:,} rows have"
            problem = None if is_missing(text) else unusable([text])
            told = f"no id, the first {shown(text)}"
            if problem:
                told = f"no usable id, the first {shown(text)}, which {problem[1]}"
            raise UsageError(
                f"{where(role)}, {place(row)}: {rows} {told}; `run.py data` leaves them out with "
                "--drop-missing, unless the data come split"
            )
