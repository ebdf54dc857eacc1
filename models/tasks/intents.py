"""A history is recognised by what its user seems to be after: ICLRec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from models.kmeans import kmeans, squared_distances
from models.losses.info_nce import Similarity, info_nce, similarities
from models.ranges import check_positive
from models.snapshot import Pooling, Snapshot
from models.tasks.step import Batch, EncodingRequest, HistoryState, Requests, SharedView, Step, View
from models.tasks.task import Sizes, Task, TaskLoss


@dataclass(eq=False, repr=False)
class Intents(Task):
    """Contrast each history with the centroid of its cluster against all other centroids.

    Intent contrast of ICLRec (arXiv:2202.02519): as each epoch starts, training
    histories are clustered by k-means; a row's intent is the centroid of its cluster, by
    `intent_of`.  The negatives are the other centroids, all distinct, as in ProtoNCE
    (arXiv:2005.04966), so there is no false negative to mask.  Departs from ICLRec's code,
    whose anchors are the two augmented views and whose negatives are the views and centroids
    of the other rows, where rows of one intent have to be masked: `views_of` names the task that
    makes the views, `negatives: in_batch` takes these negatives.
    """

    clusters: tuple[int, ...] = (256,)
    """Numbers of centroids, 2 or more each; the loss is the mean over these clusterings."""
    temperature: float = 1.0
    """Divides similarities; > 0."""
    similarity: Similarity = "dot"
    """dot, or cosine.  Centroids have unit length either way, as in ICLRec's code."""
    pooling: Pooling = "mean"
    """Representation of a history, for the clusters and for the contrast; as of every contrast."""
    views_of: str | None = None
    """Name of the two-view task whose views are the anchors, as in ICLRec's code, instead of the
    history itself; the loss is their mean.  They are encoded once for both tasks, where the code
    encodes them again, under another dropout mask."""
    negatives: Literal["centroids", "in_batch"] = "centroids"
    """centroids: all others.  in_batch: the anchors and centroids of the other rows, where
    centroids are anchors too, as in ICLRec's code."""
    mask_same_intent: bool = False
    """Of in_batch: rows of one intent are no negatives of each other."""
    intent_of: Literal["row", "user"] = "row"
    """row: the centroid nearest to the row's own representation, as ICLRec's code asks.  user: the
    one that the user's whole training history fell to, which may say what a short row cannot."""
    warm_start: bool = False
    """Begin k-means from the centroids of the epoch before, which are then saved with the model;
    else from newly drawn seeds, as ICLRec's code does."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.clusters or min(self.clusters) < 2:
            raise ValueError(f"clusters must be numbers of at least 2, got {self.clusters}")
        check_positive("temperature", self.temperature)
        if self.mask_same_intent and self.negatives != "in_batch":
            raise ValueError("mask_same_intent is of negatives: in_batch; centroids are distinct")
        self.prototypes = nn.ModuleList()

    def prepare(self, sizes: Sizes) -> None:
        width = sizes.pooled(self.pooling)
        self.prototypes.extend(Prototypes(count, width, self.warm_start) for count in self.clusters)

    def centroids(self) -> list[Prototypes]:
        return [part for part in self.prototypes if isinstance(part, Prototypes)]

    def start_epoch(self, epoch: int, snapshot: Snapshot, rng: Generator) -> None:
        histories = snapshot.histories(self.pooling)  # [U, d]
        for prototypes in self.centroids():
            prototypes.mine(histories, rng)

    def reads_views_of(self) -> Sequence[str]:
        return () if self.views_of is None else (self.views_of,)

    def requests(self, step: Step) -> Requests:
        own: EncodingRequest = View(step.batch.histories, self.pooling)
        if self.pooling == "last" or self.pooling == "mean":
            own = HistoryState(self.pooling)
        if self.views_of is None:
            return {"histories": own}
        shared = {name: SharedView(self.views_of, name, self.pooling) for name in ("a", "b")}
        return {"histories": own, **shared}

    def loss(self, encoded: Mapping[str, Tensor], step: Step) -> TaskLoss:
        anchors = [encoded[name] for name in encoded if name != "histories"]
        losses = [
            self.contrast(states, prototypes, own)
            for prototypes, own in self.intents(encoded["histories"], step.batch)
            for states in anchors or [encoded["histories"]]
        ]
        return TaskLoss(torch.stack(losses).mean())

    def intents(self, states: Tensor, batch: Batch) -> list[tuple[Prototypes, Tensor]]:
        """Every clustering, and the number of each row's own centroid in it: [B]."""
        found = []
        for prototypes in self.centroids():
            prototypes.check_mined()
            if self.intent_of == "user":
                found.append((prototypes, prototypes.of_user[batch.users]))
            else:
                found.append((prototypes, prototypes.nearest(states.detach())))
        return found

    def contrast(self, states: Tensor, prototypes: Prototypes, own: Tensor) -> Tensor:
        """Anchors [B, d] and the centroids that are theirs, against the others."""
        if self.negatives == "centroids":
            return F.cross_entropy(self.logits(states, prototypes), own)
        same = own[:, None] == own if self.mask_same_intent else None
        unit = F.normalize(prototypes.vectors, dim=1)
        return info_nce(states, unit[own], self.temperature, self.similarity, same)

    def logits(self, states: Tensor, prototypes: Prototypes) -> Tensor:
        """Similarities [B, K] to all centroids, -inf where there is none."""
        unit = F.normalize(prototypes.vectors, dim=1)
        logits = similarities(states, unit, self.similarity) / self.temperature
        return logits.masked_fill(~prototypes.used, float("-inf"))

    def diagnose(self, encoded: Mapping[str, Tensor], step: Step) -> dict[str, Tensor]:
        """accuracy: histories most similar to their own centroid; intents: how many a batch has."""
        states, right, held = encoded["histories"], [], []
        for prototypes, own in self.intents(states, step.batch):
            logits = self.logits(states, prototypes)
            right.append((logits.argmax(dim=1) == own).float().mean())
            held.append(torch.zeros_like(logits[0]).scatter(0, own, 1.0).sum())
        return {"accuracy": torch.stack(right).mean(), "intents": torch.stack(held).mean()}


class Prototypes(nn.Module):
    """The centroids of one clustering.

    vectors: [K, d]; used: [K] bool, the first of them, fewer than K where there are not so many
    distinct histories.  They are part of the model's state where the next epoch begins from
    them.
    """

    vectors: Tensor
    used: Tensor
    of_user: Tensor  # [U]: where each training history fell in this epoch

    def __init__(self, clusters: int, dim: int, saved: bool) -> None:
        super().__init__()
        self.continued, self.mined = saved, False
        used = torch.zeros(clusters, dtype=torch.bool)
        self.register_buffer("vectors", torch.zeros(clusters, dim), persistent=saved)
        self.register_buffer("used", used, persistent=saved)

    def mine(self, histories: Tensor, rng: Generator) -> None:
        """Cluster histories [U, d] anew."""
        start = self.vectors[self.used] if self.continued else None
        means, self.of_user = kmeans(histories, len(self.used), rng, start)
        self.vectors.zero_()
        self.vectors[: len(means)] = means
        self.used.copy_(torch.arange(len(self.used), device=means.device) < len(means))
        self.mined = True

    def check_mined(self) -> None:
        if not self.mined:
            raise RuntimeError("intents are found as an epoch starts: call start_epoch first")

    def nearest(self, states: Tensor) -> Tensor:
        """[B]: the centroid nearest to each state [B, d]."""
        distance = squared_distances(states, self.vectors).masked_fill(~self.used, float("inf"))
        return distance.argmin(dim=1)
