"""What may be left out of a data set before it is written: repeats, and rare users and items."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.data.interactions import BoolArray, Counts, Interactions
from experiments.errors import UsageError


class Repeats(NamedTuple):
    """[N] each: a user's interaction with an item that he had before, and that he has later; a
    row with user, item and time of the one before it."""

    again: BoolArray
    later: BoolArray
    exact: BoolArray


def repeats(interactions: Interactions) -> Repeats:
    """Which interactions repeat another; without times none is exact."""
    pairs = interactions.users * len(interactions.item_ids) + interactions.items  # [N]
    order = np.argsort(pairs, kind="stable")  # a pair's interactions in order of time
    same = pairs[order[1:]] == pairs[order[:-1]]  # [N - 1]
    again, later, exact = np.zeros((3, len(pairs)), dtype=np.bool_)
    again[order[1:]], later[order[:-1]] = same, same
    if interactions.times is not None:
        at_once = interactions.times[order[1:]] == interactions.times[order[:-1]]
        exact[order[1:]] = same & at_once
    return Repeats(again, later, exact)


def without_repeats(interactions: Interactions, found: Repeats, duplicates: str) -> Interactions:
    """Leave out what a recipe's `duplicates` says.

    Errors: UsageError for exact ones where there are no times.
    """
    if duplicates == "exact" and interactions.times is None:
        raise UsageError(
            f"{interactions.source} has no times, so no two rows are known to be the same: "
            "--duplicates takes first or last here"
        )
    gone = {"keep": None, "exact": found.exact, "first": found.again, "last": found.later}
    left_out = gone[duplicates]
    return interactions if left_out is None else interactions.only(~left_out)


def to_core(
    interactions: Interactions, user_core: int, item_core: int
) -> tuple[Interactions, list[Counts]]:
    """Remove users with fewer than user_core interactions, and items with fewer than item_core,
    until none is left.

    Also returns what each round left, in order: an empty list when nothing had to go.
    Which users and items stay does not depend on the order of removal. Errors: UsageError
    for a core below 1, and when nothing is left, with the counts of each round.
    """
    if min(user_core, item_core) < 1:
        raise UsageError(
            f"a core needs k >= 1, not {min(user_core, item_core)}: the fewest interactions to keep"
        )
    rounds: list[Counts] = []
    while True:
        users = interactions.lengths >= user_core  # [U]
        per_item = np.bincount(interactions.items, minlength=len(interactions.item_ids))  # [I]
        items = per_item >= item_core
        if users.all() and items.all():
            return interactions, rounds
        interactions = interactions.only(users[interactions.users] & items[interactions.items])
        rounds.append(interactions.counts)
        if not len(interactions.items):
            told = "; ".join(f"round {n}: {left}" for n, left in enumerate(rounds, 1))
            raise UsageError(
                f"{interactions.source}: the {core_name(user_core, item_core)} leaves nothing "
                f"({told}); --k-core 1 keeps everything"
            )


def core_name(user_core: int, item_core: int) -> str:
    """ "5-core", "5-core of items", or "core of 5 for users and 10 for items"."""
    if user_core == item_core:
        return f"{user_core}-core"
    if min(user_core, item_core) == 1:
        return f"{item_core}-core of items" if user_core == 1 else f"{user_core}-core of users"
    return f"core of {user_core} for users and {item_core} for items"
