"""Which columns are an anchor's negatives, and how much each counts.

A weight is a logarithm, [A, C] for A anchors and C columns: 0 for a negative that counts once,
-inf for a column that is none.
"""

from __future__ import annotations

import torch
from torch import Tensor


def agree(labels: Tensor, others: Tensor) -> Tensor:
    """[B, C] bool: rows that have any label in common; labels [B, n] and [C, n], n may be 0."""
    return (labels[:, None, :] == others[None, :, :]).any(dim=2)


def is_row(rows: Tensor, others: Tensor) -> Tensor:
    """[B, C] bool: the very same row, which agrees in both numbers; rows [B, 2], others [C, 2]."""
    equal = [one[:, None] == other for one, other in zip(rows.T, others.T, strict=True)]
    return torch.logical_and(*equal)


def in_batch(
    rows: int,
    same: Tensor | None,
    allowed: Tensor | None,
    same_is_positive: bool,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Positives and negatives of 2B views among themselves: [2B, 2B] bool each.

    same:    [B, B] bool; rows that are no negatives of each other, and further positives where
             same_is_positive.
    allowed: [B, B] bool; rows that may be negatives of each other.
    A view is never compared with itself, and its partner always is its positive.
    """
    own = torch.eye(rows, dtype=torch.bool, device=device)
    positive = own.repeat(2, 2) & ~torch.eye(2 * rows, dtype=torch.bool, device=device)
    negative = ~own if allowed is None else ~own & allowed
    if same is not None:
        negative = negative & ~same
        if same_is_positive:
            positive = positive | (same & ~own).repeat(2, 2)
    return positive, negative.repeat(2, 2)


def plain_weight(negative: Tensor) -> Tensor:
    """[A, C] bool to weights: every negative counts once."""
    return torch.zeros(negative.shape, device=negative.device).masked_fill(~negative, float("-inf"))


def is_negative(weight: Tensor) -> Tensor:
    """[A, C] bool: where a column counts; so it does where its weight overflowed, which must show
    in the loss and not look like an anchor without negatives."""
    return weight != float("-inf")


def hardest(logits: Tensor, negative: Tensor, count: int) -> Tensor:
    """[A, C] bool: the `count` most similar negatives of each anchor, all where it has fewer."""
    ranked = logits.detach().masked_fill(~negative, float("-inf"))
    chosen = ranked.topk(min(count, ranked.shape[1]), dim=1).indices  # [A, count]
    return torch.zeros_like(negative).scatter(1, chosen, True) & negative


def importance(logits: Tensor, weight: Tensor, beta: float) -> Tensor:
    """Weights proportional to exp(beta * logit), of mean 1 over an anchor's negatives.

    Robinson et al. 2021 (arXiv:2010.04592), by importance sampling: beta = 0 leaves all
    alike, towards infinity only the hardest counts.  As in their code, logits are similarities
    over the temperature and the weights have a gradient.
    """
    negative = is_negative(weight)
    has = negative.any(dim=1, keepdim=True)
    total = (beta * logits).masked_fill(~negative & has, float("-inf")).logsumexp(dim=1)  # [A]
    mean = total - negative.sum(dim=1).clamp(min=1).to(logits.dtype).log()
    return (weight + beta * logits - mean[:, None]).masked_fill(~negative, float("-inf"))
