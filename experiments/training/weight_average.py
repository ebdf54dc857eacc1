"""A moving average of the weights, which is evaluated and kept in their place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a model's weights over the steps of its training.

    After step n: average <- d * average + (1 - d) * weights, d = min(decay, (1 + n) / (10 + n)), so
    that the first weights are soon forgotten.  Polyak & Juditsky 1992 (doi:10.1137/0330046) give
    all steps the same part; here later ones have more.  Buffers, and weights that are not trained,
    such as those of a momentum copy, stay as they are.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.averages = {name: p.detach().clone() for name, p in self.weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        averages: list[Tensor] = [*self.averages.values()]
        weights: list[Tensor] = [*self.weights.values()]
        torch._foreach_lerp_(averages, weights, 1.0 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the averages as its weights, until the end of the block."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def swap(self) -> None:
        for name, weight in self.weights.items():
            weight.data, self.averages[name] = self.averages[name], weight.data

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "averages": self.averages}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """What state_dict gave, of a model with the same weights."""
        self.steps = state["steps"]
        for name, average in self.averages.items():
            saved: Tensor = state["averages"][name]
            average.copy_(saved)
