"""The global temporal split: what lies after a cut in time is held out, for everybody."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from experiments.data.histories import READ, TEST, TRAIN, VALID, IntArray
from experiments.data.interactions import BoolArray, Interactions
from experiments.data.splits.kinds import Temporal
from experiments.errors import UsageError

SEED = 0  # of held-out validation users; not the run's: the split is the same for all of them


def split_by_time(interactions: Interactions, split: Temporal) -> tuple[Interactions, IntArray]:
    """The interactions with their parts, and the cuts: [1] test, or [2] validation and test.

    At the moment of a cut is before it.  Errors: UsageError for interactions without times.
    """
    times = interactions.whole_times()
    if times is None:
        raise UsageError(
            f"split.kind: temporal needs times, and {interactions.source} has only an order; use "
            "leave_one_out, or a file with times"
        )
    cut = np.floor(np.quantile(times, split.quantile)).astype(np.int64)
    before = times <= cut
    parts = np.where(before, TRAIN, TEST).astype(np.int8)
    cuts = [cut]
    if split.validation == "time":
        earlier = np.floor(np.quantile(times[before], split.validation_quantile)).astype(np.int64)
        parts[before & (times > earlier)] = VALID
        cuts.insert(0, earlier)
    elif split.validation == "users":
        parts[before & drawn_users(interactions, before, split.validation_users)] = READ
    else:
        parts[last_of_two(interactions.users, before)] = VALID
    return replace(interactions, parts=parts), np.array(cuts)


def drawn_users(interactions: Interactions, before: BoolArray, share: float) -> BoolArray:
    """[N] the interactions of the drawn share of the users who have two before the cut."""
    has_two = np.bincount(interactions.users[before], minlength=len(interactions.lengths)) >= 2
    users = np.flatnonzero(has_two)
    count = max(1, round(share * len(users))) if len(users) else 0
    drawn = np.random.default_rng(SEED).choice(users, count, replace=False)
    return np.isin(interactions.users, drawn)


def last_of_two(users: IntArray, chosen: BoolArray) -> IntArray:
    """The place of the last chosen interaction of each user who has two.  users: [N] ascending."""
    places = np.flatnonzero(chosen)
    owner = users[places]
    ends = np.flatnonzero(np.diff(owner, append=-1))  # in `places`, of each user's last
    has_two = np.diff(ends, prepend=-1) >= 2
    last: IntArray = places[ends[has_two]]
    return last


def with_validation_targets(interactions: Interactions) -> Interactions:
    """Of users who are read and not trained on, the last interaction is the target."""
    assert interactions.parts is not None
    parts = interactions.parts.copy()
    parts[last_of_two(interactions.users, parts == READ)] = VALID
    return replace(interactions, parts=parts)
