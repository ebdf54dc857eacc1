"""Contrastive objectives over any positives and weighted negatives.

All take logits [A, C], similarities of A anchors and C columns over the temperature; positive
[A, C], at least one a row: bool, or how much each counts and 0 where it is none; and weight
[A, C], the logarithm of how much a column counts as a negative, -inf where it is none.  A column
may be neither.  They return a scalar in nats: the mean over the anchors that have a negative, 0
when none has.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from models.losses.counted_mean import counted_mean
from models.losses.negatives import is_negative


def multi_positive(logits: Tensor, positive: Tensor, weight: Tensor) -> Tensor:
    """InfoNCE with any number of positives, each against all positives and negatives.

    -1/|P| sum_p log( exp(s_p) / (sum_P exp(s) + sum_N w exp(s)) ): L_out of Khosla et al. 2020
    (arXiv:2004.11362, eq. 2); with one positive and weights of 1, InfoNCE (arXiv:1807.03748).
    """
    every = torch.where(positive > 0, logits, logits + weight)
    return mean_of(every.logsumexp(dim=1) - mean_positive(logits, positive), weight)


def decoupled(logits: Tensor, positive: Tensor, weight: Tensor) -> Tensor:
    """InfoNCE without positives in the denominator: log sum_N w exp(s) - mean_P s.

    DCL of Yeh et al. 2022 (arXiv:2110.06848).  It has no lower bound.
    """
    return mean_of(negative_log_sum(logits, weight) - mean_positive(logits, positive), weight)


def debiased(
    logits: Tensor, positive: Tensor, weight: Tensor, tau_plus: float, temperature: float | Tensor
) -> Tensor:
    """InfoNCE whose negatives are estimated as if none were secretly a positive.

    Chuang et al. 2020 (arXiv:2007.00224) with one positive: with n negatives, n * g takes
    the place of their sum, g = max((mean_N w exp(s) - tau_plus exp(s+)) / (1 - tau_plus),
    exp(-1 / t)).  The floor is the least that a cosine can give.

    tau_plus: probability that a negative is of the anchor's own class, in [0, 1).
    """
    count = is_negative(weight).sum(dim=1).clamp(min=1).to(logits.dtype).log()  # [A]
    same = mean_positive(logits, positive)
    every = negative_log_sum(logits, weight) - count
    floor = logits.new_ones(()) * (-1 / temperature)
    if tau_plus > 0:
        gap = same + math.log(tau_plus) - every  # log of the share of the positive
        some_left = gap < 0
        rest = torch.log(-torch.expm1(torch.where(some_left, gap, -1.0)))
        every = torch.where(some_left, every + rest - math.log1p(-tau_plus), floor)
    return mean_of(torch.logaddexp(same, every.maximum(floor) + count) - same, weight)


def binary_nce(logits: Tensor, positive: Tensor, weight: Tensor) -> Tensor:
    """Positive or negative?  A logistic term for each, -log sigmoid(s) or -log sigmoid(-s).

    Gutmann & Hyvarinen 2010, without their factor 1/2: the mean over positives plus the
    weighted mean over negatives, so that both sides count the same however large the batch;
    2 ln 2 when all logits are 0.
    """
    negatives = (weight.exp() * F.softplus(logits)).sum(dim=1)  # [A]
    negatives = negatives / is_negative(weight).sum(dim=1).clamp(min=1)
    return mean_of(mean_positive(F.softplus(-logits), positive) + negatives, weight)


def mean_positive(values: Tensor, positive: Tensor) -> Tensor:
    """[A]: the mean of each row's positive columns, weighted where positive is numbers."""
    chosen = torch.where(positive > 0, values, 0.0)
    weighted = chosen if positive.dtype == torch.bool else chosen * positive
    return weighted.sum(dim=1) / positive.sum(dim=1)


def negative_log_sum(logits: Tensor, weight: Tensor) -> Tensor:
    """[A]: log sum_N w exp(s); any finite number for an anchor without negatives."""
    none = ~is_negative(weight).any(dim=1, keepdim=True)
    return (logits + weight).masked_fill(none, 0.0).logsumexp(dim=1)


def mean_of(losses: Tensor, weight: Tensor) -> Tensor:
    """The mean over the anchors [A] that have a negative."""
    return counted_mean(losses, is_negative(weight).any(dim=1))
