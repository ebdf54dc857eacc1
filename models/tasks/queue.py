"""A memory of earlier batches' views, for more negatives than a batch has."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class KeyQueue(nn.Module):
    """The last `size` views that were contrasted, without gradient: MoCo's dictionary as a queue.

    He et al. 2020 (arXiv:1911.05722, section 3.2).  With `momentum`, a key is the second view as
    the moving average of its step made it, and the oldest is size / B steps old.  Without,
    departs: keys are both views as the model of their step made them, dropout included, so a key
    is up to size / 2B steps old and drifts from what the model would say now.

    keys:   [size, d]
    labels: [size, n] what marks rows as the same (target, user), n may be 0.
    pushed: how many keys were ever taken in; the buffers are saved, so a resumed run goes on as it
            was.
    """

    keys: Tensor
    labels: Tensor
    pushed: Tensor

    def __init__(self, size: int, dim: int, labels: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(size, dim))
        self.register_buffer("labels", torch.zeros(size, labels, dtype=torch.int64))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))

    def filled(self) -> Tensor:
        """[size] bool: places that hold a key."""
        return torch.arange(len(self.keys), device=self.keys.device) < self.pushed

    @torch.no_grad()
    def push(self, keys: Tensor, labels: Tensor) -> None:
        """keys [N, d] and labels [N, n] take the places of the oldest; the last `size` stay."""
        size = len(self.keys)
        keys, labels = keys[-size:], labels[-size:]
        place = (self.pushed + torch.arange(len(keys), device=keys.device)) % size
        self.keys.index_copy_(0, place, keys)
        self.labels.index_copy_(0, place, labels)
        self.pushed += len(keys)
