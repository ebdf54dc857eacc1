"""Every user's rank in a line of the results, as compact text: what paired tests need."""

from __future__ import annotations

import base64
import zlib

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
LOWEST = 20  # ranks below are not kept: no metric looks further


def encode_hits(ranks: FloatArray) -> str:
    """Every user's rank where it is at most 20, as compact text.

    ranks: [users], at least 1, halves where scores tie, inf where there is none.  A byte a user:
    twice the rank, or 0 for a rank beyond 20.
    """
    hit = ranks <= LOWEST
    doubled = np.where(hit, 2 * ranks, 0).astype(np.uint8)
    return base64.b85encode(zlib.compress(doubled.tobytes(), 9)).decode("ascii")


def decode_hits(text: str, users: int) -> FloatArray:
    """[users] ranks, inf beyond 20.  ValueError for a text that does not hold that many."""
    try:
        doubled = np.frombuffer(zlib.decompress(base64.b85decode(text)), np.uint8)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"hits cannot be read ({error})") from None
    if len(doubled) != users:
        raise ValueError(f"hits are of {len(doubled)} users, not of {users}")
    return np.where(doubled > 0, doubled / 2, np.inf)
