"""The model as an epoch begins, for what is mined from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from augment import Sequences, TrainHistories
from augment.sequences import cut_histories

Pooling = Literal["last", "mean", "concat"]
"""One vector for a history: the state at its last real item, [d]; the mean over real items,
[d]; or all states side by side, the last item's at the end and zeros before the first, [L * d]
with L the most items that are read (CoSeRec)."""
ROWS = 1024  # histories encoded at once


@dataclass(frozen=True)
class Snapshot:
    """Representations without gradient and without dropout, computed when asked for.

    items:  [num_items, d] the embedding of item i + 1 in row i.
    encode: histories and a pooling to one vector each.
    """

    items: Tensor
    encode: Callable[[Sequences, Pooling], Tensor]
    train: TrainHistories
    max_length: int

    def histories(self, pooling: Pooling) -> Tensor:
        """[U, d]: each user's training history, its latest max_length items.

        [U, max_length * d] for concat.
        """
        device = self.items.device
        offsets = self.train.offsets.numpy()
        lengths = np.minimum(np.diff(offsets), self.max_length)
        starts = offsets[1:] - lengths
        order = np.argsort(lengths, kind="stable")
        items = self.train.items.to(device)
        times = None if self.train.times is None else self.train.times.to(device)
        vectors = []
        for first in range(0, len(order), ROWS):
            users = order[first : first + ROWS]
            length = torch.from_numpy(lengths[users]).to(device)
            start = torch.from_numpy(starts[users]).to(device)
            rows = cut_histories(items, times, start, length, int(lengths[users[-1]]))
            vectors.append(self.encode(rows, pooling))
        place = torch.from_numpy(np.argsort(order, kind="stable")).to(device)
        return torch.cat(vectors)[place]
