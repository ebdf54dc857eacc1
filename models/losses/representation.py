"""What a contrast does to the representation space, measured."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def alignment(view_a: Tensor, view_b: Tensor) -> Tensor:
    """Mean squared distance of positive pairs on the unit sphere; 0 is perfect.

    Wang & Isola 2020 (arXiv:2005.10242, section 4.1, alpha = 2).  view_a, view_b: [B, d].
    """
    distance = F.normalize(view_a, dim=1) - F.normalize(view_b, dim=1)
    return distance.square().sum(dim=1).mean()


def uniformity(view: Tensor) -> Tensor:
    """Log of the mean Gaussian potential of all pairs on the unit sphere; lower is more uniform.

    Wang & Isola 2020 (arXiv:2005.10242, section 4.1, t = 2).  view: [B, d].  0 when all rows
    coincide, and by definition when B = 1.
    """
    if len(view) < 2:
        return view.new_zeros(())
    squared = torch.pdist(F.normalize(view, dim=1)).square()  # [B (B - 1) / 2]
    return squared.mul(-2).exp().mean().log()
