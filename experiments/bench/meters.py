"""Clock and memory of the process that is measured."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch

CPU = torch.device("cpu")
WARM_UP = 5  # steps that are not counted


def finish(device: torch.device) -> None:
    """Wait until the device has done what it was asked for: a GPU works on by itself."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def memory_mb(which: str) -> float:
    """VmRSS (now) or VmHWM (highest so far) of this process in MiB; 0 where it is not told."""
    if platform.system() != "Linux":
        return 0.0
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith(which))
    return int(line.split()[1]) / 1024


def time_steps(
    step: Callable[[], None],
    count: int,
    device: torch.device = CPU,
    warm_up: int = WARM_UP,
) -> float:
    """Seconds of a step after a warm-up: the mean, since batches of long histories cost more.

    Where steps repeat after `count`, each is timed once, whatever the warm-up took.
    """
    for _ in range(warm_up):
        step()
    finish(device)
    started = time.perf_counter()
    for _ in range(count):
        step()
    finish(device)
    return (time.perf_counter() - started) / count
