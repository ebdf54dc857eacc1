"""What a representation goes through before it is contrasted, and nothing else reads."""

from __future__ import annotations

from typing import Literal

from torch import nn

Head = Literal["none", "linear", "mlp"]


def projection_head(kind: Head, width: int, out: int) -> nn.Module:
    """[N, width] -> [N, out]: the g of SimCLR (arXiv:2002.05709, section 4.2).

    none: the identity (out is not read).  linear: one layer.  mlp: a hidden layer as wide as the
    input and a ReLU before it.  Weights are drawn by torch's default rule.
    """
    if kind == "none":
        return nn.Identity()
    if kind == "linear":
        return nn.Linear(width, out)
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))
