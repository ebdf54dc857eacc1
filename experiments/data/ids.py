"""What may be an id, and in which order ids are numbered."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from experiments.data.histories import IntArray

MISSING = ("", "NA", "N/A", "<NA>", "null", "NULL", "NaN", "nan", "None", "\\N")
LONGEST = 256  # characters; one endless id would widen the whole array of ids

_INTEGER = re.compile(r"-?[0-9]{1,18}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # what breaks a table or steers a terminal


def is_missing(name: str) -> bool:
    """Whether a field stands for a missing value, with or without blanks around it."""
    return name.strip() in MISSING


def id_order(ids: NDArray[np.str_]) -> IntArray:
    """[n] positions that sort the ids: by number if all are integers, else by character.

    Ids that are the same number ("7", "07") are sorted by character.
    """
    if all(_INTEGER.fullmatch(name) for name in ids.tolist()):
        return np.lexsort((ids, ids.astype(np.int64)))
    return np.argsort(ids, kind="stable")


def in_id_order(ids: NDArray[np.str_]) -> tuple[NDArray[np.str_], IntArray]:
    """The distinct ids in `id_order`, and the number of each of [N] ids among them."""
    distinct, numbers = np.unique(ids, return_inverse=True)
    order = id_order(distinct)
    return distinct[order], np.argsort(order)[numbers]


def unusable(ids: Iterable[str]) -> tuple[str, str] | None:
    """The first id that cannot be one, and why; None when all are fine."""
    for name in ids:
        if not name.strip():
            return name, "is empty"
        if len(name) > LONGEST:
            return name, f"has {len(name):,} characters; an id has at most {LONGEST}"
        if CONTROL.search(name):
            return name, "holds a control character (a tab or a line break?)"
    return None


def shown(token: str | bytes, longest: int = 40) -> str:
    """A token for a message: quoted, on one line, and shortened."""
    more = "..." if len(token) > longest else ""
    start = token[:longest]
    if isinstance(start, str):
        return repr(start) + more
    try:
        return repr(start.decode()) + more
    except UnicodeDecodeError:
        return repr(start)[1:] + more  # the bytes, as in '\xff'
