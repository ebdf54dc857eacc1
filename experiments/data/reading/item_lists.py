"""Fields that hold several items: those of one row, and those of a user before the file begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from experiments.data.interactions import TimeArray
from experiments.data.reading.recipe import Recipe


def unrolled(chunk: pd.DataFrame, recipe: Recipe) -> tuple[pd.DataFrame, int]:
    """A row for each item of a field, and how many items there were before any was left out.

    Only items with the recipe's suffix stay, without it.
    """
    texts = chunk["item"].astype(str).str.split(recipe.item_separator)
    rows = chunk.assign(item=texts).explode("item")
    rows = rows[rows["item"].fillna("") != ""]
    count = len(rows)
    if recipe.item_suffix is not None:
        rows = rows[rows["item"].str.endswith(recipe.item_suffix)]
        rows = rows.assign(item=rows["item"].str.removesuffix(recipe.item_suffix))
    return rows, count


class PastItems:
    """The items that users had before their first row."""

    def __init__(self, recipe: Recipe) -> None:
        self.separator = recipe.item_separator
        self.first: dict[str, tuple[Any, str]] = {}  # user -> time of a first row, its history

    def add(self, chunk: pd.DataFrame, times: TimeArray) -> None:
        """Look at the history of each user's first row of a chunk."""
        rows = chunk[["user", "history"]].assign(time=times)
        rows = rows.sort_values("time", kind="stable").drop_duplicates("user")
        for user, history, time in rows.itertuples(index=False, name=None):
            if str(user) not in self.first or time < self.first[str(user)][0]:
                self.first[str(user)] = (time, str(history))

    def rows(self, second: int) -> tuple[pd.Series[Any], pd.Series[Any], TimeArray]:
        """User, item and time of each: oldest first, a second apart, the last a second before
        the user's first row."""
        users, items, times = [], [], []
        for user, (time, history) in self.first.items():
            before = [item for item in history.split(self.separator) if item]
            users += [user] * len(before)
            items += before
            times += [time - second * (len(before) - place) for place in range(len(before))]
        return pd.Series(users, dtype=object), pd.Series(items, dtype=object), np.array(times)
