"""What divides similarities: fixed, learned, or moved by a schedule."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

TemperatureMode = Literal["fixed", "learnable", "cosine"]
LEARNABLE = (0.01, 100.0)
"""A learned temperature stays within these: CLIP's bound (arXiv:2103.00020, section 2.5) is the
lower one."""


class Temperature(nn.Module):
    """The temperature of this moment: a number, or a tensor with a gradient where it is learned.

    learnable: a parameter holds its logarithm and is clamped before use, so that a step beyond
               the bound is taken back instead of killing the gradient.
    cosine:    half a cosine wave (arXiv:2303.13664 uses whole ones) from `start`, in the first
               epoch, to `end`, `epochs` epochs later and from then on.
    """

    def __init__(self, mode: TemperatureMode, start: float, end: float, epochs: int) -> None:
        super().__init__()
        self.mode, self.start, self.end, self.epochs = mode, start, end, epochs
        self.scheduled = start
        if mode == "learnable":
            self.log = nn.Parameter(torch.tensor(math.log(start)))

    def start_epoch(self, epoch: int) -> None:
        """Epochs count from 1; nothing but the number of the epoch decides."""
        if self.mode == "cosine":
            done = min((epoch - 1) / self.epochs, 1.0)
            self.scheduled = self.end + (self.start - self.end) * (1 + math.cos(math.pi * done)) / 2

    def forward(self) -> float | Tensor:
        if self.mode != "learnable":
            return self.scheduled
        with torch.no_grad():
            self.log.clamp_(math.log(LEARNABLE[0]), math.log(LEARNABLE[1]))
        return self.log.exp()

    def record(self) -> Tensor:
        """A scalar without gradient."""
        return torch.as_tensor(self(), dtype=torch.float32).detach().clone()
