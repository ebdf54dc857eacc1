"""The model as an epoch begins, for what is mined from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from augment import Sequences, TrainHistories
from augment.examples import histories_at, numbered

Pooling = Literal["last", "mean", "concat", "padded", "mean_padded"]
"""One vector for a history: the state at its last real item, [d]; the mean over real items,
[d]; all states side by side, the last item's at the end and zeros before the first, [L * d]
with L the most items that are read; padded: the same with the states of padding as the encoder
makes them (CoSeRec's and ICLRec's code); mean_padded: the mean of these L (ICLRec's code)."""
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
        offsets = self.train.offsets.numpy()
        return self.of(offsets[1:], np.diff(offsets), pooling)

    def prefixes(self, pooling: Pooling, most: int, rng: Generator) -> Tensor:
        """[P, d]: of every prefix of the split that something follows, its latest max_length.

        most: rng draws so many of them where there are more.
        """
        before = numbered(np.diff(self.train.offsets.numpy()))[1]
        at = np.flatnonzero(before)
        if len(at) > most:
            drawn = torch.rand(len(at), generator=rng, device=rng.device).argsort()[:most]
            at = at[np.sort(drawn.cpu().numpy())]
        return self.of(at, before[at], pooling)

    def of(self, stops: NDArray[np.int64], counts: NDArray[np.int64], pooling: Pooling) -> Tensor:
        """[N, d]: the `counts` items before each of `stops` in the split, the latest of them."""
        device = self.items.device
        lengths = np.minimum(counts, self.max_length)
        starts = stops - lengths
        order = np.argsort(lengths, kind="stable")
        items = self.train.items.to(device)
        times = None if self.train.times is None else self.train.times.to(device)
        vectors = []
        for first in range(0, len(order), ROWS):
            rows = order[first : first + ROWS]
            histories = histories_at(items, times, starts[rows], lengths[rows])
            vectors.append(self.encode(histories, pooling))
        place = torch.from_numpy(np.argsort(order, kind="stable")).to(device)
        return torch.cat(vectors)[place]
