"""A data set in memory: two flat arrays and the names behind their numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from experiments.data.splits.kinds import Target

PartArray = NDArray[np.int8]
TRAIN, READ, VALID, TEST = range(4)
"""What an interaction is for: trained on; read before held-out ones, and nothing else; ranked as
a target, when validation or test says so."""
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Histories:
    """All users' interactions, user after user, in time order.

    Items are numbered 1..num_items (0 is padding); users 0..num_users - 1. Under leave-one-out
    only users with at least three interactions are kept: the last is the test target, the one
    before the validation target, and something must be left to predict them from.
    """

    name: str
    items: IntArray  # [N] item numbers
    offsets: IntArray  # [U + 1]; user u owns items[offsets[u] : offsets[u + 1]]
    item_ids: NDArray[np.str_]  # [num_items + 1] the file's own ids; "" at 0
    user_ids: NDArray[np.str_]  # [U] the file's own ids
    sha256: str  # of the file the interactions were read from
    users_left_out: int = 0  # users with fewer than three interactions
    titles: dict[str, str] = field(default_factory=dict)  # item id -> title, where known
    times: IntArray | None = None  # [N] never falling in a history; None where there are none
    parts: PartArray | None = None  # [N] never falling in a history; None: leave-one-out
    target: Target = "last"  # which of a user's held-out interactions are ranked
    counts: dict[str, int] = field(default_factory=dict)  # what the split found

    @property
    def num_users(self) -> int:
        return len(self.offsets) - 1

    @property
    def num_items(self) -> int:
        return len(self.item_ids) - 1

    @property
    def lengths(self) -> IntArray:
        """[U] interactions of each user."""
        return np.diff(self.offsets)

    @cached_property
    def first_occurrences(self) -> NDArray[np.bool_]:
        """[N] whether it is the first interaction of its user with its item."""
        users = np.repeat(np.arange(self.num_users), self.lengths)
        pairs = users * (self.num_items + 1) + self.items
        first = np.zeros(len(pairs), dtype=np.bool_)
        first[np.unique(pairs, return_index=True)[1]] = True
        return first
