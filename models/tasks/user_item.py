"""A user's state picks the item that follows among the batch's targets: two towers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from augment import TrainHistories
from models.losses.class_weight import target_counts
from models.losses.in_batch import in_batch_logits, in_batch_softmax
from models.losses.info_nce import Similarity
from models.ranges import check_positive
from models.tasks.step import HistoryState, ItemEmbeddings, Requests, Step
from models.tasks.task import Task, TaskLoss


@dataclass(eq=False, repr=False)
class UserItem(Task):
    """In-batch softmax of user states over the embeddings of the batch's targets.

    Yi et al. 2019, "Sampling-bias-corrected neural modeling for large corpus item
    recommendations" (doi:10.1145/3298689.3346996): popular items are in-batch negatives more
    often, and log q takes that back.  Instead of estimating q while training, it is counted:
    q is an item's share of the targets of the training split, all items but each user's first.
    Rows with the same target are no negatives of each other (accidental hits).

    Items are ranked by dot products, so as the main loss it wants `similarity: dot`.  Under
    `examples: windows` only the target at the end of a window takes part, and with
    `anchors: one_per_user` only each user's last: few of the targets, and q is that of all of them.
    """

    temperature: float = 1.0
    """Divides similarities; > 0."""
    similarity: Similarity = "dot"
    """dot, or cosine (dot product of unit vectors)."""
    correction: Literal["log_q", "none"] = "log_q"
    """log_q: subtract the logarithm of how often an item is a target; none: do not."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("temperature", self.temperature)

    def fit(self, train: TrainHistories) -> None:
        self.register_buffer("log_q", log_target_share(train), persistent=False)

    def requests(self, step: Step) -> Requests:
        return {"users": HistoryState(), "items": ItemEmbeddings(step.batch.targets)}

    def loss(self, encoded: Mapping[str, Tensor], step: Step) -> TaskLoss:
        return TaskLoss(in_batch_softmax(self.logits(encoded, step)))

    def logits(self, encoded: Mapping[str, Tensor], step: Step) -> Tensor:
        """[B, B]; row i's own target is on the diagonal."""
        states, items = encoded["users"], encoded["items"]
        targets = step.batch.targets
        log_q = self.get_buffer("log_q")[targets] if self.correction == "log_q" else None
        same = targets[:, None] == targets  # [B, B]
        return in_batch_logits(states, items, self.temperature, self.similarity, log_q, same)

    def diagnose(self, encoded: Mapping[str, Tensor], step: Step) -> dict[str, Tensor]:
        """accuracy: share of rows whose own target has the highest logit in the batch."""
        logits = self.logits(encoded, step)
        own = torch.arange(len(logits), device=logits.device)
        return {"accuracy": (logits.argmax(dim=1) == own).float().mean()}


def log_target_share(train: TrainHistories) -> Tensor:
    """[num_items + 1]: log of each item's share of all training targets.

    An item that is never a target counts as if it were one once.
    """
    counts = F.pad(target_counts(train), (1, 0))  # padding is none
    return (counts.clamp(min=1) / counts.sum().clamp(min=1)).log()
