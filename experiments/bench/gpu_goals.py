"""What is to be reached on a GPU, and the record of what was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from experiments.bench.compare import seconds_per_target
from experiments.bench.gpu import Found
from experiments.bench.gpu_subjects import BEAUTY, MILLION, ML_20M, RECBOLE, WHOLE
from experiments.bench.measure_gpu import OnGpu


@dataclass(frozen=True)
class Goal:
    """What is to be reached: a figure of a subject, at most so much."""

    text: str
    subject: str
    figure: Callable[[OnGpu], float | None]
    at_most: Callable[[OnGpu], float]
    unit: str

    def of(self, measured: dict[str, OnGpu]) -> dict[str, Any]:
        """As it is recorded; met is None where it was not measured."""
        on = measured.get(self.subject)
        value = None if on is None else self.figure(on)
        limit = None if on is None or value is None else self.at_most(on)
        met = None if value is None or limit is None else value <= limit
        told = {"goal": self.text, "subject": self.subject, "unit": self.unit}
        return {**told, "measured": value, "at_most": limit, "met": met}


GOALS = (
    Goal(
        "a whole training of SASRec on Beauty, evaluations included, in 30 s",
        f"{BEAUTY}, d 64, prefixes, float32, {WHOLE}",
        lambda on: on.training_seconds,
        lambda on: 30.0,
        "s",
    ),
    Goal(
        "an epoch of MovieLens 20M's size in 60 s, extrapolated from timed steps",
        f"{ML_20M}, d 64, windows of 200, float32",
        lambda on: on.step_seconds * on.steps,
        lambda on: 60.0,
        "s",
    ),
    Goal(
        "cross-entropy over a million items in less memory than a score for each target and item",
        f"{MILLION}, cross-entropy, float32",
        lambda on: on.gpu_peak_mb,
        lambda on: on.scores_mb,
        "MB",
    ),
)


def gpu_record(found: Found, beauty: str) -> dict[str, Any]:
    """What gpu.json holds of what was found; beauty: what is in the place of Beauty."""
    ours = found.measured.get(f"{beauty}, d 64, prefixes, float32")
    theirs = found.measured.get(f"{RECBOLE}, {beauty}")
    times = None
    if ours is not None and theirs is not None:
        times = round(seconds_per_target(theirs) / seconds_per_target(ours), 2)
    return {
        "goals": [goal.of(found.measured) for goal in GOALS],
        "recbole_over_ours": times,
        "measured": {name: vars(figures) for name, figures in found.measured.items()},
        "failed": found.failed,
        "left_out": found.left_out,
    }
