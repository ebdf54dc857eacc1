"""Turn a column of times, written as numbers or ISO dates, into numbers that sort."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from experiments.data.ids import shown
from experiments.data.interactions import BoolArray, TimeArray
from experiments.errors import UsageError

_SECOND = 1_000_000_000  # nanoseconds


class TimeParser:
    """Parse a long column chunk by chunk; its first value says whether it holds dates.

    Whole numbers stay exact; dates become nanoseconds since 1970 (UTC).
    """

    def __init__(self, where: str) -> None:
        self.where = where  # file and column, for messages
        self.dates: bool | None = None
        self.rows = 0  # parsed so far

    def parse(self, column: pd.Series[Any]) -> TimeArray:
        """[rows] Errors: UsageError with the row of the first time that is none."""
        if self.dates is None:
            first = pd.to_numeric(pd.Series([str(column.iloc[0])]), errors="coerce")
            self.dates = bool(first.isna().iloc[0])
        times, wrong = _as_dates(column) if self.dates else _as_numbers(column)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise UsageError(
                f"{self.where}, row {self.rows + at + 1} below the header: "
                f"{shown(str(column.iloc[at]))} is {self._problem(self.rows + at)}"
            )
        self.rows += len(times)
        return times

    def _problem(self, row: int) -> str:
        if row == 0:
            return "neither a number nor an ISO date such as 2014-07-23"
        return f"not {'an ISO date' if self.dates else 'a number'} like the times above it"

    def seconds(self, times: TimeArray) -> TimeArray:
        """Dates as seconds since 1970, whole ones as integers; numbers as they are."""
        if not self.dates:
            return times
        return times // _SECOND if (times % _SECOND == 0).all() else times / _SECOND


def _as_numbers(column: pd.Series[Any]) -> tuple[TimeArray, BoolArray]:
    """[rows] numbers, and where there is none."""
    if column.dtype.kind not in "iuf":
        column = pd.to_numeric(column.astype(str), errors="coerce")
    numbers: TimeArray = column.to_numpy()
    return numbers, ~np.isfinite(numbers)


def _as_dates(column: pd.Series[Any]) -> tuple[TimeArray, BoolArray]:
    """[rows] nanoseconds since 1970, and where there is no date."""
    text = column.astype(str)
    dates = pd.DatetimeIndex(pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce"))
    word = ~text.str.match(r"\d").to_numpy()  # pandas takes "now" and "today" for dates
    return dates.as_unit("ns").asi8, np.asarray(dates.isna()) | word
