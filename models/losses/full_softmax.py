"""Softmax cross-entropy over a whole catalogue, without keeping its scores."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from models.bfloat16 import MULTIPLE, multiplies_bfloat16, padded
from models.losses.item_blocks import (
    add_rounded,
    gradients_over_item_blocks,
    subtract_targets,
)

BLOCK = 800_000
"""Scores held at once, at most: 3 MB in float32.  Measured on two cores with 12,101 items, the
three matrix products of a block that stays in the cache run at 110 to 165 GFLOP/s, those of
a whole batch of 256 at 45 to 100."""

WIDE_BLOCK = 2_400_000
"""The same for embeddings wider than 128: each block adds to the gradient of the whole table, which
is wide then.  Measured at width 256 on one core: 1.25 times as quick as blocks of 800,000."""

LOW_BLOCK = 2**22
"""The same where products are made in bfloat16 on a CPU: 8 MB.  Measured at width 256 on one
core with matrix units for it: products of 66 rows take twice as long a row as those of 346."""

GPU_BLOCK = 2**25
"""The same on a GPU: 128 MB.  There every product of a block has to be launched, and what is to be
avoided is many small ones."""

FEWEST_ROWS = 16
"""Where a block would hold fewer rows of the whole catalogue, it holds a part of it."""

ALL = slice(None)


def cross_entropy(
    states: Tensor,
    items: Tensor,
    targets: Tensor,
    weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    real: slice = ALL,
) -> Tensor:
    """Softmax cross-entropy over the full catalogue, averaged over the targets.

    states:  [T, d] history representations; T >= 1.
    items:   [I, d] embeddings of the real items.
    targets: [T] int64 rows of `items[real]`.
    weights: [T] a factor for each target's loss, without gradient; the mean is over T all the
             same, where torch divides by the sum of the weights.
    label_smoothing: share of the target's probability that is spread over all items, as torch
             does it (Szegedy et al. 2016, arXiv:1512.00567, section 7).
    real:    the rows of `items` that are items, where padding or [mask] stand in the same table;
             the others get a gradient of 0.  To cut them off before would cost a copy.
    Returns a scalar in nats; ln(I) when the states carry no information.

    The scores [T, I] are made block by block and turned into gradients at once, in place, so
    they are never kept for the backward pass.  Smoothing needs no further pass over them: it
    adds to the loss its share of what the target's score is above the mean score, and the mean
    score is the state's product with the mean item.
    """
    loss: Tensor = CatalogueCrossEntropy.apply(states, items, targets, weights, real)  # type: ignore[no-untyped-call]
    if label_smoothing == 0.0:
        return loss
    items = items[real]
    above_mean = F.embedding(targets, items) - items.mean(dim=0)  # [T, d]
    lead = (states * above_mean).sum(dim=1)  # [T]
    return loss + label_smoothing * (lead if weights is None else weights * lead).mean()


class CatalogueCrossEntropy(Function):
    """Cross-entropy of states @ items.T whose forward pass also makes the gradients.

    d loss / d scores = weight * (softmax(scores) - one_hot(target)) / T.  weight / T is one
    factor a row, so it goes to the products with the scores instead of the scores.  Under
    autocast factors and results of each product are rounded to its type; softmax and loss are
    float32.  On a processor without units for bfloat16 only states and items are rounded.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        table: Tensor,
        targets: Tensor,
        weights: Tensor | None,
        real: slice,
    ) -> Tensor:
        grad_states, grad_table = torch.empty_like(states), torch.empty_like(table)
        grad_items = only(grad_table, real)
        share = states.new_full((len(targets), 1), 1.0 / len(targets))
        if weights is not None:
            share = share * weights[:, None]
        low = product_type(states)
        factors = (states.to(low), table[real].to(low), (states * share).to(low))
        if low == torch.bfloat16 and not multiplies_bfloat16(states.device):
            factors = (factors[0].float(), factors[1].float(), factors[2].float())
        with torch.autocast(states.device.type, enabled=False):
            cost = gradients_in_blocks(*factors, targets, grad_states, grad_items)
        ctx.save_for_backward(grad_states.mul_(share), grad_table)
        return (cost * share[:, 0]).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        grad_states, grad_table = ctx.saved_tensors
        if grad.device.type == "cpu" and grad.item() == 1.0:  # the whole table is not rewritten
            return grad_states, grad_table, None, None, None
        return grad_states * grad, grad_table * grad, None, None, None


