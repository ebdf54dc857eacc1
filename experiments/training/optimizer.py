"""Adam, dense or lazy, and the step against a loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from experiments.config.train_config import TrainConfig
from experiments.errors import UsageError
from experiments.training.adam import Adam
from models.recbole_plug import SASRec
from models.shard import ALONE, Shard
from models.tasks import ParameterGroup


class Optimizer:
    """Adam (arXiv:1412.6980) over all weights, in one fused pass.

    With lazy_rows the item embeddings have an Adam of their own that updates the rows a step
    has read and leaves moments and values of all others as they are (torch's SparseAdam): a
    row that is read rarely keeps the momentum of when it was last read.  That is another
    method than Adam, whose every row moves at every step, but its cost does not grow with the
    catalogue.

    Weights that a task trains in a second step have an Adam of their own: `descend` leaves them
    as they are, and `descend_second` moves nothing else.  weight_decay and clip_norm are not
    theirs.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        groups = model.parameter_groups() if isinstance(model, SASRec) else []
        special = {p: group for group in groups for p in group.parameters}
        trained = [p for p in model.parameters() if p.requires_grad]
        second = [p for p in trained if p in special and special[p].second_step]
        self.parameters = [p for p in trained if all(p is not later for later in second)]
        lazy: list[Tensor] = []
        if config.lazy_rows and isinstance(model, SASRec):
            lazy = [model.item_embedding.weight]
        dense = [p for p in self.parameters if all(p is not row for row in lazy)]
        self.clip_norm = config.clip_norm
        self.rate = rate = config.learning_rate
        self.parts: list[Adam | torch.optim.Optimizer] = [
            Adam(by_rate(dense, special), lr=rate, weight_decay=config.weight_decay)
        ]
        if lazy:
            self.parts.append(torch.optim.SparseAdam(lazy, lr=rate))
        self.second_parameters = second
        self.second: list[Adam] = []
        if second:
            self.second.append(Adam(by_rate(second, special), lr=rate))

    def set_rate(self, rate: float) -> None:
        """The learning rate of the steps to come."""
        self.rate = rate
        for part in [*self.parts, *self.second]:
            for group in part.param_groups:
                group["lr"] = rate * group.get("rate_factor", 1.0)

    def descend(self, loss: Tensor, shard: Shard = ALONE) -> Tensor | None:
        """One step against this loss's gradient, summed over all processes and clipped.

        Returns the gradient's norm before clipping, or None without clip_norm.
        """
        for part in [*self.parts, *self.second]:
            part.zero_grad()
        with record_function("backward"):
            backward(loss, "the loss depends on no weight of the model")
            shard.sum_gradients(self.parameters)
        with record_function("optimizer"):
            norm = None if self.clip_norm is None else clip(self.parameters, self.clip_norm)
            for part in self.parts:
                part.step()
        return norm

    def descend_second(self, loss: Tensor, shard: Shard = ALONE) -> None:
        """One step of the second step's weights against the gradient of their loss."""
        for part in self.second:
            part.zero_grad()
        backward(loss, "second_step depends on none of its weights; the model stands still in it")
        shard.sum_gradients(self.second_parameters)
        for part in self.second:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        parts = [*self.parts, *self.second]
        return {str(number): part.state_dict() for number, part in enumerate(parts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        parts = [*self.parts, *self.second]
        if len(state) != len(parts):
            raise UsageError("state.pt: its optimiser is of another kind, or of an older version")
        try:
            for number, part in enumerate(parts):
                part.load_state_dict(state[str(number)])
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"state.pt: its optimiser is of other weights ({error})") from None


def backward(loss: Tensor, otherwise: str) -> None:
    """Its gradients; UsageError where there are none to have."""
    if not loss.requires_grad:
        raise UsageError(f"contrast: {otherwise}")
    loss.backward()  # type: ignore[no-untyped-call]


def by_rate(
    parameters: Sequence[Tensor], special: Mapping[nn.Parameter, ParameterGroup]
) -> list[dict[str, Any]]:
    """Groups of torch's: weights of the run's learning rate, and one for every other factor."""
    groups: dict[float, list[Tensor]] = {1.0: []}
    for parameter in parameters:
        group = special.get(parameter) if isinstance(parameter, nn.Parameter) else None
        groups.setdefault(1.0 if group is None else group.rate_factor, []).append(parameter)
    return [
        {"params": members, **({} if factor == 1.0 else {"rate_factor": factor})}
        for factor, members in groups.items()
        if members
    ]


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
    parts: dict[str, Tensor], weights: Sequence[Tensor], shard: Shard = ALONE
) -> dict[str, Tensor]:
    """Norm of each weighted loss's gradient: is the contrast a nudge or the main force?

    weights: those that the losses move, `Optimizer.parameters`.
    In float64, as `clip` takes it: squares of float32 overflow.
    """
    norms = {}
    for name, loss in parts.items():
        grads = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        whole = [shard.sum(values(grad)) for grad in grads if grad is not None]
        key = "train" if name == "next_item" else f"contrast/{name}"
        lengths = [torch.linalg.vector_norm(grad, dtype=torch.float64) for grad in whole]
        none = loss.new_zeros((), dtype=torch.float64)
        norms[f"{key}/gradient_norm"] = torch.linalg.vector_norm(torch.stack(lengths or [none]))
    return norms


def values(grad: Tensor) -> Tensor:
    """What of a gradient is not zero, if it is sparse."""
    return grad.coalesce().values() if grad.is_sparse else grad
