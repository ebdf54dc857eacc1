"""A variant and its baseline seed by seed, and user by user."""

from __future__ import annotations

import numpy as np

from experiments.aliases import without_added
from experiments.errors import UsageError
from experiments.metric_names import TEST_NDCG10
from experiments.record.hits import FloatArray, decode_counts, decode_hits
from experiments.record.line import HITS, OWNERS, Line
from experiments.report.aggregate import Group


def paired(group: Group, base: Group) -> list[tuple[Line, Line]]:
    """The lines of both, seed by seed."""
    by_seed = {line.seed: line for line in base.lines}
    return [(line, by_seed[line.seed]) for line in group.lines if line.seed in by_seed]


def same_loss(line: Line, other: Line) -> bool:
    """Do both learn with one next-item loss, of the same fields?"""
    if line.loss is None or line.loss != other.loss:
        return False
    ours, theirs = ({"next_item": each.next_item} for each in (line, other))
    return without_added(ours) == without_added(theirs)


def user_differences(group: Group, base: Group, gains: dict[str, FloatArray]) -> FloatArray:
    """[U] NDCG@10 of each user, averaged over the seeds, variant minus baseline."""
    parts = [ndcg(ours, gains) - ndcg(theirs, gains) for ours, theirs in paired(group, base)]
    return np.asarray(np.mean(parts, axis=0))


def ndcg(line: Line, gains: dict[str, FloatArray]) -> FloatArray:
    """[U] from the ranks in the line, which have to agree with its metric; kept in `gains`.

    Where users have several targets, each user's is the sum over them, scaled so that the mean
    over users is the mean over targets, which the metric is: users are what is resampled.
    """
    if line.trial not in gains:
        where = f"{line.study}: trial {line.trial}"
        try:
            ranks = decode_hits(line.values[HITS], line.targets)
            of_user = by_user(gain_of(ranks), line)
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{where}: {HITS!r} cannot be read ({error})") from None
        if abs(float(of_user.mean()) - line.values[TEST_NDCG10]) > 1e-6:
            raise UsageError(f"{where}: {HITS!r} and {TEST_NDCG10!r} do not agree")
        gains[line.trial] = of_user
    return gains[line.trial]


def by_user(of_target: FloatArray, line: Line) -> FloatArray:
    """[U] from [T], whose owners the line says where they are not one each."""
    if OWNERS not in line.values:
        return of_target
    counts = decode_counts(line.values[OWNERS])
    if counts.sum() != len(of_target) or not counts.all():
        raise ValueError(f"{OWNERS!r} is of {counts.sum()} targets, not of {len(of_target)}")
    first = np.cumsum(counts) - counts
    scale = len(counts) / len(of_target)
    return np.asarray(np.add.reduceat(of_target, first) * scale)


def gain_of(ranks: FloatArray) -> FloatArray:
    """[T] NDCG@10 of one target at each rank."""
    return np.where(ranks <= 10, 1.0 / np.log2(1.0 + ranks), 0.0)
