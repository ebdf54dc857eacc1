"""Made-up data sets in which something is planted that a contrast can find."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CLUSTERS = 15
ITEMS = 300
NOISE = 0.4  # share of the choices that have nothing to do with the user


@dataclass(frozen=True)
class World:
    """Histories in which nobody has an item twice, and what is hidden from the recommender.

    histories:    item numbers from 1, oldest first: an array for each user.
    user_cluster: [U] what each user is after.
    item_cluster: [ITEMS] where item i + 1 belongs.
    attributes:   item number -> attributes; empty where nothing is known about items.
    """

    histories: list[Ints]
    user_cluster: Ints
    item_cluster: Ints
    attributes: dict[int, list[str]]

    def write(self, folder: Path, name: str) -> None:
        """folder/name.txt and, where there are some, folder/name_item2attributes.json."""
        rows = [[user, *items.tolist()] for user, items in enumerate(self.histories, start=1)]
        text = "".join(" ".join(map(str, row)) + "\n" for row in rows)
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        if self.attributes:
            path = folder / f"{name}_item2attributes.json"
            path.write_text(json.dumps(self.attributes), encoding="utf-8")


def noisy_clusters(seed: int, users: int = 600, shortest: int = 5, longest: int = 9) -> World:
    """Every user is after one of 15 equal groups of items, and 2 choices in 5 are noise.

    Planted: nothing but the group decides what is next; order and popularity say nothing.  The
    best guess after any history is the rest of the user's group.  No item is frequent (ten times
    or so in training) and two histories of one group share few items, so pairs of an item and
    the next one say little: what helps is to be told that whole histories belong together.
    """
    rng = np.random.default_rng(seed)
    item_cluster = np.arange(ITEMS) % CLUSTERS
    user_cluster = rng.integers(CLUSTERS, size=users)
    own = user_cluster[:, None] == item_cluster  # [U, ITEMS]
    share = (1.0 - NOISE) * own * CLUSTERS / ITEMS + NOISE / ITEMS
    lengths = rng.integers(shortest, longest + 1, size=users)
    return World(without_repeats(share, lengths, rng), user_cluster, item_cluster, {})


def longer_histories(seed: int) -> World:
    """The same groups in histories of 8 to 12: long enough for clusters of users to be found."""
    return noisy_clusters(seed, users=500, shortest=8, longest=12)


def attributes_of_rare_items(seed: int) -> World:
    """The same groups in histories of 4 or 5; each item's attributes name its group.

    Planted: an item occurs about five times in training, too few to place it, but it has two
    attributes: its group, and one of 20 that mean nothing.  Only who reads attributes can tell
    that two items of a group, which may never have met in a history, go together.
    """
    world = noisy_clusters(seed, shortest=4, longest=5)
    idle = np.random.default_rng([seed, 1]).integers(20, size=ITEMS)
    pairs = enumerate(zip(world.item_cluster, idle, strict=True), start=1)
    return replace(world, attributes={item: [f"group {g}", f"idle {i}"] for item, (g, i) in pairs})


def without_repeats(share: Floats, lengths: Ints, rng: Generator) -> list[Ints]:
    """lengths[u] distinct items of user u, drawn one after the other by share, in random order.

    share: [U, ITEMS].  The largest of log share + Gumbel noise are such a draw.
    """
    keys = np.log(share) + rng.gumbel(size=share.shape)
    order = np.argsort(-keys, axis=1) + 1  # [U, ITEMS] item numbers
    return [rng.permutation(row[:length]) for row, length in zip(order, lengths, strict=True)]


WORLDS: dict[str, Callable[[int], World]] = {
    "noisy_clusters": noisy_clusters,
    "longer_histories": longer_histories,
    "attributes": attributes_of_rare_items,
}