def only(table: Tensor, real: slice) -> Tensor:
    """The real rows of a table, after all others were set to 0."""
    first, last, _ = real.indices(len(table))
    table[:first] = 0.0
    table[last:] = 0.0
    return table[real]


def product_type(states: Tensor) -> torch.dtype:
    """What matrix products are made in: autocast's type, or the states' own."""
    kind = states.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else states.dtype


def gradients_in_blocks(
    states: Tensor,
    items: Tensor,
    shares: Tensor,
    targets: Tensor,
    grad_states: Tensor,
    grad_items: Tensor,
) -> Tensor:
    """Fill d cost / d states and the shares' sum of d cost / d items; returns the costs [T]."""
    exact = states.dtype == grad_states.dtype
    rounds = states.device.type == "cpu" and not exact
    held = LOW_BLOCK if rounds else scores_held(states)
    if held // len(items) < min(FEWEST_ROWS, len(targets)):
        return gradients_over_item_blocks(
            states, items, shares, targets, grad_states, grad_items, held
        )
    if rounds:
        return gradients_in_low_precision(states, items, shares, targets, grad_states, grad_items)
    cost = grad_states.new_empty(len(targets))
    rows = max(1, min(len(targets), held // len(items)))
    buffer = states.new_empty(rows, len(items))
    for start in range(0, len(targets), rows):
        block = slice(start, start + rows)
        part = states[block]
        low = torch.mm(part, items.T, out=buffer[: len(part)])  # [rows, I]
        scores = low.to(grad_states.dtype)
        cost[block] = softmax_error(scores, targets[block, None])
        if exact:
            torch.mm(scores, items, out=grad_states[block])
            torch.addmm(grad_items, scores.T, shares[block], beta=min(start, 1), out=grad_items)
        else:
            error = low.copy_(scores)
            grad_states[block] = torch.mm(error, items)
            product = torch.mm(error.T, shares[block])
            grad_items.copy_(product) if start == 0 else grad_items.add_(product)
    return cost


def scores_held(states: Tensor) -> int:
    """Scores of one block, by the device and the width of the embeddings."""
    if states.device.type != "cpu":
        return GPU_BLOCK
    return BLOCK if states.shape[1] <= 128 else WIDE_BLOCK


def gradients_in_low_precision(
    states: Tensor,
    items: Tensor,
    shares: Tensor,
    targets: Tensor,
    grad_states: Tensor,
    grad_items: Tensor,
) -> Tensor:
    """The same on a CPU where the factors are rounded.

    The products are quick there, so passes over the scores are what costs: one softmax, which
    sums in float32 and rounds its result as the products would.  What the targets add to both
    gradients, - one_hot, is added without a product.  The last block gets rows of zeros, whose
    shares are 0: blocks of any other size would be compiled for.
    """
    cost = grad_states.new_empty(len(targets))
    held = LOW_BLOCK // len(items)
    multiple = min(MULTIPLE, held, len(targets))
    rows = min(held, len(targets) + multiple - 1) // multiple * multiple
    buffers = states.new_empty(2, rows, len(items))
    for start in range(0, len(targets), rows):
        block = slice(start, start + rows)
        part, share = padded(states[block], multiple), padded(shares[block], multiple)
        real = len(targets[block])
        scores, probability = buffers[:, : len(part)]
        torch.mm(part, items.T, out=scores)
        torch.softmax(scores, dim=1, out=probability)
        cost[block] = cost_of(scores[:real], probability[:real], targets[block, None])
        grad_states[block] = torch.mm(probability, items)[:real]
        product = torch.mm(probability.T, share)
        grad_items.copy_(product) if start == 0 else add_rounded(grad_items, product)
    subtract_targets(items, shares, targets, grad_states, grad_items)
    return cost


def cost_of(scores: Tensor, probability: Tensor, target: Tensor) -> Tensor:
    """-log of the targets' probabilities: [R, I], [R, I], [R, 1] -> [R] float32.

    A probability that is too small for its type is computed from the scores.
    """
    cost = -probability.gather(1, target)[:, 0].float().log()
    lost = torch.nonzero(cost.isinf())[:, 0]
    if len(lost):
        cost[lost] = F.cross_entropy(scores[lost].float(), target[lost, 0], reduction="none")
    return cost


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
