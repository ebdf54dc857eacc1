"""The matrix products of a training step: recorded as it runs, then timed alone."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from experiments.bench.meters import CPU, finish

RUNS = 3
RECORDED = 20  # steps, at most, whose products are timed alone
GPU_REPEATS = 20  # of a product on a GPU, so that asking for it takes no part in its time
MATRICES = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1}
"""Operators of torch that are products, and the place of their first factor."""


@dataclass(frozen=True)
class Factor:
    """What of a factor decides a product's speed: [m, k], or [B, m, k], and how it lies."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    def made(self, device: torch.device = CPU) -> Tensor:
        extent = 1 + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        numbers = torch.randn(max(extent, 1), device=device).to(self.dtype)
        return numbers.as_strided(self.shape, self.strides)


Product = tuple[Factor, Factor]


class Recorder(TorchDispatchMode):
    """Counts the products that run while it is active, forward and backward."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: Counter[Product] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        first = MATRICES.get(func.overloadpacket.__name__)
        if first is not None and args[first].numel() and args[first + 1].numel():
            self.products[factor(args[first]), factor(args[first + 1])] += 1
        return func(*args, **(kwargs or {}))


def factor(tensor: Tensor) -> Factor:
    return Factor(tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)


def products_of(step: Callable[[], None], steps: int) -> Counter[Product]:
    """The products of some steps, all together."""
    recorder = Recorder()
    with recorder:
        for _ in range(steps):
            step()
    return recorder.products


def flops(products: Counter[Product]) -> float:
    """Floating-point operations: 2 m k n of each product of [m, k] and [k, n], batches alike."""
    return float(
        sum(2.0 * math.prod(a.shape) * b.shape[-1] * count for (a, b), count in products.items())
    )


def seconds_alone(products: Counter[Product], device: torch.device = CPU) -> float:
    """What the products take by themselves: each shape's best of three runs, times its number.

    Results are written to memory that is there already, so that this is the least that a step can
    take which makes these products one by one.  Products inside a fused kernel, such as a GPU's
    attention, are none of them.
    """
    return sum(
        best_run(a, b, min(count, 5) if device.type == "cpu" else GPU_REPEATS, device) * count
        for (a, b), count in products.items()
    )


def best_run(a: Factor, b: Factor, repeats: int, device: torch.device) -> float:
    """Seconds of one product: the least mean over `repeats` of RUNS runs, after one to warm up."""
    left, right = a.made(device), b.made(device)
    multiply = torch.mm if left.dim() == 2 else torch.bmm
    out = multiply(left, right)
    means = []
    for _ in range(RUNS):
        finish(device)
        started = time.perf_counter()
        for _ in range(repeats):
            multiply(left, right, out=out)
        finish(device)
        means.append((time.perf_counter() - started) / repeats)
    return min(means)
