"""Dropout that does not dominate a training step on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.ranges import check_below_one


class Dropout(nn.Module):
    """Zero each element with probability p and scale the rest by 1 / (1 - p).

    torch draws one Bernoulli float per element on a CPU, which costs more than the matrix
    products around it.  Here each element takes 8 bits (16 when p * 256 is no integer) of a
    64-bit draw from torch's default generator, so p is exact to 2^-16 and the scale uses the
    probability that was realised: the expectation is unbiased, but for the scale's rounding in
    bfloat16 (.15 % too small at p = .1; torch's own has the same).  On a GPU it is torch's own.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        check_below_one("dropout", p)
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        return x * keep_mask(x.shape, self.p, x.dtype)


def keep_mask(shape: torch.Size, p: float, dtype: torch.dtype) -> Tensor:
    """A random tensor of 0 (with probability p) and 1 / (1 - p), on the CPU."""
    narrow = float(p * 256).is_integer()
    levels, kind = (256, torch.uint8) if narrow else (65536, torch.uint16)
    dropped = min(round(p * levels), levels - 1)  # levels below this one are zeroed
    count = shape.numel()
    words = torch.empty(-(-count * (1 if narrow else 2) // 8), dtype=torch.int64)
    words.random_(-(2**63), None)  # all 64 bits are random
    bits = words.view(kind)[:count].view(shape)
    if not narrow:
        bits = bits.to(torch.int32)  # uint16 has no comparison on a CPU
    kept = torch.empty(shape, dtype=dtype)
    torch.ge(bits, dropped, out=kept)  # 0 or 1, without a pass over booleans
    return kept.mul_(levels / (levels - dropped))
