"""A memory of earlier batches' views, for more negatives than a batch has."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.tasks.step import Batch

NO_ROW = -1  # of a key that was saved before the queue kept rows


class KeyQueue(nn.Module):
    """The last `size` views that were contrasted, without gradient: MoCo's dictionary as a queue.

    He et al. 2020 (arXiv:1911.05722, section 3.2).  With `momentum`, a key is the second view as
    the moving average of its step made it, and the oldest is size / B steps old.  Without,
    departs: keys are both views as the model of their step made them, dropout included, so a key
    is up to size / 2B steps old and drifts from what the model would say now.

    keys:   [size, d]
    labels: [size, n] what marks rows as the same (target, user), n may be 0.
    rows:   [size, 2] the training row that each key is a view of (`rows_of`), so that a row does
            not meet its own key of an earlier epoch.
    pushed: how many keys were ever taken in; the buffers are saved, so a resumed run goes on as it
            was.  Weights of an older version have no rows: their keys are then of no row.
    """

    keys: Tensor
    labels: Tensor
    rows: Tensor
    pushed: Tensor

    def __init__(self, size: int, dim: int, labels: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(size, dim))
        self.register_buffer("labels", torch.zeros(size, labels, dtype=torch.int64))
        self.register_buffer("rows", torch.full((size, 2), NO_ROW))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *more: Any) -> None:
        """An older version's weights can be evaluated, which reads no queue."""
        state_dict.setdefault(f"{prefix}rows", torch.full_like(self.rows, NO_ROW))
        super()._load_from_state_dict(state_dict, prefix, *more)

    def filled(self) -> Tensor:
        """[size] bool: places that hold a key."""
        return torch.arange(len(self.keys), device=self.keys.device) < self.pushed

    @torch.no_grad()
    def push(self, keys: Tensor, labels: Tensor, rows: Tensor) -> None:
        """keys [N, d], labels [N, n] and rows [N, 2] take the places of the oldest; the last
        `size` stay."""
        size = len(self.keys)
        keys, labels, rows = keys[-size:], labels[-size:], rows[-size:]
        place = (self.pushed + torch.arange(len(keys), device=keys.device)) % size
        self.keys.index_copy_(0, place, keys)
        self.labels.index_copy_(0, place, labels)
        self.rows.index_copy_(0, place, rows)
        self.pushed += len(keys)


def rows_of(batch: Batch) -> Tensor:
    """[B, 2]: what tells the rows of a batch from all other training rows.

    The user, and the place of the target in the training split; where nobody has looked for the
    place (RecBole's Trainer), the target itself, which two rows of a user may have in common.
    Not the user alone: with `examples: prefixes` a user has many rows, which are negatives of
    each other in a batch, too, unless `false_negatives` names the user.
    """
    targets = batch.targets if batch.target_at is None else batch.target_at
    return torch.stack([batch.users, targets], dim=1)
