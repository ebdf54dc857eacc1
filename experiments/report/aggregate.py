"""Lines to rows: mean and standard deviation over the seeds of a variant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from experiments.record.hits import FloatArray
from experiments.record.line import Line
from experiments.record.merge import check_together
from experiments.record.order import natural
from experiments.report.statistics import LEAST_SEEDS, interval


@dataclass(frozen=True)
class Mean:
    """Over `n` seeds.  sd: with n - 1, None for one seed.

    low, high: the 95 % t-interval, None for fewer seeds than a test needs.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def half_width(self) -> float:
        """Of the interval; 0 where there is none."""
        return 0.0 if self.low is None else self.mean - self.low


@dataclass(frozen=True)
class Group:
    """The tested trials of one variant on one data set, a line a seed, by seed."""

    variant: str
    lines: tuple[Line, ...]

    @property
    def baseline(self) -> str | None:
        return self.lines[0].baseline

    def mean(self, key: str) -> Mean | None:
        """None where no line has the number."""
        values = [line.number(key) for line in self.lines]
        return mean_of(np.array([value for value in values if value is not None]))

    def tested_mean(self, key: str) -> Mean:
        """Of a metric that every tested line has."""
        mean = self.mean(key)
        assert mean is not None
        return mean


def mean_of(values: FloatArray) -> Mean | None:
    if not len(values):
        return None
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    low, high = (interval(values) if len(values) >= LEAST_SEEDS else None) or (None, None)
    return Mean(float(np.mean(values)), sd, low, high, len(values))


def groups(lines: Iterable[Line]) -> list[Group]:
    """The variants of one data set: baselines first, then by name, numbers by size.

    UsageError where two trials are of the same variant and seed, or trials read different data.
    """
    by_variant: dict[str, list[Line]] = {}
    for line in lines:
        if line.tested:
            by_variant.setdefault(line.variant, []).append(line)
    check_together([line for of_variant in by_variant.values() for line in of_variant])
    compared = {line.baseline for of_variant in by_variant.values() for line in of_variant}
    order = sorted(by_variant, key=lambda name: (name not in compared, natural(name)))
    return [
        Group(name, tuple(sorted(by_variant[name], key=lambda line: line.seed))) for name in order
    ]


def tally(values: Iterable[str]) -> list[tuple[str, int]]:
    """Each value with how often it occurs, the most frequent first."""
    return sorted(Counter(values).items(), key=lambda pair: (-pair[1], pair[0]))
