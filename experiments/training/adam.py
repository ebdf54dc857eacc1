"""Adam in one fused pass, without torch's compiler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

BETAS, EPSILON = (0.9, 0.999), 1e-8


class Adam:
    """Adam (arXiv:1412.6980, algorithm 1), bit for bit torch.optim.Adam with fused=True.

    The arithmetic is torch's own function.  torch's class loads torch's compiler at the first use,
    which takes as long again as loading torch.

    groups: dictionaries with `params` and, where a group has its own, `lr`.  weight_decay is added
    to the gradient, as Adam's L2 penalty.  Moments are saved as torch saves them.
    """

    def __init__(
        self, groups: Sequence[dict[str, Any]], lr: float, weight_decay: float = 0.0
    ) -> None:
        usual = {"lr": lr, "weight_decay": weight_decay}
        self.param_groups = [{**usual, **group} for group in groups]
        self.state: dict[Tensor, dict[str, Tensor]] = {}

    @property
    def parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def zero_grad(self) -> None:
        """Leave no weight with a gradient."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            for parameter in moved:
                if parameter not in self.state:
                    self.state[parameter] = start(parameter)
            states = [self.state[p] for p in moved]
            adam(
                moved,
                [p.grad for p in moved],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                fused=True,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=EPSILON,
                maximize=False,
            )

    def state_dict(self) -> dict[str, Any]:
        """Moments and steps by the weight's place, and the groups with places for weights."""
        places = {p: place for place, p in enumerate(self.parameters)}
        return {
            "state": {places[p]: state for p, state in self.state.items()},
            "param_groups": [
                {**group, "params": [places[p] for p in group["params"]]}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of this class or of torch.optim.Adam; ValueError for other weights."""
        parameters = self.parameters
        theirs = [len(group["params"]) for group in state["param_groups"]]
        if theirs != [len(group["params"]) for group in self.param_groups]:
            raise ValueError(f"groups of {theirs} weights")
        for group, saved in zip(self.param_groups, state["param_groups"], strict=True):
            group["lr"], group["weight_decay"] = saved["lr"], saved["weight_decay"]
        self.state = {
            parameters[int(place)]: {
                name: value.to(device=parameters[int(place)].device, copy=True)
                for name, value in moments.items()
            }
            for place, moments in state["state"].items()
        }


def start(parameter: Tensor) -> dict[str, Tensor]:
    return {
        "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
        "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
        "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
    }
