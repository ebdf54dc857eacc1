"""What is made of the states at every position of a history."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from augment import Sequences
from models.encoders.encoder import at_last

Want = Literal["last", "mean", "concat", "all", "padded", "mean_padded", "scored"]
"""What is wanted of a history; `passes.Request` says what each is."""


def pooled(states: Tensor, histories: Sequences, want: Want, positions: int) -> Tensor:
    """States at every position, [B, L, d], as they are wanted; positions: of a concat."""
    if want == "all":
        return states
    if want == "last":
        return at_last(states, histories.lengths)
    if want == "concat":
        return side_by_side(states, histories.lengths, positions)
    return mean_over_real(states, histories)


def mean_over_real(states: Tensor, histories: Sequences) -> Tensor:
    """[B, L, d] -> [B, d]: the mean over each row's real items."""
    real = histories.real()[:, :, None]  # [B, L, 1]
    return torch.where(real, states, 0.0).sum(dim=1) / histories.lengths[:, None]


def side_by_side(states: Tensor, lengths: Tensor, positions: int) -> Tensor:
    """[B, L, d] -> [B, positions * d]: right-aligned, so that the latest items meet; else 0."""
    column = torch.arange(positions, device=states.device)[None, :]
    source = column - (positions - lengths[:, None])  # [B, positions]
    index = source.clamp(min=0, max=states.shape[1] - 1)[:, :, None]
    moved = states.gather(1, index.expand(-1, -1, states.shape[2]))  # [B, positions, d]
    return torch.where(source[:, :, None] >= 0, moved, 0.0).flatten(1)
