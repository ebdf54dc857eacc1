"""Read interactions in one of the forms that are trained on."""

from __future__ import annotations

from pathlib import Path

from experiments.data.interactions import Interactions, Ties
from experiments.data.reading.layout import CANDIDATES, Columns
from experiments.data.reading.source import LOOK, Source

TABLES = (".inter", ".csv", ".tsv")


def read_interactions(path: Path, columns: Columns | None = None) -> Interactions:
    """All interactions of a file in one of the forms that are trained on.

    `.inter`, `.csv` and `.tsv` files, any file whose header names the columns, and any whose
    columns are named, are tables with a row per interaction (`read_table`); others have a line
    per user, or per interaction (`read_text`).
    Errors: UsageError, in one line, for whatever is wrong with the file.
    """
    source = Source(path)
    if columns is None and path.suffix not in TABLES and not has_header(source):
        from experiments.data.reading.read_text import read_text

        return read_text(source)
    from experiments.data.reading.read_table import read_table  # pandas: half a second

    return read_table(path, columns or Columns())


def ordered(interactions: Interactions, ties: Ties) -> Interactions:
    """With one user's interactions at the same time in the file's order, or in a drawn one.

    Errors: UsageError for ties to be shuffled in a file without times.
    """
    return interactions.with_ties_shuffled() if ties == "shuffled" else interactions


def has_header(source: Source) -> bool:
    """Whether the first line names the columns user_id and item_id."""
    with source.opened() as file:
        head = file.read(LOOK).removeprefix(b"\xef\xbb\xbf").lstrip()
        line = head.replace(b"\r", b"\n").split(b"\n", 1)[0]
    for separator in CANDIDATES:
        names = {name.split(b":")[0].strip(b' "') for name in line.split(separator.encode())}
        if {b"user_id", b"item_id"} <= names:
            return True
    return False
