"""Softmax over a sample of the catalogue, corrected for how the sample was drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from augment import TrainHistories
from models.losses.loss import Items, NextItemLoss
from models.ranges import check_count, check_not_negative, check_positive


@dataclass(eq=False, repr=False)
class SampledSoftmax(NextItemLoss):
    """Softmax over the target and negatives that all targets of a batch share.

    Importance sampling of the softmax (Bengio & Senecal 2008, IEEE TNN 19(4)) in the form of
    Yi et al. 2019 (RecSys, "Sampling-bias-corrected neural modeling"): each candidate i has the
    logit s_i / temperature - log(k q_i).  k q_i is how often i is expected among k draws with
    replacement from q; where every candidate is corrected, log k cancels and log q_i, the
    proposal's own probability, would do the same.  A negative that is a row's target is no
    negative of that row.

    One matrix product of [T, d] and [d, k], and T * k scores in memory; nothing grows with the
    catalogue but two vectors that `fit` makes.  Returns 0 where every negative is the target.
    """

    whole_catalogue: ClassVar[bool] = False

    negatives: int = 1024
    """k: drawn at each step, with replacement."""
    sampling: Literal["uniform", "popularity"] = "popularity"
    """q: all items alike, or by training interactions to the given power."""
    power: float = 0.75
    """Exponent of popularity, at least 0, where 0 is uniform.  An item without training
    interactions is drawn like an item with one."""
    temperature: float = 1.0
    """Divides scores; > 0."""
    corrected: Literal["all", "negatives"] = "all"
    """all: the target is corrected like a negative (Yi et al.).  negatives: it is not, since it
    is there with probability 1, not drawn (Khrylchenko et al. 2025, arXiv:2507.09331); this
    tends to the full softmax as k grows."""

    def __post_init__(self) -> None:
        check_count("negatives", self.negatives)
        check_not_negative("power", self.power)
        check_positive("temperature", self.temperature)

    def fit(self, train: TrainHistories) -> None:
        """Make q: its logarithm, and its running sum in float64, to draw from."""
        counts = torch.bincount(train.items - 1, minlength=train.num_items).clamp(min=1)
        power = self.power if self.sampling == "popularity" else 0.0
        weights = counts.double() ** power
        share = weights / weights.sum()  # [num_items]
        self.register_buffer("log_share", share.log().float(), persistent=False)
        self.register_buffer("running_share", share.cumsum(dim=0), persistent=False)

    def forward(self, states: Tensor, items: Items, targets: Tensor, rng: Generator) -> Tensor:
        drawn = self.draw(rng)  # [k]
        states = states / self.temperature
        positive = (states * items.vectors(targets)).sum(dim=1)  # [T]
        if self.corrected == "all":
            positive = positive - self.log_count(targets)
        product = torch.mm(states, items.vectors(drawn).T)  # [T, k]
        negative = product.to(states.dtype) - self.log_count(drawn)  # in float32, all of it
        negative = negative.masked_fill_(targets[:, None] == drawn, float("-inf"))
        rest = negative.logsumexp(dim=1)  # [T]
        return -F.logsigmoid(positive - rest).mean()

    def draw(self, rng: Generator) -> Tensor:
        """[k] item numbers from q, repeats allowed."""
        running = self.get_buffer("running_share")
        at = torch.rand(self.negatives, dtype=running.dtype, generator=rng, device=running.device)
        row = torch.searchsorted(running, at, right=True)
        return row.clamp(max=len(running) - 1) + 1  # the last sum may fall short of 1

    def log_count(self, items: Tensor) -> Tensor:
        """log(k q) of item numbers: how often k draws are expected to give them."""
        return self.get_buffer("log_share")[items - 1] + math.log(self.negatives)
