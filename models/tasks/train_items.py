"""The training split to cut histories from."""

from __future__ import annotations

from torch import Tensor, nn

from augment import Sequences, TrainHistories
from augment.sequences import cut_histories


class TrainItems(nn.Module):
    """The training split's items and times, one after the other, to cut histories from."""

    items: Tensor
    times: Tensor | None

    def __init__(self, train: TrainHistories) -> None:
        super().__init__()
        self.register_buffer("items", train.items, persistent=False)
        self.register_buffer("times", train.times, persistent=False)

    def cut(self, start: Tensor, lengths: Tensor, width: int) -> Sequences:
        """The slices [start, start + lengths), [B] each, padded to [B, width]."""
        return cut_histories(self.items, self.times, start, lengths, width)
