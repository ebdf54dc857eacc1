"""Frozen vectors that describe items."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ItemFeatures:
    """What is known about items beside who chose them: text, image, categories.

    vectors: [num_items + 1, f] float32; row i is item i, row 0 is padding.
    known:   [num_items + 1] bool; False where there are no features, the vector is 0 there.
    """

    vectors: Tensor
    known: Tensor
