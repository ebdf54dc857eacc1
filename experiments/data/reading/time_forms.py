"""Turn a column of times, written as numbers or dates, into numbers that sort."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from experiments.data.ids import is_missing, shown
from experiments.data.interactions import BoolArray, TimeArray
from experiments.errors import UsageError

NANOSECONDS = 1_000_000_000
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000}  # in a second
BETWEEN = {"s": (1e8, 5e9), "ms": (1e11, 5e12), "us": (1e14, 5e15)}  # from 1973 to 2128
SAID = {
    "number": "numbers, kept as they are",
    "s": "seconds since 1970",
    "ms": "milliseconds since 1970",
    "us": "microseconds since 1970",
    "iso": "ISO dates",
}
ONE_OF_THEM = {"number": "a number", "iso": "an ISO date"}


class TimeParser:
    """Parse a long column chunk by chunk; where nothing is said, its first chunk says what it is.

    Whole numbers stay exact; dates become nanoseconds since 1970 (UTC). A number is in a unit
    when it is a time between 1973 and 2128 in it.
    """

    def __init__(self, where: str, form: str, place: Callable[[int], str]) -> None:
        self.where = where  # file and column, for messages
        self.form = form  # of Recipe.time_format, or plain: numbers as they are, or ISO dates
        self.looked = form == "auto"
        self.told_by_file = form in ("auto", "plain")
        self.place = place  # the label of a row -> where it is

    @property
    def second(self) -> int:
        """How much a second is in what `parse` returns."""
        return UNITS.get(self.form, 1) if self.numeric else NANOSECONDS

    @property
    def numeric(self) -> bool:
        return self.form == "number" or self.form in UNITS

    def __str__(self) -> str:
        return SAID.get(self.form, f"dates in the form {self.form}")

    def parse(self, column: pd.Series[Any]) -> TimeArray:
        """[rows] Errors: UsageError with the line of the first time that is none."""
        if not len(column):
            return np.empty(0, np.int64)
        opening = self.form in ("auto", "plain")
        if opening:
            self.form = _form(column, in_units=self.looked)
        times, wrong = _numbers(column) if self.numeric else _dates(column, self.form)
        if wrong.any():
            raise self._refused(column, wrong, opening)
        if self.looked and self.numeric:
            self._check_unit(column, times)
        return times

    def seconds(self, times: TimeArray) -> TimeArray:
        """Seconds since 1970, whole ones as integers; numbers in no unit as they are."""
        if self.second == 1:
            return times
        if times.dtype.kind == "f":
            return times / self.second
        whole, rest = np.divmod(times, self.second)
        return whole + rest / self.second if rest.any() else whole

    def _check_unit(self, column: pd.Series[Any], times: TimeArray) -> None:
        """Errors: UsageError for a number that must be in another unit than those before it."""
        for unit, (low, high) in BETWEEN.items():
            if unit != self.form and not (unit == "s" and self.form == "number"):
                other = (abs(times) >= low) & (abs(times) <= high)
                if other.any():
                    raise self._mixed(column, other, unit)

    def _mixed(self, column: pd.Series[Any], wrong: BoolArray, unit: str) -> UsageError:
        at = int(np.argmax(wrong))
        row = self.place(int(column.index[at]))
        return UsageError(
            f"{self.where}, {row}: {shown(str(column.iloc[at]))} seems to be in {SAID[unit]}, the "
            f"times above it in {SAID[self.form]}; --time-format takes all in one"
        )

    def _refused(self, column: pd.Series[Any], wrong: BoolArray, opening: bool) -> UsageError:
        at = int(np.argmax(wrong))
        token = shown(str(column.iloc[at]))
        row = self.place(int(column.index[at]))
        if is_missing(str(column.iloc[at])):
            problem = "stands for no time; `run.py data` leaves such rows out with --drop-missing"
        elif column.dtype.kind == "M":
            problem = "lies outside the years 1678 to 2261, which nanoseconds can hold"
        elif opening and at == 0:
            problem = (
                "is neither a number nor an ISO date such as 2014-07-23; --time-format takes "
                "a pattern such as %d/%m/%Y"
            )
        elif not self.numeric and self.form != "iso":
            problem = f"is not a date in the form {self.form}"
        else:
            kind = ONE_OF_THEM.get(self.form, f"a number of {SAID.get(self.form, 'seconds')}")
            problem = f"is not {kind}{' like the times above it' if self.told_by_file else ''}"
        return UsageError(f"{self.where}, {row}: {token} {problem}")


def _form(column: pd.Series[Any], in_units: bool) -> str:
    """iso, number, or the unit of the first number that is a time in one."""
    if pd.isna(pd.to_numeric(pd.Series([str(column.iloc[0])]), errors="coerce").iloc[0]):
        return "iso"
    if not in_units:
        return "number"
    numbers, wrong = _numbers(column)
    numbers = abs(numbers[~wrong])
    for number in [*numbers[:1000].tolist(), numbers.max(initial=0)]:
        for unit, (low, high) in BETWEEN.items():
            if low <= number <= high:
                return unit
    return "number"


def _numbers(column: pd.Series[Any]) -> tuple[TimeArray, BoolArray]:
    """[rows] numbers, and where there is none."""
    if column.dtype.kind not in "iuf":
        column = pd.to_numeric(column.astype(str), errors="coerce")
    numbers: TimeArray = column.to_numpy()
    return numbers, ~np.isfinite(numbers)


def _dates(column: pd.Series[Any], form: str) -> tuple[TimeArray, BoolArray]:
    """[rows] nanoseconds since 1970, and where there is no date."""
    if column.dtype.kind == "M":
        return _moments(column)
    text = column.astype(str)
    pattern = "ISO8601" if form == "iso" else form
    try:
        dates = pd.DatetimeIndex(pd.to_datetime(text, format=pattern, utc=True, errors="coerce"))
    except ValueError as error:  # of the pattern: times that do not fit it are coerced
        raise UsageError(f"--time-format {form}: {' '.join(str(error).split())}") from None
    wrong = np.asarray(dates.isna())
    if form == "iso":
        wrong |= ~text.str.match(r"\d").to_numpy()  # pandas takes "now" and "today" for dates
    return dates.as_unit("ns").asi8, wrong


def _moments(column: pd.Series[Any]) -> tuple[TimeArray, BoolArray]:
    """The same of a column of timestamps; one that nanoseconds cannot hold is none."""
    dates = pd.DatetimeIndex(pd.to_datetime(column, utc=True))
    lowest, highest = pd.Timestamp.min.tz_localize("UTC"), pd.Timestamp.max.tz_localize("UTC")
    wrong = np.asarray(dates.isna() | (dates < lowest) | (dates > highest))
    return dates.where(~wrong, pd.NaT).as_unit("ns").asi8, wrong
