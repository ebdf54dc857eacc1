"""Cross-entropy over a large catalogue: scores are made in blocks of items, twice."""

from __future__ import annotations

import torch
from torch import Tensor

ROWS = 256
"""Targets that are scored together: enough for a product to be quick."""

ADDED = 256
"""Rows that are added to the gradient of the items at once, where they need to be converted."""


def gradients_over_item_blocks(
    states: Tensor,
    items: Tensor,
    shares: Tensor,
    targets: Tensor,
    grad_states: Tensor,
    grad_items: Tensor,
    held: int,
) -> Tensor:
    """Fill d cost / d states and the shares' sum of d cost / d items; returns the costs [T].

    states [T, d], items [I, d], shares [T, d] in the type of the products; targets [T].  Never
    more than `held` scores exist at once, whatever T and I are: a first pass over the items gives
    each row's log of the sum of exponentials, a second one makes the scores again and turns them
    into probabilities.  Four products where a row that fits has three (as in Wijmans et al. 2025,
    Cut Your Losses, arXiv:2411.09009).
    """
    cost = grad_states.new_empty(len(targets))
    rows = max(1, min(len(targets), ROWS))
    width = max(1, held // rows)
    for start in range(0, len(targets), rows):
        block = slice(start, start + rows)
        part = states[block]
        log_sum = log_sum_exp(part, items, width, grad_states.dtype)  # [R, 1]
        target_score = (part * items[targets[block]]).sum(dim=1, dtype=grad_states.dtype)
        cost[block] = log_sum[:, 0] - target_score
        grad_part = grad_states[block].zero_()
        for first in range(0, len(items), width):
            chunk = items[first : first + width]
            scores = torch.mm(part, chunk.T).to(grad_states.dtype)
            probability = scores.sub_(log_sum).exp_().to(states.dtype)  # [R, C]
            grad_part += torch.mm(probability, chunk)
            product = torch.mm(probability.T, shares[block])
            of_chunk = grad_items[first : first + width]
            of_chunk.copy_(product) if start == 0 else add_rounded(of_chunk, product)
    subtract_targets(items, shares, targets, grad_states, grad_items)
    return cost


def add_rounded(total: Tensor, rounded: Tensor) -> None:
    """total [I, d] += rounded [I, d], of a type with fewer digits.

    On a CPU torch copies `rounded` to the other type as a whole first.  Here a few rows at a time
    are copied, which stay in the cache: a third of the time for 12,101 rows of 256 numbers.
    """
    if total.device.type != "cpu" or total.dtype == rounded.dtype:
        total.add_(rounded)
        return
    for part, addend in zip(torch.split(total, ADDED), torch.split(rounded, ADDED), strict=True):
        part.add_(addend)


def subtract_targets(
    items: Tensor, shares: Tensor, targets: Tensor, grad_states: Tensor, grad_items: Tensor
) -> None:
    """Add to both gradients what comes of - one_hot, without a product."""
    grad_states -= items[targets]
    grad_items.index_add_(0, targets, shares.to(grad_items.dtype), alpha=-1.0)


def log_sum_exp(states: Tensor, items: Tensor, width: int, exact: torch.dtype) -> Tensor:
    """[R, 1]: log sum exp(states @ items.T) of each row, `width` items at a time."""
    peak = torch.full((len(states), 1), float("-inf"), dtype=exact, device=states.device)
    total = torch.zeros_like(peak)  # of exp(score - peak)
    for first in range(0, len(items), width):
        scores = torch.mm(states, items[first : first + width].T).to(exact)
        higher = torch.maximum(peak, scores.amax(dim=1, keepdim=True))
        total.mul_((peak - higher).exp_())
        total.add_(scores.sub_(higher).exp_().sum(dim=1, keepdim=True))
        peak = higher
    return peak + total.log()
