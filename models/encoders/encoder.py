"""What an encoder is to the rest of the code, and the fields that all encoders share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class EncoderConfig:
    """Fields that every encoder has."""

    dim: int = 64
    """d, the size of item embeddings and history representations."""
    layers: int = 2
    """Number of stacked blocks."""
    dropout: float = 0.5
    """Probability of zeroing an element of the input and of each block's output."""
    max_length: int = 50
    """L, the most recent items of a history that are read."""
    init_std: float = 0.02
    """Standard deviation of the normal initialisation of all weight matrices."""

    def __post_init__(self) -> None:
        for name in ("dim", "layers", "max_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")
        if not 0.0 < self.init_std < float("inf"):
            raise ValueError(f"init_std must be positive, got {self.init_std}")

    def build(self) -> Encoder:
        """The encoder these fields describe, with freshly drawn weights."""
        raise NotImplementedError


class Encoder(nn.Module):
    """Reads embedded histories from left to right.

    One that sets `reads_times` is given a fourth argument, the items' times: [B, L] int64, 0 at
    padding, or None where the data have none.

    forward(x [B, L, d], lengths [B], last_only) returns the state at every position [B, L, d],
    or at the last real one [B, d].  The state at a position depends on no later position, so
    right padding needs no mask.  States at padding positions are meaningless.
    """

    reads_times = False

    def forward(self, x: Tensor, lengths: Tensor, last_only: bool) -> Tensor:
        raise NotImplementedError


def initialise(module: nn.Module, std: float) -> None:
    """Matrices from N(0, std^2), biases zero, layer norms the identity (as RecBole's SASRec)."""
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Embedding)):
            nn.init.normal_(part.weight, std=std)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)


def at_last(states: Tensor, lengths: Tensor) -> Tensor:
    """The state at each row's last real position: [B, L, d] -> [B, d]."""
    return states[torch.arange(len(lengths), device=lengths.device), lengths - 1]
