"""What a split makes of histories: the training part, and the targets that are ranked."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from augment import TrainHistories
from augment.examples import IntArray, Rows, numbered
from experiments.data.histories import READ, TEST, TRAIN, VALID, Histories, PartArray

Split = Literal["valid", "test"]
Read = Literal["valid", "test", "all"]
PARTS = {"valid": VALID, "test": TEST}
SEED = 0  # of random targets; not the run's: the targets are the same for all of them


def parts_of(histories: Histories) -> PartArray:
    """[N] what each interaction is for; never falling in a user's history.

    Leave-one-out where nothing else is given: the last is test, the one before it validation.
    """
    if histories.parts is not None:
        return histories.parts
    parts = np.full(len(histories.items), TRAIN, dtype=np.int8)
    parts[histories.offsets[1:] - 2] = VALID
    parts[histories.offsets[1:] - 1] = TEST
    return parts


def counts_below(histories: Histories, part: int) -> IntArray:
    """[U] how many interactions of each user are of the parts before this one."""
    before = np.concatenate([[0], np.cumsum(parts_of(histories) < part)])
    return np.diff(before[histories.offsets])


def train_users(histories: Histories) -> IntArray:
    """[users of the training split] their numbers in the histories: all who have a part there."""
    return np.flatnonzero(counts_below(histories, READ))


def train_user_ids(histories: Histories) -> NDArray[np.str_]:
    """[users of the training split] the data file's own ids."""
    return histories.user_ids[train_users(histories)]


def train_split(histories: Histories) -> TrainHistories:
    """All that training and mining may see; its user i is `train_users(histories)[i]`."""
    return first_items(histories, counts_below(histories, READ))


def read_split(histories: Histories, read: Read) -> tuple[TrainHistories, IntArray]:
    """What a model reads of each user before a split's first target, and whose it is [users].

    valid, test: as `evaluation_rows` of that split has it; of a user without a target, the parts
    before the split's.  all: every interaction.  Users of whom nothing is read are left out.
    """
    if read == "all":
        counts = histories.lengths
    else:
        counts = counts_below(histories, PARTS[read])
        rows = evaluation_rows(histories, read, 1)
        user, first = np.unique(rows.user, return_index=True)
        counts[user] = (rows.start + rows.length)[first] - histories.offsets[user]
    return first_items(histories, counts), np.flatnonzero(counts)


def first_items(histories: Histories, counts: IntArray) -> TrainHistories:
    """The first counts[u] interactions of each user u, of those users who have any."""
    users, place = numbered(histories.lengths)
    kept = place < counts[users]
    offsets = np.concatenate([[0], np.cumsum(counts[counts > 0])])
    return TrainHistories(
        torch.from_numpy(histories.items[kept].astype(np.int64)),
        torch.from_numpy(offsets),
        histories.num_items,
        None if histories.times is None else torch.from_numpy(histories.times[kept]),
    )


def evaluation_rows(histories: Histories, split: Split, max_length: int) -> Rows:
    """An example for each target of a split: the latest max_length items that are read before it.

    Users in their order, targets of one user in the order of time; a user without a target has
    none.
    """
    part = PARTS[split]
    first = histories.offsets[:-1] + counts_below(histories, part)  # [U] of the held-out part
    count = counts_below(histories, part + 1) - counts_below(histories, part)
    user = np.flatnonzero(count)
    target = histories.target
    if target in ("successive", "all"):
        user, place = numbered(count)
    elif target == "random":
        drawn = np.random.default_rng((SEED, part)).random(len(count))
        place = np.floor(drawn * count).astype(np.int64)[user]
    else:
        place = (count[user] - 1) if target == "last" else np.zeros_like(user)
    targets = first[user] + place
    end = first[user] if target == "all" else targets
    length = np.minimum(end - histories.offsets[user], max_length)
    return Rows(end - length, length, user, target=targets)
