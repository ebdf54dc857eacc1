"""A mean over the rows that count."""

from __future__ import annotations

import torch
from torch import Tensor


def counted_mean(values: Tensor, counted: Tensor) -> Tensor:
    """The mean of the values where `counted`, bool of their shape, holds; 0 where it never does.

    A value that does not count may be infinite.
    """
    return torch.where(counted, values, 0.0).sum() / counted.sum().clamp(min=1)
