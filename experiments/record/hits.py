"""The rank of every target in a line of the results, as compact text: what paired tests need."""

from __future__ import annotations

import base64
import zlib

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
LOWEST = 20  # ranks below are not kept: no metric looks further


def encode_hits(ranks: FloatArray) -> str:
    """Every target's rank where it is at most 20, as compact text.

    ranks: [targets], at least 1, halves where scores tie, inf where there is none.  A byte each:
    twice the rank, or 0 for a rank beyond 20.
    """
    hit = ranks <= LOWEST
    doubled = np.where(hit, 2 * ranks, 0).astype(np.uint8)
    return base64.b85encode(zlib.compress(doubled.tobytes(), 9)).decode("ascii")


def decode_hits(text: str, targets: int) -> FloatArray:
    """[targets] ranks, inf beyond 20.  ValueError for a text that does not hold that many."""
    try:
        doubled = np.frombuffer(zlib.decompress(base64.b85decode(text)), np.uint8)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"hits cannot be read ({error})") from None
    if len(doubled) != targets:
        raise ValueError(f"hits are of {len(doubled)} targets, not of {targets}")
    return np.where(doubled > 0, doubled / 2, np.inf)


def encode_counts(counts: NDArray[np.int64]) -> str:
    """How many targets each user has, user after user, as compact text."""
    return base64.b85encode(zlib.compress(counts.astype("<u4").tobytes(), 9)).decode("ascii")


def decode_counts(text: str) -> NDArray[np.int64]:
    """[users] ValueError for a text that `encode_counts` did not write."""
    try:
        counts = np.frombuffer(zlib.decompress(base64.b85decode(text)), "<u4")
    except (ValueError, zlib.error) as error:
        raise ValueError(f"counts cannot be read ({error})") from None
    return counts.astype(np.int64)
