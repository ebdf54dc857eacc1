"""The users of the training split as negatives and as groups."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from augment import Sequences, TrainHistories
from augment.sequences import random_below
from models.kmeans import kmeans
from models.snapshot import Snapshot
from models.tasks.train_items import TrainItems


class UserHistories(TrainItems):
    """Every user's training history, its latest max_length items, to draw from."""

    starts: Tensor
    lengths: Tensor

    def __init__(self, train: TrainHistories, max_length: int) -> None:
        super().__init__(train)
        lengths = train.offsets.diff().clamp(max=max_length)
        self.max_length = max_length
        self.register_buffer("starts", train.offsets[1:] - lengths, persistent=False)
        self.register_buffer("lengths", lengths, persistent=False)

    def draw(self, count: int, rng: Generator) -> tuple[Tensor, Sequences]:
        """`count` users, each as likely as any other, with replacement: their numbers and items."""
        users = len(self.lengths)
        drawn = random_below(torch.full((count,), users, device=self.lengths.device), rng)
        lengths = self.lengths[drawn]
        return drawn, self.cut(self.starts[drawn], lengths, self.max_length)


class UserClusters(nn.Module):
    """Users grouped by k-means of their training histories, anew as each epoch starts.

    A history is the mean over its states, without dropout; all batches of an epoch see the
    same groups.  They are made from the weights, so they need not be saved.
    """

    numbers: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("numbers", None, persistent=False)

    def mine(self, clusters: int, snapshot: Snapshot, rng: Generator) -> None:
        _, self.numbers = kmeans(snapshot.histories("mean"), clusters, rng)

    def of(self, users: Tensor) -> Tensor:
        """The cluster of each user [N]: int64 [N]."""
        if self.numbers is None:
            raise RuntimeError("clusters are made as an epoch starts: call start_epoch first")
        return self.numbers[users]
