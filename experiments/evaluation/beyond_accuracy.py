"""What is recommended, whoever was right: coverage of the catalogue, popularity, novelty."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from experiments.data.histories import Histories, IntArray
from experiments.data.splits.held_out import train_split


@dataclass(frozen=True)
class TrainCounts:
    """How often, and by how many users, each item is in the training split.

    counts, users: [num_items + 1], 0 at padding.  num_users: of the training split.
    """

    counts: IntArray
    users: IntArray
    num_users: int


def train_counts(histories: Histories) -> TrainCounts:
    train = train_split(histories)
    items, offsets = train.items.numpy(), train.offsets.numpy()
    user = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    width = histories.num_items + 1
    pairs = np.unique(user * width + items)
    return TrainCounts(
        np.bincount(items, minlength=width),
        np.bincount(pairs % width, minlength=width),
        len(offsets) - 1,
    )


def beyond_metrics(items: IntArray, train: TrainCounts, cutoffs: Iterable[int]) -> dict[str, float]:
    """Of the best k items of every user, at each cutoff k.

    items: [U, K] item numbers, best first, K at least the largest cutoff or the catalogue's size;
    0 where a user has fewer.

    coverage: share of the catalogue that is recommended to anyone (Ge et al., RecSys 2010).
    arp: interactions of a recommended item in the training split; the mean over a user's items,
         then over users (average recommendation popularity, Yin et al., arXiv:1205.6700).
    novelty: -log2(users who had the item / all users) in bits, both of the training split, which
         under a split by time lacks those who came later; the mean as for arp (self-information,
         Zhou et al., PNAS 107(10), 2010).  An item of no training user counts as one of a single
         user.
    """
    catalogue = len(train.counts) - 1
    seen_by = np.maximum(train.users, 1)
    bits = np.log2(train.num_users) - np.log2(seen_by)
    result = {}
    for k in cutoffs:
        shown = items[:, :k]
        there = shown > 0
        length = np.maximum(there.sum(axis=1), 1)
        result[f"coverage@{k}"] = len(np.unique(shown[there])) / catalogue
        for name, values in (("arp", train.counts), ("novelty", bits)):
            of_user = np.where(there, values[shown], 0.0).sum(axis=1) / length
            result[f"{name}@{k}"] = float(of_user.mean())
    return result
