"""Prefixes that lead to one item share an intent, and so do those of one cluster: ICSRec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Generator, Tensor

from models.losses.info_nce import info_nce
from models.ranges import check_count, check_not_negative
from models.snapshot import Snapshot
from models.tasks.contrast_fields import OF_TWO_VIEWS, Label
from models.tasks.intents import Prototypes
from models.tasks.same_target import SameTarget
from models.tasks.step import Step
from models.tasks.task import Sizes, TaskLoss, weighted_sum


@dataclass(eq=False, repr=False)
class SubsequenceIntents(SameTarget):
    """Both contrasts of ICSRec (Qin et al., WSDM 2024, arXiv:2310.14318) on one pair of prefixes.

    Coarse: a prefix and another one that is followed by the same item (CICL).  Fine: each of the
    two and the centroid that is nearest to it, of a k-means over all training prefixes as each
    epoch starts (FICL); centroids have unit length and no gradient, and are anchors too.  The two
    fine terms are added, as in its code.  With `false_negatives`, rows of one cluster are no
    negatives of each other in the fine contrast, which reads no other field of the contrast but
    temperature and similarity.

    The loss is coarse_weight * coarse + fine_weight * fine, times `weight`.  Departs from the code:
    where a row has no negative left, it does not count in the mean; k-means starts once, from
    seeds of k-means++, not five times; `last_row` may have the same items as the row's own.
    """

    weight: float = 1.0
    """Factor of both contrasts next to the next-item loss; 0 leaves the task out."""
    coarse_weight: float = 0.3
    """Of the contrast of prefixes with the same next item: lambda of the paper."""
    fine_weight: float = 0.1
    """Of the contrast of prefixes with their centroids: beta of the paper."""
    prototypes: int = 256
    """Centroids: k-means over the states of training prefixes, which is an intent each."""
    prefixes_clustered: int = 200_000
    """Of these at most; drawn anew in each epoch where there are more."""
    positive: Literal["other_user", "other_row", "last_row"] = "other_row"
    """other_user: drawn from all prefixes of other users.  other_row: from all but the row's own,
    its user's too.  last_row: always the last of them, by user and place, as in the code."""
    false_negatives: tuple[Label, ...] = ("target",)
    """Rows with the same target, user or cluster of users are no true negatives of each other."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("coarse_weight", "fine_weight"):
            check_not_negative(name, getattr(self, name))
        if self.coarse_weight == self.fine_weight == 0.0:
            raise ValueError("coarse_weight and fine_weight are 0: nothing is left of the task")
        if self.fine_weight:
            self.refuse_unread(["momentum"], "makes b a key, and here both prefixes are anchors")
        if not self.coarse_weight:
            self.refuse_unread(
                (*OF_TWO_VIEWS, "head"), "is read by the coarse contrast alone: coarse_weight is 0"
            )
        check_count("prototypes", self.prototypes, 2)
        check_count("prefixes_clustered", self.prefixes_clustered)

    def prepare(self, sizes: Sizes) -> None:
        super().prepare(sizes)
        self.centroids = Prototypes(self.prototypes, sizes.pooled(self.pooling), saved=False)

    def start_epoch(self, epoch: int, snapshot: Snapshot, rng: Generator) -> None:
        super().start_epoch(epoch, snapshot, rng)
        if self.fine_weight:
            states = snapshot.prefixes(self.pooling, self.prefixes_clustered, rng)
            self.centroids.mine(states, rng)

    def loss(self, encoded: Mapping[str, Tensor], step: Step) -> TaskLoss:
        losses = {}
        if self.coarse_weight:
            losses["coarse"] = super().loss(encoded, step).value
        if self.fine_weight:
            losses["fine"] = self.fine(encoded["a"]) + self.fine(encoded["b"])
        return weighted_sum(losses, {"coarse": self.coarse_weight, "fine": self.fine_weight})

    def fine(self, states: Tensor) -> Tensor:
        """States [B, d] and their nearest centroids, recognised among those of the batch."""
        self.centroids.check_mined()
        own = self.centroids.nearest(states.detach())  # [B]
        intents = F.normalize(self.centroids.vectors, dim=1)[own]
        same = own[:, None] == own if self.false_negatives else None
        return info_nce(states, intents, self.temperature_now(), self.similarity, same)
