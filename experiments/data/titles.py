"""The titles of items, in a RecBole `.item` file."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pandas as pd

from experiments.data.ids import CONTROL
from experiments.data.layout import Layout, read_layout
from experiments.errors import UsageError
from experiments.storage.files import check_lines, opened


def read_titles(path: Path) -> dict[str, str]:
    """Item id -> title, with the year as in "Heat (1995)" where there is a release year.
    White space and control characters in a title count as one space.

    The title is the first column whose name ends in `title`. No such file or column: no
    titles. Errors: UsageError for a file that is not a table.
    """
    if not os.path.isfile(path):
        return {}
    layout = read_layout(path)
    title = next((name for name in layout.names if name.lower().endswith("title")), None)
    if title is None:
        return {}
    table = text_table(path, layout)
    items = table[layout.position(path, "item_id", "item")]
    titles = table[layout.names.index(title)].str.strip()
    if "release_year" in layout.names:
        year = table[layout.names.index("release_year")].str.strip()
        dated = year.str.fullmatch("[0-9]{4}") & (titles != "")
        titles = titles.where(~dated, titles + " (" + year + ")")
    return {
        str(i): " ".join(CONTROL.sub(" ", name).split())
        for i, name in zip(items, titles, strict=True)
        if CONTROL.sub(" ", name).strip()
    }


def text_table(path: Path, layout: Layout) -> pd.DataFrame:
    """All columns as text, named by position."""
    check_lines(path)
    try:
        with opened(path) as file:
            return pd.read_csv(
                file,
                sep=layout.separator,
                quoting=csv.QUOTE_NONE,
                header=0,
                names=range(len(layout.names)),
                usecols=range(len(layout.names)),
                index_col=False,
                dtype=str,
                na_filter=False,
            )
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} is not a well-formed table of items: {reason}") from None
