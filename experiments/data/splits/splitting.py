"""From a data set's files to histories whose parts are decided, with what was counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from experiments.data.histories import READ, TRAIN, VALID, Histories, IntArray
from experiments.data.interactions import Interactions
from experiments.data.splits.held_out import Split, counts_below, evaluation_rows
from experiments.data.splits.kinds import Files, LeaveOneOut, SplitConfig, Temporal
from experiments.data.splits.temporal import split_by_time, with_validation_targets
from experiments.errors import UsageError


def split_histories(interactions: Interactions, name: str, split: SplitConfig) -> Histories:
    """The histories of data set `name` under a split.

    interactions: with parts already, where the data's own files say them (`Files`).
    Errors: UsageError where the split leaves nothing to train on, to validate or to test.
    """
    if isinstance(split, LeaveOneOut):
        return interactions.histories(name)
    assert isinstance(split, (Temporal, Files))
    counts: dict[str, int] = {}
    if isinstance(split, Files):  # now, while places that stand for times have no gaps
        interactions = replace(interactions, times=interactions.whole_times())
    if isinstance(split, Temporal):
        interactions, cuts = split_by_time(interactions, split)
        counts |= {"cut_test": int(cuts[-1])}
        counts |= {"cut_valid": int(cuts[0])} if len(cuts) > 1 else {}
    interactions, unknown = without_unknown(interactions, split.unknown_items == "drop")
    if isinstance(split, Temporal) and split.validation == "users":
        interactions = with_validation_targets(interactions)
    interactions, new = read_new_users(interactions)
    histories = replace(interactions.histories(name), target=split.target)
    counts |= counted(histories) | unknown | new
    check_parts(interactions.source, counts, split)
    return replace(histories, counts=counts)


def without_unknown(interactions: Interactions, drop: bool) -> tuple[Interactions, dict[str, int]]:
    """Held-out interactions with items that no training interaction has: counted, and dropped
    where that is asked for."""
    parts = interactions.parts
    assert parts is not None
    known = np.zeros(len(interactions.item_ids), dtype=np.bool_)
    known[interactions.items[parts == TRAIN]] = True
    unknown = ~known[interactions.items]  # [N]
    counts = {
        "unknown_items": int((~known).sum()),
        "unknown_interactions": int(unknown.sum()),
    }
    return interactions.only(~unknown) if drop else interactions, counts


def read_new_users(interactions: Interactions) -> tuple[Interactions, dict[str, int]]:
    """A user whose first interaction would be a target is read from it instead."""
    assert interactions.parts is not None
    parts = interactions.parts.copy()
    first = np.flatnonzero(np.diff(interactions.users, prepend=-1))  # [U]
    new = first[parts[first] >= VALID]
    parts[new] = READ
    alone = interactions.lengths[interactions.users[new]] < 2
    counts = {"new_users": len(new), "new_users_without_target": int(alone.sum())}
    return replace(interactions, parts=parts), counts


def counted(histories: Histories) -> dict[str, int]:
    """Users and interactions of the training part, users and targets of the others."""
    trained = counts_below(histories, READ)
    counts = {"train_users": int((trained > 0).sum()), "train_interactions": int(trained.sum())}
    splits: tuple[Split, ...] = ("valid", "test")
    for split in splits:
        users: IntArray = evaluation_rows(histories, split, 1).user
        counts |= {f"{split}_users": len(np.unique(users)), f"{split}_targets": len(users)}
    return counts


def check_parts(source: str, counts: dict[str, int], split: Temporal | Files) -> None:
    """Errors: UsageError, in one line, for a part that is empty."""
    for part in ("test", "valid"):
        if counts[f"{part}_targets"]:
            continue
        if isinstance(split, Files):
            why = f"the {part} file has no interaction whose user and item are known before it"
        elif part == "test":
            why = f"split.quantile: {split.quantile:g} leaves no test user in {source}"
        else:
            why = f"split.validation: {split.validation} leaves no validation user in {source}"
        if split.unknown_items == "drop" and counts["unknown_interactions"]:
            why += (
                f"; {counts['unknown_interactions']} interactions with items that training lacks "
                "are dropped (split.unknown_items: drop)"
            )
        raise UsageError(why if isinstance(split, Temporal) else f"{source}: {why}")


def described(split: SplitConfig, counts: dict[str, int]) -> list[str]:
    """What a split made of the data, in lines of text."""
    assert isinstance(split, (Temporal, Files))
    kind = "temporal" if isinstance(split, Temporal) else "files"
    lines = [
        f"split: {kind}, {counts['train_interactions']} interactions of {counts['train_users']} "
        f"users to train on; targets ({split.target}): {counts['valid_targets']} of "
        f"{counts['valid_users']} users for validation, {counts['test_targets']} of "
        f"{counts['test_users']} for test"
    ]
    if counts["unknown_items"]:
        what = "dropped" if split.unknown_items == "drop" else "ranked"
        lines.append(
            f"{counts['unknown_items']} items have no training interaction: their "
            f"{counts['unknown_interactions']} held-out ones are {what}"
        )
    if counts["new_users"]:
        lines.append(
            f"{counts['new_users']} users have no training interaction and are read from their "
            f"first; {counts['new_users_without_target']} of them have no other"
        )
    return lines
