"""The titles of items: in a RecBole `.item` file, or in a raw file beside the interactions."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable

import pandas as pd

from experiments.data.ids import CONTROL
from experiments.data.reading.json_rows import RecordRows, record_form
from experiments.data.reading.layout import LOOKED_AT, Layout, layout_of
from experiments.data.reading.recipe import Recipe, Titles
from experiments.data.reading.scan import check_bytes, records
from experiments.data.reading.source import Source
from experiments.errors import UsageError


def read_titles(source: Source) -> dict[str, str]:
    """Item id -> title, with the year as in "Heat (1995)" where there is a release year.
    White space and control characters in a title count as one space.

    The title is the first column whose name ends in `title`. No such file or column: no
    titles. Errors: UsageError for a file that is not a table.
    """
    if not os.path.isfile(source.path):
        return {}
    layout = layout_of(source, Recipe())
    title = next((name for name in layout.names if name.lower().endswith("title")), None)
    if title is None:
        return {}
    table = text_table(source, layout)
    items = table[layout.position(source, "item_id", "item")]
    titles = table[layout.names.index(title)].str.strip()
    if "release_year" in layout.names:
        year = table[layout.names.index("release_year")].str.strip()
        dated = year.str.fullmatch("[0-9]{4}") & (titles != "")
        titles = titles.where(~dated, titles + " (" + year + ")")
    return clean(zip(items, titles, strict=True))


def titles_beside(source: Source, titles: Titles) -> tuple[Source, dict[str, str]] | None:
    """The raw file of titles beside a raw file of interactions, and what it says; None where
    there is no such file.

    A table that is not UTF-8 is taken as Latin-1. Errors: UsageError for a file that is not in the
    form that the recipe says.
    """
    beside = (source.beside(name) for name in titles.files)
    if (file := next((found for found in beside if found), None)) is None:
        return None
    with file.opened() as opened_file:
        start = opened_file.read(1)
    if titles.format in ("jsonl", "literal") or (titles.format == "auto" and start == b"{"):
        return file, _titles_of_records(file, titles)
    return file, _titles_of_table(file, titles)


def _titles_of_records(file: Source, titles: Titles) -> dict[str, str]:
    form = record_form(file) if titles.format == "auto" else titles.format
    columns = {"item": titles.item, "title": titles.title}
    pairs: list[tuple[str, str]] = []
    for chunk in RecordRows(file, form, columns):
        whole = chunk[chunk["title"].map(lambda title: isinstance(title, str))]
        pairs += zip(whole["item"].astype(str), whole["title"], strict=True)
    return clean(pairs)


def _titles_of_table(file: Source, titles: Titles) -> dict[str, str]:
    recipe = Recipe(
        user=titles.item, item=titles.title, time=None,
        separator=titles.separator, header=titles.header,
    )  # fmt: skip
    with file.opened() as opened_file:
        raw = opened_file.read()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    if not lines:
        return {}
    layout = layout_of(file, recipe, lines[:LOOKED_AT])
    at = layout.positions(file, {"item": titles.item, "title": titles.title})
    check_bytes(file, layout.separator if layout.quoted else None)
    if layout.quoted:
        rows = records(io.StringIO(text, newline=""), layout.separator)
    else:
        rows = (line.split(layout.separator) for line in lines)  # type: ignore[assignment]
    try:
        whole = [row for row in rows if len(row) > max(at.values())]
    except csv.Error as error:
        raise UsageError(f"{file} is not a well-formed table of items: {error}") from None
    return clean((row[at["item"]].strip(" "), row[at["title"]]) for row in whole[layout.header :])


def clean(titles: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Item -> title, on one line; items without a title left out."""
    on_one_line = ((str(item), " ".join(CONTROL.sub(" ", t).split())) for item, t in titles)
    return {item: title for item, title in on_one_line if title}


def text_table(source: Source, layout: Layout) -> pd.DataFrame:
    """All columns as text, named by position."""
    try:
        check_bytes(source, None)
        with source.opened() as file:
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
        raise UsageError(f"{source} is not a well-formed table of items: {reason}") from None
