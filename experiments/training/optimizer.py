"""Adam, dense or lazy, and the step against a loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from experiments.config.run_config import TrainConfig
from experiments.errors import UsageError
from models.recbole_plug import SASRec
from models.shard import ALONE, Shard


class Optimizer:
    """Adam (arXiv:1412.6980) over all weights, in one fused pass.

    With lazy_rows the item embeddings have an Adam of their own that updates the rows a step
    has read and leaves moments and values of all others as they are (torch's SparseAdam): a
    row that is read rarely keeps the momentum of when it was last read.  That is another
    method than Adam, whose every row moves at every step, but its cost does not grow with the
    catalogue.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.parameters = list(model.parameters())
        lazy: list[Tensor] = []
        if config.lazy_rows and isinstance(model, SASRec):
            lazy = [model.item_embedding.weight]
        dense = [p for p in self.parameters if all(p is not row for row in lazy)]
        self.clip_norm = config.clip_norm
        self.rate = rate = config.learning_rate
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.Adam(dense, lr=rate, weight_decay=config.weight_decay, fused=True)
        ]
        if lazy:
            self.parts.append(torch.optim.SparseAdam(lazy, lr=rate))

    def set_rate(self, rate: float) -> None:
        """The learning rate of the steps to come."""
        self.rate = rate
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate

    def descend(self, loss: Tensor, shard: Shard = ALONE) -> Tensor | None:
        """One step against this loss's gradient, summed over all processes and clipped.

        Returns the gradient's norm before clipping, or None without clip_norm.
        """
        for part in self.parts:
            part.zero_grad(set_to_none=True)
        with record_function("backward"):
            loss.backward()  # type: ignore[no-untyped-call]
            shard.sum_gradients(self.parameters)
        with record_function("optimizer"):
            norm = None if self.clip_norm is None else clip(self.parameters, self.clip_norm)
            for part in self.parts:
                part.step()
        return norm

    def state_dict(self) -> dict[str, Any]:
        return {str(number): part.state_dict() for number, part in enumerate(self.parts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if len(state) != len(self.parts):
            raise UsageError("state.pt: its optimiser is of another kind, or of an older version")
        try:
            for number, part in enumerate(self.parts):
                part.load_state_dict(state[str(number)])
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"state.pt: its optimiser is of other weights ({error})") from None


def rate_at(config: TrainConfig, passed: float, epochs: int) -> float:
    """The learning rate when `passed` of `epochs` are over, fractions of an epoch included.

    It rises in a line over `warm_up` epochs (arXiv:1706.02677, section 2.2), then stays, falls in
    a line, or by half a cosine wave (arXiv:1608.03983, equation 5, without restarts), to 0 at the
    end of the last epoch.
    """
    if passed < config.warm_up:
        return config.learning_rate * passed / config.warm_up
    if config.schedule == "constant":
        return config.learning_rate
    done = min((passed - config.warm_up) / (epochs - config.warm_up), 1.0)
    left = 1.0 - done if config.schedule == "linear" else (1.0 + math.cos(math.pi * done)) / 2
    return config.learning_rate * left


def clip(parameters: Sequence[Tensor], longest: float) -> Tensor:
    """Scale all gradients by min(1, longest / norm); returns their norm together.

    Pascanu et al. 2013 (arXiv:1211.5063), algorithm 1.  In float64: squares of float32 overflow.
    A gradient that is no longer than `longest` stays as it is, bit for bit.
    """
    grads = [p.grad for p in parameters if p.grad is not None]
    norms = [torch.linalg.vector_norm(values(grad), dtype=torch.float64) for grad in grads]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    scale = (longest / norm).clamp(max=1.0)
    for grad in grads:
        grad.mul_(scale.to(grad.dtype))
    return norm


def gradient_norms(
    parts: dict[str, Tensor], model: nn.Module, shard: Shard = ALONE
) -> dict[str, Tensor]:
    """Norm of each weighted loss's gradient: is the contrast a nudge or the main force?

    In float64, as `clip` takes it: squares of float32 overflow.
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    norms = {}
    for name, loss in parts.items():
        grads = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        whole = [shard.sum(values(grad)) for grad in grads if grad is not None]
        key = "train" if name == "next_item" else f"contrast/{name}"
        norms[f"{key}/gradient_norm"] = torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(grad, dtype=torch.float64) for grad in whole])
        )
    return norms


def values(grad: Tensor) -> Tensor:
    """What of a gradient is not zero, if it is sparse."""
    return grad.coalesce().values() if grad.is_sparse else grad
