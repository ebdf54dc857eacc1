"""Each variant against its baseline, paired by seed and by user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.metric_names import TEST_NDCG10
from experiments.record.hits import FloatArray
from experiments.record.line import Line
from experiments.record.order import natural
from experiments.report.aggregate import Group, groups
from experiments.report.pairs import paired, same_loss, user_differences
from experiments.report.statistics import (
    LEAST_SEEDS,
    bootstrap,
    detectable_over_seeds,
    detectable_over_users,
    effect_size,
    holm,
    interval,
    resamples,
    standard_error,
)

LEVEL = 0.01
SEED = 0  # of the resamples


@dataclass(frozen=True)
class Comparison:
    """Test NDCG@10, seen items excluded: variant minus baseline over the seeds that both have.

    interval: 95 %, over seeds; effect: Cohen's d_z, None without spread; p: over users, corrected
    by Holm within the table.  All three are None where there are too few seeds to test.
    loss: both have the same next-item loss.
    detectable: the larger of what seeds and what users can show, true differences that each of the
    two finds in about 80 % of all repetitions.  Significance takes both, which find them together
    less often: in about two thirds where they are of like size.  None where no difference would be.
    """

    baseline: str
    seeds: tuple[int, ...]
    difference: float
    relative: float | None
    interval: tuple[float, float] | None
    effect: float | None
    p: float | None
    loss: bool
    detectable: float | None

    @property
    def exploratory(self) -> bool:
        """Too few paired seeds for any statement but the difference itself."""
        return len(self.seeds) < LEAST_SEEDS

    @property
    def significant(self) -> bool:
        """Do seeds and users both say that the variant differs, and may only the variant be why?"""
        if self.interval is None or self.p is None or not self.loss or self.p >= LEVEL:
            return False
        if self.effect is None:  # the seeds agree to the last digit: they were no repetitions
            return False
        low, high = self.interval
        return low > 0.0 or high < 0.0


@dataclass(frozen=True)
class Table:
    """One study on one data set under one split.

    comparisons: by variant, where the baseline has the seed.
    """

    study: str
    question: str
    dataset: str
    groups: tuple[Group, ...]
    comparisons: dict[str, Comparison]
    searched: tuple[Line, ...]
    failed: tuple[Line, ...]
    pruned: tuple[Line, ...]

    def group(self, variant: str) -> Group | None:
        return next((group for group in self.groups if group.variant == variant), None)

    @property
    def lines(self) -> list[Line]:
        """All of it: tested, searched, failed and pruned."""
        tested = [line for group in self.groups for line in group.lines]
        return [*tested, *self.searched, *self.failed, *self.pruned]

    @property
    def ranked(self) -> list[tuple[Group, Comparison]]:
        """The variants that have a baseline to be compared with, the best first."""
        pairs = [
            (group, self.comparisons[group.variant])
            for group in self.groups
            if group.variant in self.comparisons
        ]
        return sorted(pairs, key=lambda pair: -pair[1].difference)

    @property
    def alike(self) -> list[tuple[Group, Comparison]]:
        """Of `ranked`, those with the baseline's next-item loss, where there are any."""
        return [pair for pair in self.ranked if pair[1].loss] or self.ranked

    @property
    def baselines(self) -> list[Group]:
        """The variants that others are compared with."""
        names = dict.fromkeys(group.baseline for group in self.groups if group.baseline)
        return [group for name in names if (group := self.group(name)) is not None]


def tables(lines: list[Line]) -> list[Table]:
    """A table for each data set of a study's lines, and for each split of it, by name."""
    names = sorted({line.place for line in lines}, key=natural)
    return [table([line for line in lines if line.place == name]) for name in names]


def table(lines: list[Line]) -> Table:
    """lines: of one study, data set and split, one or more."""
    variants = groups(lines)
    return Table(
        study=lines[0].study,
        question=str(lines[0].values.get("question") or ""),
        dataset=lines[0].place,
        groups=tuple(variants),
        comparisons=compare(variants),
        searched=tuple(line for line in lines if line.status == "finished" and not line.tested),
        failed=tuple(line for line in lines if line.status == "failed"),
        pruned=tuple(line for line in lines if line.status == "pruned"),
    )


def compare(variants: list[Group]) -> dict[str, Comparison]:
    """All comparisons of one data set share the resamples of users and Holm's correction.

    Those of too few seeds are not tested, so they do not count in the correction either.
    """
    by_name = {group.variant: group for group in variants}
    pairs = []
    for group in variants:
        base = by_name.get(group.baseline or "")
        if base is not None and base is not group and paired(group, base):
            pairs.append((group, base))
    tested = [pair for pair in pairs if len(paired(*pair)) >= LEAST_SEEDS]
    over_users = dict(zip([group.variant for group, _ in tested], by_users(tested), strict=True))
    return {
        group.variant: comparison(group, base, over_users.get(group.variant))
        for group, base in pairs
    }


@dataclass(frozen=True)
class ByUsers:
    """p: of the paired bootstrap, corrected by Holm.  detectable: what p < LEVEL can show."""

    p: float
    detectable: float


def by_users(pairs: list[tuple[Group, Group]]) -> list[ByUsers]:
    """What users say of each comparison."""
    if not pairs:
        return []
    gains: dict[str, FloatArray] = {}
    differences = np.stack([user_differences(*pair, gains) for pair in pairs])  # [C, U]
    p = holm(bootstrap(differences, resamples(len(pairs)), np.random.default_rng(SEED)))
    return [
        ByUsers(float(value), detectable_over_users(standard_error(row), len(pairs), LEVEL))
        for value, row in zip(p, differences, strict=True)
    ]


def comparison(group: Group, base: Group, over_users: ByUsers | None) -> Comparison:
    """over_users: None where nothing was tested."""
    pairs = paired(group, base)
    ours, theirs = (np.array([pair[side].values[TEST_NDCG10] for pair in pairs]) for side in (0, 1))
    gained = ours - theirs
    mean, before = float(np.mean(gained)), float(np.mean(theirs))
    effect = None if over_users is None else effect_size(gained)
    loss = all(same_loss(*pair) for pair in pairs)
    smallest = None
    if over_users is not None and effect is not None and loss:
        over_seeds = detectable_over_seeds(standard_error(gained), len(pairs))
        smallest = max(over_seeds, over_users.detectable)
    return Comparison(
        baseline=base.variant,
        seeds=tuple(line.seed for line, _ in pairs),
        difference=mean,
        relative=mean / before if before > 0.0 else None,
        interval=None if over_users is None else interval(gained),
        effect=effect,
        p=None if over_users is None else over_users.p,
        loss=loss,
        detectable=smallest,
    )
