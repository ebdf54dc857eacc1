"""InfoNCE: which of these rows is my other view?"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from models.losses.counted_mean import counted_mean

Similarity = Literal["dot", "cosine"]


def info_nce(
    view_a: Tensor,
    view_b: Tensor,
    temperature: float | Tensor,
    similarity: Similarity = "dot",
    same: Tensor | None = None,
) -> Tensor:
    """Pick out each row's other view among the 2B - 2 remaining rows of the batch.

    NT-Xent of SimCLR (arXiv:2002.05709, eq. 1), the InfoNCE of CPC (arXiv:1807.03748, eq. 4)
    with both views as anchors, averaged over all 2B of them.  The positive is in the
    denominator.

    view_a, view_b: [B, d]; row i of each is a view of the same history; B >= 1.
    temperature:    > 0; towards 0 only the hardest negatives matter, towards infinity none does.
    same:           [B, B] bool, symmetric; pairs of rows that are no true negatives (same
                    target, same user) and are left out of each other's denominators.
    Returns a scalar in nats; ln(2B - 1) when the views carry no information and nothing is
    left out.  A row left without negatives drops out of the mean; 0 when all do.
    """
    logits = contrast_logits(view_a, view_b, temperature, similarity, same)
    partner = partner_index(len(view_a), logits.device)
    if same is None:
        return F.cross_entropy(logits, partner)
    has_negative = (~same).fill_diagonal_(False).any(dim=1)  # [B]
    losses = F.cross_entropy(logits, partner, reduction="none")
    return counted_mean(losses, has_negative.repeat(2))


def contrast_logits(
    view_a: Tensor,
    view_b: Tensor,
    temperature: float | Tensor,
    similarity: Similarity = "dot",
    same: Tensor | None = None,
) -> Tensor:
    """Similarity of all 2B views to each other over the temperature: [2B, 2B].

    -inf marks what is not compared: a view with itself, and the pairs in `same`.
    """
    views = torch.cat([view_a, view_b])  # [2B, d]
    logits = similarities(views, views, similarity) / temperature  # [2B, 2B]
    return logits.masked_fill(not_compared(len(view_a), same, views.device), float("-inf"))


def not_compared(rows: int, same: Tensor | None, device: torch.device) -> Tensor:
    """[2B, 2B] bool: a view with itself, and the pairs of rows in `same` [B, B].

    A row's partner stays.
    """
    itself = torch.eye(2 * rows, dtype=torch.bool, device=device)
    if same is None:
        return itself
    return itself | (same & ~itself[:rows, :rows]).repeat(2, 2)


def similarities(anchors: Tensor, columns: Tensor, similarity: Similarity) -> Tensor:
    """[A, d] and [C, d] to [A, C]."""
    if similarity == "cosine":
        same = columns is anchors
        anchors = F.normalize(anchors, dim=1)
        columns = anchors if same else F.normalize(columns, dim=1)
    return anchors @ columns.T


def partner_index(batch: int, device: torch.device) -> Tensor:
    """[2B]: the column of each view's other view."""
    return torch.arange(2 * batch, device=device).roll(batch)
