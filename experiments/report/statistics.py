"""Paired tests over seeds and over users."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from experiments.record.hits import FloatArray

RESAMPLES = 10_000
PER_TEST = 400
"""Resamples for each test of a table: the smallest p, 2 / (resamples + 1), is then below .01 after
Holm's correction, whatever the table's length."""
LEAST_SEEDS = 3
"""Paired seeds below which nothing is tested: of two, the t-interval is 13 standard errors wide."""
POWER = 0.8
CELLS = 200_000  # counts drawn at once: they stay in a processor's cache
ROUNDING = 1e-12  # differences are of the order of .1: a sum or spread this small is 0


def interval(values: FloatArray) -> tuple[float, float] | None:
    """The 95 % interval of Student's t for the mean of `values`; None for fewer than two."""
    if len(values) < 2:
        return None
    half = quantile(len(values) - 1) * standard_error(values)
    mean = float(np.mean(values))
    return mean - half, mean + half


@lru_cache
def quantile(degrees: int, share: float = 0.975) -> float:
    """Below which a share of Student's t lies; 95 % lie within the default, either side."""
    from scipy.stats import t

    return float(t.ppf(share, degrees))


def standard_error(values: FloatArray) -> float:
    """Of the mean of `values`, two or more."""
    return float(np.std(values, ddof=1)) / math.sqrt(len(values))


def detectable_over_seeds(error: float, seeds: int) -> float:
    """The smallest true difference that the t-interval over `seeds` seeds shows, 4 times in 5.

    (t_.975 + t_.8) e, t of n - 1 degrees, e the standard error of the paired differences: the
    minimum detectable effect of Bloom (Evaluation Review 19(5), 1995).  seeds: n, at least 2.
    """
    return (quantile(seeds - 1) + quantile(seeds - 1, POWER)) * error


def detectable_over_users(error: float, tests: int, level: float) -> float:
    """The smallest true difference with p < `level` over users after Holm, 4 times in 5.

    (z_(1 - level / 2m) + z_.8) e, e the standard error of the users' differences; of m tests the
    smallest p is multiplied by m.
    """
    normal = NormalDist()
    return (normal.inv_cdf(1.0 - level / (2 * tests)) + normal.inv_cdf(POWER)) * error


def effect_size(differences: FloatArray) -> float | None:
    """Cohen's d_z: mean over standard deviation of paired differences; None where that is 0."""
    if len(differences) < 2:
        return None
    spread = float(np.std(differences, ddof=1))
    return float(np.mean(differences)) / spread if spread > ROUNDING else None


def resamples(tests: int) -> int:
    """How many the bootstrap of a table of so many tests draws."""
    return max(RESAMPLES, PER_TEST * tests)


def holm(p: FloatArray) -> FloatArray:
    """Holm's step-down correction: the smallest of m times m, the next times m - 1, never less.

    p: [m]; returns [m] in the same order, at most 1.
    """
    order = np.argsort(p, kind="stable")
    steps = np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * steps))
    return corrected


def bootstrap(differences: FloatArray, resamples: int, rng: Generator) -> FloatArray:
    """Two-sided p of each comparison by resampling users.

    All comparisons share the resamples.  differences: [C, U] per user; returns [C].
    """
    comparisons, users = differences.shape
    moved = np.flatnonzero(np.any(differences != 0.0, axis=0))
    if not len(moved):
        return np.ones(comparisons)
    of_moved = np.ascontiguousarray(differences[:, moved].T)  # [N, C]
    blocks = resampled(users, len(moved), resamples, rng)
    return two_sided(counts @ of_moved for counts in blocks)


def two_sided(sums: Iterable[FloatArray]) -> FloatArray:
    """Two-sided p of resampled sums: how often do they change their sign?

    p = min(1, 2 min((1 + #(sum <= 0)) / (R + 1), (1 + #(sum >= 0)) / (R + 1))).
    sums: blocks of [r, ...], R resamples in all; returns [...].
    """
    low, high, drawn = np.zeros(()), np.zeros(()), 0
    for block in sums:
        low = low + np.count_nonzero(block <= ROUNDING, axis=0)
        high = high + np.count_nonzero(block >= -ROUNDING, axis=0)
        drawn += len(block)
    smaller: FloatArray = np.minimum(low, high)
    return np.minimum(1.0, 2.0 * (1.0 + smaller) / (drawn + 1.0))


def resampled(
    users: int, moved: int, resamples: int, rng: Generator
) -> Iterator[NDArray[np.float64]]:
    """[r, moved] blocks of how often each user who matters is drawn, of `users` draws in all.

    Users whose differences are all 0 add nothing, so they are one cell of the multinomial: first
    how many draws fall on the others, then which.  That is exact.
    """
    rows = max(1, CELLS // users)
    for start in range(0, resamples, rows):
        block = min(rows, resamples - start)
        draws = rng.binomial(users, moved / users, size=block)
        row = np.repeat(np.arange(block), draws)
        cell = row * moved + rng.integers(moved, size=len(row))
        counts = np.bincount(cell, minlength=block * moved)
        yield counts.reshape(block, moved).astype(np.float64)
