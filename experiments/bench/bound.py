"""What the machine allows: the matrix products of an epoch at the measured rate of products."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from experiments.bench.meters import CPU, finish

if TYPE_CHECKING:
    from augment.examples import Rows
    from experiments.config.run_config import Config

BACKWARD = 3  # a product, and the products of its two gradients
SIDE = 1024  # of the square matrices whose product is timed
GPU_SIDE = 4096  # the same on a GPU, which smaller ones do not fill


def matmul_rate(
    repeats: int = 30, device: torch.device = CPU, dtype: torch.dtype = torch.float32
) -> float:
    """Floating-point operations a second of a square product: the median of `repeats`."""
    side = SIDE if device.type == "cpu" else GPU_SIDE
    a, b, out = (torch.randn(side, side, device=device).to(dtype) for _ in range(3))
    seconds = []
    for _ in range(repeats):
        finish(device)
        started = time.perf_counter()
        torch.mm(a, b, out=out)
        finish(device)
        seconds.append(time.perf_counter() - started)
    return 2.0 * side**3 / sorted(seconds)[len(seconds) // 2]


def epoch_flops(config: Config, rows: Rows, num_items: int) -> float:
    """Operations in the matrix products of one SASRec epoch, forward and backward.

    Counts real positions only, every layer at every position that the loss depends on: under
    `prefixes` the last block needs keys and values everywhere, all else at the last position.
    """
    encoder = config.encoder
    d, layers, inner = encoder.dim, encoder.layers, getattr(encoder, "inner", 4 * encoder.dim)
    length = rows.length.astype(float)
    tokens, pairs = length.sum(), (length * (length + 1) / 2).sum()
    project, keys, feed = 2.0 * d * d, 4.0 * d * d, 4.0 * d * inner  # per position
    whole = tokens * (2 * project + keys + feed) + pairs * 4.0 * d
    if rows.scored_from is None:
        last = len(rows) * (2 * project + feed) + tokens * (keys + 4.0 * d)
        blocks = (layers - 1) * whole + last
    else:
        blocks = layers * whole
    output = rows.targets * 2.0 * d * num_items
    return float(BACKWARD * (blocks + output))
