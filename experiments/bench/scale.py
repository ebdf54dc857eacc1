"""How time and memory grow with interactions and with items, on made-up data."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.bench.subject import Measured, Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LENGTH = 10  # interactions of each user
SPREAD = 1.4  # standard deviation of the logarithm of lengths, where they differ
CHUNK = 10_000  # users written at a time
SAMPLED = {"loss": "sampled_softmax", "negatives": 1024}
EVALUATED = 20_000  # users; all of them where there are fewer
SUBJECT = Subject(
    "sasrec", evaluated_users=EVALUATED, profiled=False,
    fields={"next_item": SAMPLED, "train.lazy_rows": True},
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One size of data."""

    interactions: int
    items: int


@dataclass(frozen=True)
class Uneven(Case):
    """So many users, whose histories are of all lengths from the shortest up."""

    users: int
    shortest: int


@dataclass(frozen=True)
class Grown:
    """What one size cost; memory is net of imports."""

    interactions: int
    items: int
    prepare_seconds: float
    prepare_mb: float
    step_ms: float
    epoch_seconds: float
    peak_mb: float
    evaluate_seconds: float | None = None  # of EVALUATED users, ranked among all items


def cases(interactions: int, items: int) -> list[Case]:
    """1, 10 and 100 times the interactions, and 1, 10 and 100 times the items."""
    more_interactions = [Case(interactions * by, items) for by in (1, 10, 100)]
    more_items = [Case(10 * interactions, items * by) for by in (10, 100)]
    return [*more_interactions, *more_items]


def scale(
    interactions: int,
    items: int,
    steps: int,
    measure: Callable[[Subject, str, str | None, int], Measured],
    say: Callable[[str], None],
) -> list[Grown]:
    """Measure each size in a process of its own."""
    sizes = []
    for case in cases(interactions, items):
        say(f"{case.interactions:,} interactions, {case.items:,} items")
        with tempfile.TemporaryDirectory() as data:
            write_random(Path(data) / "random.txt", case)
            sizes.append(grown(case, measure(SUBJECT, "random", data, steps)))
    return sizes


def grown(case: Case, measured: Measured) -> Grown:
    return Grown(
        case.interactions,
        case.items,
        measured.prepare_seconds,
        measured.prepare_mb,
        measured.step_seconds * 1e3,
        measured.step_seconds * measured.steps,
        measured.peak_mb,
        measured.evaluate_seconds,
    )


def write_random(path: Path, case: Case, seed: int = 0) -> None:
    """Items drawn by popularity like rank^-0.8; every item occurs where there are enough
    interactions."""
    rng = np.random.default_rng(seed)
    weights = np.arange(1, case.items + 1) ** -0.8
    running = np.cumsum(weights / weights.sum())
    drawn = 1 + np.searchsorted(running, rng.random(case.interactions)).clip(max=case.items - 1)
    drawn[: case.items] = 1 + rng.permutation(case.items)[: case.interactions]
    rng.shuffle(drawn)
    ends = np.cumsum(lengths_of(case, rng))
    with path.open("w", encoding="utf-8") as file:
        for first in range(0, len(ends), CHUNK):
            bounds = [int(ends[first - 1]) if first else 0, *ends[first : first + CHUNK].tolist()]
            words = [*map(str, drawn[bounds[0] : bounds[-1]].tolist())]
            for user, (start, end) in enumerate(pairwise(bounds), first + 1):
                history = words[start - bounds[0] : end - bounds[0]]
                file.write(f"{user} {' '.join(history)}\n")


def lengths_of(case: Case, rng: np.random.Generator) -> NDArray[np.int64]:
    """[U] interactions of each user: LENGTH, or what is uneven, beyond the shortest log-normal with
    the spread of MovieLens 20M's (its mean is twice its median)."""
    if not isinstance(case, Uneven):
        return np.full(case.interactions // LENGTH, LENGTH)
    more = case.interactions - case.users * case.shortest
    shares = rng.lognormal(sigma=SPREAD, size=case.users)
    bounds = np.rint(np.cumsum(shares) / shares.sum() * more).astype(np.int64)
    lengths: NDArray[np.int64] = case.shortest + np.diff(bounds, prepend=0)
    return lengths


def growth_table(sizes: list[Grown]) -> str:
    """A row a size."""
    lines = [
        f"{'interactions':>14}{'items':>11}{'prepare s':>11}{'prepare MB':>12}{'step ms':>9}"
        f"{'epoch s':>9}{'peak MB':>9}{'rank s':>8}"
    ]
    lines += [
        f"{g.interactions:14,}{g.items:11,}{g.prepare_seconds:11.1f}{g.prepare_mb:12.0f}"
        f"{g.step_ms:9.1f}{g.epoch_seconds:9.0f}{g.peak_mb:9.0f}"
        + ("" if g.evaluate_seconds is None else f"{g.evaluate_seconds:8.1f}")
        for g in sizes
    ]
    return "\n".join(lines)
