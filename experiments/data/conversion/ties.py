"""Interactions of a user at the same time: how many, and what their order in the file decides."""

from __future__ import annotations

import numpy as np

from experiments.data.interactions import Interactions

FOLLOWS = 0.95  # of neighbours at the same time: more in order of id, and the id is the order


def describe_ties(interactions: Interactions) -> list[str]:
    """The lines to print about them; none where there are no times or no ties.

    interactions: as trained on, in the order that ties have.
    """
    times, users, items = interactions.times, interactions.users, interactions.items
    if times is None:
        return []
    tied = (users[1:] == users[:-1]) & (times[1:] == times[:-1])  # [N - 1] with the next
    if not tied.any():
        return ["equal times: none"]
    members = int((np.append(tied, False) | np.insert(tied, 0, False)).sum())
    unlike = tied & (items[1:] != items[:-1])
    ascending = (items[1:] > items[:-1])[unlike].mean() if unlike.any() else 0.0
    ends = np.flatnonzero(np.append(users[1:] != users[:-1], True))  # [U] last of each user
    decided = int(unlike[ends - 1].sum())
    number = len(ends)
    by_id = ascending >= FOLLOWS
    order = f"{_percent(ascending)} in ascending order of item id" if by_id else "in file order"
    lines = [
        f"equal times: {members:,} interactions ({_percent(members / len(users))}) share their "
        f"time with another of the same user, {order}"
    ]
    if decided:
        lines.append(
            f"{'the item id' if by_id else 'the order of the file'} decides the test item of "
            f"{decided:,} users ({_percent(decided / number)}), whose last interactions are at "
            "the same time; --ties=shuffled, in training, draws their order instead"
        )
    return lines


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
