"""Where the time of a training step goes."""

from __future__ import annotations

from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile

PARTS = ("data", "contrast", "encoder", "output layer", "backward", "optimizer")
"""Names that the code gives to parts of a step, for a profiler."""


def shares(step: Callable[[], None], count: int, trace: str | None) -> dict[str, float]:
    """Share of a step spent in each of PARTS, from a profile of `count` steps.

    trace: a file for torch.profiler's trace of them.
    """
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(count):
            step()
    if trace is not None:
        profiled.export_chrome_trace(trace)
    spent = {event.key: event.cpu_time_total for event in profiled.key_averages()}
    total = sum(spent.get(part, 0.0) for part in PARTS)
    return {part: spent.get(part, 0.0) / total for part in PARTS}
