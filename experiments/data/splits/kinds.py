"""How a data set is split: the fields of each kind of split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

Target = Literal["last", "first", "random", "all", "successive"]
"""Which of a user's held-out interactions are targets, and what is read before each."""


@dataclass(frozen=True)
class SplitConfig:
    """Which interactions are trained on, and which are held out."""


@dataclass(frozen=True)
class LeaveOneOut(SplitConfig):
    """The last item of each user is test, the one before it validation, the rest training.

    Every user with three interactions or more is trained on and ranked.  Training sees what
    others did after a user's test item, as in most published tables.
    """


@dataclass(frozen=True)
class Temporal(SplitConfig):
    """A global temporal split: training ends at one moment, the same for everybody.

    After Time to Split (arXiv:2507.16289).  The test cut is the `quantile` of all interaction
    times; what lies after it is held out.  A user who is new after a cut is read from the first
    interaction there, which is no target then.
    """

    quantile: float = 0.9
    """Of all interaction times: where the training period ends; in (0, 1)."""
    target: Target = "last"
    """Of a user's held-out interactions.  last, first, random: one of them, after all that lies
    before it.  successive: each, after all that lies before it.  all: each, after what lies
    before the cut."""
    validation: Literal["time", "users", "last_train_item"] = "time"
    """time: what lies between a second, earlier cut and the first, with the same target.  users:
    some users are held out of training; their last item before the cut is the target.
    last_train_item: the last item before the cut of every user who has two there."""
    validation_quantile: float = 0.9
    """Of the interaction times before the cut: where training ends for validation: time."""
    validation_users: float = 0.1
    """Share of the users with two interactions before the cut that validation: users holds out."""
    unknown_items: Literal["drop", "rank"] = "drop"
    """Items that no training interaction has.  drop: held-out interactions with them are taken
    out of the data, so they are no targets, no candidates and not read.  rank: they stay."""

    def __post_init__(self) -> None:
        for name in ("quantile", "validation_quantile", "validation_users"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ValueError(f"{name} must lie in (0, 1), got {getattr(self, name)}")


@dataclass(frozen=True)
class Files(SplitConfig):
    """The data's own split: NAME.train.inter, NAME.valid.inter and NAME.test.inter.

    A held-out interaction is read after all of its user's in the files before, and those before
    it in its own.
    """

    target: Target = "successive"
    """Of a user's interactions in a held-out file, as under `temporal`."""
    unknown_items: Literal["drop", "rank"] = "drop"
    """Items that the training file lacks, as under `temporal`."""


SPLITS: dict[str, type[SplitConfig]] = {
    "leave_one_out": LeaveOneOut,
    "temporal": Temporal,
    "files": Files,
}


def split_words(tree: Mapping[str, Any] | str | None) -> str:
    """A split in words, from its plain values or bare kind; "" for leave-one-out.

    ({"kind": "temporal", "target": "last", "quantile": 0.8}) -> "temporal, last, quantile=0.8":
    splits of one kind differ where their words do.
    """
    values: dict[str, Any] = {"kind": tree} if isinstance(tree, str) else dict(tree or {})
    kind = values.pop("kind", "leave_one_out")
    if kind not in SPLITS or kind == "leave_one_out":
        return "" if kind == "leave_one_out" else str(kind)
    usual = {entry.name: entry.default for entry in fields(SPLITS[kind])}
    target = values.pop("target", usual.get("target"))
    others = [f"{key}={value}" for key, value in values.items() if value != usual.get(key)]
    return ", ".join([str(kind), str(target), *others])
