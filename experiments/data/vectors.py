"""Matrices of item vectors in files, a row an item, with the ids of the rows next to them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.errors import UsageError
from experiments.storage.checkpoint import read_weights
from experiments.storage.files import read_text

Vectors = NDArray[np.float32]


def matched_vectors(path: Path, ids: list[str]) -> Vectors:
    """[len(ids), f]: each item's vector, 0 where the file has none.  A row of 0 says nothing.

    The rows' ids are in FILE.ids.txt next to FILE.npy, one a line, as `export` writes them.
    Without it there must be a row for every item in the order of its number, with or without
    one for padding in front.
    """
    table = FORMATS[path.suffix](path)
    if table.ndim != 2 or table.dtype.kind not in "fiu" or 0 in table.shape:
        raise UsageError(f"{path}: expected a matrix of numbers, got {table.dtype} {table.shape}")
    named = ids_file(path)
    if os.path.isfile(named):
        place = {name: row for row, name in enumerate(read_ids(named, len(table)))}
        rows = np.array([place.get(item, -1) for item in ids])
        return np.where(rows[:, None] >= 0, finite(path, table)[rows], np.float32(0))
    if len(table) not in (len(ids), len(ids) + 1):
        raise UsageError(
            f"{path}: {len(table)} rows for {len(ids)} items; give one for each, or the item ids "
            f"in {named.name}, one a line"
        )
    return finite(path, table)[-len(ids) :]


def finite(path: Path, table: NDArray[Any]) -> Vectors:
    """The numbers in float32. Errors: UsageError when one is not finite there."""
    with np.errstate(over="ignore"):
        rows = table.astype(np.float32)
    if not np.isfinite(rows).all():
        raise UsageError(f"{path}: a value is not finite in float32")
    return rows


def ids_file(vectors: Path) -> Path:
    """Where the ids of a file's rows are: items.ids.txt for items.npy."""
    return vectors.with_name(f"{vectors.stem}.ids.txt")


def read_ids(path: Path, rows: int) -> list[str]:
    """One id for each row. Errors: UsageError for another number, or an id that comes twice."""
    names = [line.rstrip("\r") for line in read_text(path).rstrip("\n").split("\n")]
    if len(names) != rows:
        raise UsageError(f"{path}: {len(names)} ids for {rows} rows")
    if len(set(names)) < rows:
        ((twice, _),) = Counter(names).most_common(1)
        raise UsageError(f"{path}: the id {twice!r} is there twice")
    return names


def read_npy(path: Path) -> NDArray[Any]:
    """The array, mapped: a file that is shorter than its header claims is refused before any
    memory is taken, and so are pickled objects."""
    try:
        table: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # a header is a Python literal: it is wrong in many ways
        raise UsageError(f"{path}: not readable as .npy ({error})") from None
    return table


def read_safetensors(path: Path) -> NDArray[Any]:
    """The only tensor of the file."""
    tensors = read_weights(path)
    if len(tensors) != 1:
        raise UsageError(f"{path}: expected one tensor, found {len(tensors)}")
    table: NDArray[Any] = next(iter(tensors.values())).float().numpy()
    return table


FORMATS: dict[str, Callable[[Path], NDArray[Any]]] = {
    ".npy": read_npy,
    ".safetensors": read_safetensors,
}
