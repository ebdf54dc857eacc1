"""Read interactions in any of the three forms."""

from __future__ import annotations

from pathlib import Path

from experiments.data.histories import Histories
from experiments.data.interactions import Interactions, Ties
from experiments.data.layout import Columns
from experiments.data.read_text import read_text

TABLES = (".inter", ".csv", ".tsv")


def read_interactions(path: Path, columns: Columns | None = None) -> Interactions:
    """All interactions of a file.

    `.inter`, `.csv` and `.tsv` files, and any file whose columns are named, are tables with a
    row per interaction (`read_table`); others have a line per user (`read_text`).
    Errors: UsageError, in one line, for whatever is wrong with the file.
    """
    if columns is None and path.suffix not in TABLES:
        return read_text(path)
    from experiments.data.read_table import read_table  # pandas: half a second

    return read_table(path, columns)


def read(path: Path, name: str, columns: Columns | None = None, ties: Ties = "file") -> Histories:
    """The histories of data set `name`: users with at least three interactions.

    ties: the order of one user's interactions at the same time, the file's or a drawn one.
    Errors: as `read_interactions`; UsageError when no user has three, and for ties to be
    shuffled in a file without times.
    """
    return ordered(read_interactions(path, columns), ties).histories(name)


def ordered(interactions: Interactions, ties: Ties) -> Interactions:
    """With one user's interactions at the same time in the order that `ties` says."""
    return interactions.with_ties_shuffled() if ties == "shuffled" else interactions
