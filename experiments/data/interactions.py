"""A file's interactions on the way to histories: sorted, filtered, renumbered."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.data.histories import Histories, IntArray, PartArray
from experiments.data.ids import id_order
from experiments.errors import UsageError

BoolArray = NDArray[np.bool_]
StrArray = NDArray[np.str_]
TimeArray = NDArray[Any]  # int64 or float64
Ties = Literal["file", "shuffled"]

TIES_SEED = 0  # not the run's: the data set is the same for all of them
LARGEST_TIME = 2.0**62
SHORTEST = 3  # a test target, a validation target, and one item to predict them from


class Counts(NamedTuple):
    """The size of a data set."""

    users: int
    items: int
    interactions: int

    def __str__(self) -> str:
        return f"{self.users:,} users, {self.items:,} items, {self.interactions:,} interactions"


@dataclass(frozen=True)
class Interactions:
    """All that one file says, sorted by user, then time; ties are in file order.

    Unlike in `Histories`, no user is left out (not even one without items), and both users
    and items are numbered from 0: they index `user_ids` and `item_ids`.
    """

    source: str  # the file, for messages
    sha256: str  # of the file
    users: IntArray  # [N] ascending
    items: IntArray  # [N]
    user_ids: StrArray  # [U] in the order of `id_order`
    item_ids: StrArray  # [I] in the order of `id_order`
    times: TimeArray | None = None  # [N] None where the file holds only the order
    titles: dict[str, str] = field(default_factory=dict)  # item id -> title
    parts: PartArray | None = None  # [N] what each is for, once it is split; as in `Histories`

    @property
    def counts(self) -> Counts:
        return Counts(len(self.user_ids), len(self.item_ids), len(self.items))

    @property
    def lengths(self) -> IntArray:
        """[U] interactions of each user."""
        return np.bincount(self.users, minlength=len(self.user_ids))

    @property
    def places(self) -> IntArray:
        """[N] the place of each in its user's history, from 1."""
        lengths = self.lengths
        firsts = np.cumsum(lengths) - lengths  # [U]
        places: IntArray = np.arange(1, len(self.users) + 1) - firsts[self.users]
        return places

    def only(self, chosen: BoolArray) -> Interactions:
        """Keep the chosen interactions, and only the users and items they mention.

        chosen: [N].
        """
        kept = self._rows(chosen)
        users, user_ids = _renumber(kept.users, self.user_ids)
        items, item_ids = _renumber(kept.items, self.item_ids)
        return replace(kept, users=users, items=items, user_ids=user_ids, item_ids=item_ids)

    def with_ties_shuffled(self) -> Interactions:
        """Draw the order of each user's interactions at the same time, always the same one.

        Errors: UsageError when the file holds no times, as in `whole_times`.
        """
        if self.times is None or self.whole_times() is None:
            raise UsageError(
                f"ties: {self.source} has no times, only an order, so nothing in it is known to "
                "be at the same time; leave ties at file"
            )
        drawn = np.random.default_rng(TIES_SEED).permutation(len(self.items))
        parts = () if self.parts is None else (self.parts,)
        return self._rows(np.lexsort((drawn, self.times, *parts, self.users)))

    def trainable(self) -> Interactions:
        """Leave out users with fewer than three interactions, and items that only they have.

        Numbers follow the order of the ids that are left. Errors: UsageError when nobody is.
        """
        enough = self.lengths >= SHORTEST  # [U]
        if not enough.any():
            raise UsageError(
                f"{self.source}: no user has {SHORTEST} interactions or more; a history needs "
                "a test item, a validation item and at least one before them"
            )
        return (self if enough.all() else self.only(enough[self.users]))._in_order()

    def histories(self, name: str) -> Histories:
        """The users with at least three interactions, ready to train on as data set `name`.

        All users where the interactions are split already.  Errors: UsageError when there is no
        such user.
        """
        kept = self.trainable() if self.parts is None else self._in_order()
        return Histories(
            name=name,
            items=kept.items + 1,
            offsets=np.concatenate([np.zeros(1, np.int64), np.cumsum(kept.lengths)]),
            item_ids=np.concatenate([np.array([""]), kept.item_ids]),
            user_ids=kept.user_ids,
            sha256=self.sha256,
            users_left_out=len(self.user_ids) - len(kept.user_ids),
            titles={i: self.titles[i] for i in kept.item_ids.tolist() if i in self.titles},
            times=kept.whole_times(),
            parts=kept.parts,
        )

    def whole_times(self) -> IntArray | None:
        """[N] times in whole units, rounded down: seconds where their unit was known.

        None where there are none, also where every history is numbered 1, 2, 3 ...: so a file
        is written whose data have no times (`write_inter`).
        """
        if self.times is None or np.array_equal(self.times, self.places):
            return None
        return np.floor(self.times).clip(-LARGEST_TIME, LARGEST_TIME).astype(np.int64)

    def _in_order(self) -> Interactions:
        """Sort by `id_order`, which may change when only integers are left among the ids."""
        users, items = id_order(self.user_ids), id_order(self.item_ids)  # [U], [I]
        if (np.diff(users) > 0).all() and (np.diff(items) > 0).all():
            return self
        numbered = replace(
            self,
            users=np.argsort(users)[self.users],
            items=np.argsort(items)[self.items],
            user_ids=self.user_ids[users],
            item_ids=self.item_ids[items],
        )
        return numbered._rows(np.argsort(numbered.users, kind="stable"))

    def _rows(self, rows: BoolArray | IntArray) -> Interactions:
        """These interactions, in this order, with the numbers and ids that they have."""
        return replace(
            self,
            users=self.users[rows],
            items=self.items[rows],
            times=None if self.times is None else self.times[rows],
            parts=None if self.parts is None else self.parts[rows],
        )


def _renumber(numbers: IntArray, ids: StrArray) -> tuple[IntArray, StrArray]:
    """Number only the ids in use, in the same order."""
    used = np.bincount(numbers, minlength=len(ids)) > 0
    return (np.cumsum(used) - 1)[numbers], ids[used]
