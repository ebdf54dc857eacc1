"""Softmax cross-entropy over a whole catalogue, without keeping its scores."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

BLOCK = 800_000
"""Scores held at once, at most: 3 MB in float32.  Measured on two cores with 12,101 items, the
three matrix products of a block that stays in the cache run at 110 to 165 GFLOP/s, those of
a whole batch of 256 at 45 to 100."""


def cross_entropy(
    states: Tensor,
    items: Tensor,
    targets: Tensor,
    weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Softmax cross-entropy over the full catalogue, averaged over the targets.

    states:  [T, d] history representations; T >= 1.
    items:   [I, d] embeddings of the real items; padding and [mask] are not among them.
    targets: [T] int64 rows of `items`.
    weights: [T] a factor for each target's loss, without gradient; the mean is over T all the
             same, where torch divides by the sum of the weights.
    label_smoothing: share of the target's probability that is spread over all items, as torch
             does it (Szegedy et al. 2016, arXiv:1512.00567, section 7).
    Returns a scalar in nats; ln(I) when the states carry no information.

    The scores [T, I] are made block by block and turned into gradients at once, in place, so
    they are never kept for the backward pass.  Smoothing needs no further pass over them: it
    adds to the loss its share of what the target's score is above the mean score, and the mean
    score is the state's product with the mean item.
    """
    loss: Tensor = CatalogueCrossEntropy.apply(states, items, targets, weights)  # type: ignore[no-untyped-call]
    if label_smoothing == 0.0:
        return loss
    above_mean = F.embedding(targets, items) - items.mean(dim=0)  # [T, d]
    lead = (states * above_mean).sum(dim=1)  # [T]
    return loss + label_smoothing * (lead if weights is None else weights * lead).mean()


class CatalogueCrossEntropy(Function):
    """Cross-entropy of states @ items.T whose forward pass also makes the gradients.

    d loss / d scores = weight * (softmax(scores) - one_hot(target)) / T.  The weight is one
    factor a row, so it goes to the products with the scores instead of the scores.
    """

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, items: Tensor, targets: Tensor, weights: Tensor | None
    ) -> Tensor:
        kind = states.device.type
        if torch.is_autocast_enabled(kind):
            with torch.autocast(kind, enabled=False):
                low = torch.get_autocast_dtype(kind)
                return low_precision(ctx, states, items, targets, weights, low)
        grad_states, grad_items = torch.empty_like(states), torch.zeros_like(items)
        weighted = states if weights is None else states * weights[:, None]
        total = states.new_zeros(())
        rows = max(1, BLOCK // len(items))
        for start in range(0, len(targets), rows):
            block = slice(start, start + rows)
            scores = torch.mm(states[block], items.T)  # [rows, I]
            cost = softmax_error(scores, targets[block, None])  # [rows]
            total += (cost if weights is None else cost * weights[block]).sum()
            torch.mm(scores, items, out=grad_states[block])
            grad_items.addmm_(scores.T, weighted[block])
        if weights is not None:
            grad_states *= weights[:, None]
        ctx.save_for_backward(grad_states, grad_items)
        ctx.count = len(targets)
        return total / len(targets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_states, grad_items = ctx.saved_tensors
        scale = grad / ctx.count
        return grad_states * scale, grad_items * scale, None, None


def low_precision(
    ctx: Any,
    states: Tensor,
    items: Tensor,
    targets: Tensor,
    weights: Tensor | None,
    dtype: torch.dtype,
) -> Tensor:
    """The same with the factors of each product rounded to `dtype`; sums stay in float32."""
    low_states, low_items = states.to(dtype), items.to(dtype)
    grad_states, grad_items = torch.empty_like(states), torch.zeros_like(items)
    cost = states.new_empty(len(states))
    rows = max(1, BLOCK // len(items))
    for start in range(0, len(targets), rows):
        block = slice(start, start + rows)
        scores = torch.mm(low_states[block], low_items.T).float()  # [rows, I]
        cost[block] = softmax_error(scores, targets[block, None])
        error = (scores if weights is None else scores * weights[block, None]).to(dtype)
        grad_states[block] = torch.mm(error, low_items)
        grad_items += torch.mm(error.T, low_states[block])
    ctx.save_for_backward(grad_states, grad_items)
    ctx.count = len(targets)
    return (cost if weights is None else cost * weights).mean()


def softmax_error(scores: Tensor, target: Tensor) -> Tensor:
    """-log softmax(scores)[target] of each row; scores become softmax - one_hot, in place.

    scores [R, I], target [R, 1]; returns [R].  The log probability is taken from the highest
    score, whose probability is at least 1 / I and never underflows.  Each look for
    it takes 2 % of the products' time on a CPU, one that also gives the index would take 20 %.
    """
    target_score = scores.gather(1, target)
    peak = scores.amax(dim=1, keepdim=True)
    torch.softmax(scores, dim=1, out=scores)
    peak_probability = scores.amax(dim=1, keepdim=True)
    scores.scatter_add_(1, target, scores.new_full(target.shape, -1.0))
    return (peak - target_score - peak_probability.log())[:, 0]
