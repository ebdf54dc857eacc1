"""Filters on columns: one of some values, or a number that is large enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from experiments.data.histories import IntArray
from experiments.data.ids import shown
from experiments.data.interactions import BoolArray
from experiments.data.reading.recipe import Recipe
from experiments.errors import UsageError

MOST_SHOWN = 10  # values of a column, in a message


class RowFilters:
    """The `keep` and `min` of a recipe, on the columns `filter NAME` of a chunk."""

    def __init__(self, recipe: Recipe, source: str, place: Callable[[int], str]) -> None:
        self.keep, self.min = recipe.keep, recipe.min
        self.source, self.place = source, place
        self.passing = dict.fromkeys(self.keep, 0)
        self.met: dict[str, dict[str, None]] = {name: {} for name in self.keep}

    @property
    def labels(self) -> list[str]:
        """What each filter asks for, in the order of `passed`."""
        kept = [f"{name} is {' or '.join(values)}" for name, values in self.keep.items()]
        return [*kept, *(f"{name} >= {bound:g}" for name, bound in self.min.items())]

    def passed(self, chunk: pd.DataFrame) -> list[BoolArray]:
        """For each filter: [rows] whether it lets a row pass."""
        kept = [self._one_of(chunk, name, values) for name, values in self.keep.items()]
        asked = np.logical_and.reduce(kept) if kept else np.ones(len(chunk), dtype=np.bool_)
        bounds = self.min.items()
        return [*kept, *(self._at_least(chunk, name, least, asked) for name, least in bounds)]

    def check(self) -> None:
        """Errors: UsageError for values that no row has; it names those that there are."""
        for name, values in self.keep.items():
            if not self.passing[name]:
                there = [shown(value) for value in list(self.met[name])[:MOST_SHOWN]]
                raise UsageError(
                    f"{self.source}: no row has {name} {' or '.join(map(repr, values))}; "
                    f"the column holds {', '.join(there)}"
                )

    def _one_of(self, chunk: pd.DataFrame, name: str, values: tuple[str, ...]) -> BoolArray:
        codes, texts = distinct(chunk[f"filter {name}"])
        if len(self.met[name]) < MOST_SHOWN:
            self.met[name].update(dict.fromkeys(texts[:MOST_SHOWN]))
        passed = np.array([text in values for text in texts], dtype=bool)[codes]
        self.passing[name] += int(passed.sum())
        return passed

    def _at_least(
        self, chunk: pd.DataFrame, name: str, least: float, asked: BoolArray
    ) -> BoolArray:
        """asked: [rows] those that `keep` lets pass; only they must hold a number."""
        codes, texts = distinct(chunk[f"filter {name}"])
        numbers = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce")
        of_rows = numbers.to_numpy(dtype=float)[codes]
        if (wrong := np.isnan(of_rows) & asked).any():
            at = int(wrong.argmax())
            raise UsageError(
                f"{self.source}, {self.place(int(chunk.index[at]))}: the {name} "
                f"{shown(texts[codes[at]])} is not a number, so not known to be {least:g} or more"
            )
        enough: BoolArray = of_rows >= least
        return enough


def distinct(column: pd.Series[Any]) -> tuple[IntArray, list[str]]:
    """[rows] which of the distinct values each row has, and these, as text."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, values = column.cat.codes.to_numpy(), column.cat.categories
    else:
        codes, values = pd.factorize(column, use_na_sentinel=False)
    if getattr(values, "dtype", None) is not None and values.dtype.kind == "f":
        return codes, [str(int(x)) if x.is_integer() else str(x) for x in values.tolist()]
    return codes, [str(value) for value in values]
