"""Item embeddings and item features, or two kinds of features, are matched in one space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Generator, Tensor, nn

from augment import TrainHistories
from models.item_features import ItemFeatures
from models.losses.in_batch import in_batch_logits, in_batch_softmax
from models.losses.info_nce import Similarity
from models.ranges import check_count, check_positive
from models.tasks.feature_task import FeatureTask
from models.tasks.step import Batch, ItemEmbeddings, Requests, Step
from models.tasks.task import Sizes, TaskLoss


@dataclass(eq=False, repr=False)
class Alignment(FeatureTask):
    """Contrast each item's embedding with its own features against those of other items.

    Symmetric InfoNCE as in CLIP (arXiv:2103.00020, figure 3): features pick the embedding, the
    embedding picks the features, and the two losses are averaged.  Features are frozen and go
    through a linear projection each, the embedding enters as it is.  Items without features are
    left out.  Items with equal features are no negatives of each other: nothing could tell
    them apart.

    With `with_features`, two kinds of features are matched with each other (query text with
    item image) and no embedding is involved: it learns the two projections, which the model's
    file holds, for search across modalities; the recommender gains nothing from it.
    """

    with_features: str | None = None
    """A second source, matched with `features` in the place of the item embedding."""
    items: Literal["batch", "uniform"] = "batch"
    """batch: the distinct items of the batch, histories and targets.  uniform: any items that
    occur in the training split."""
    count: int = 256
    """Items contrasted at a step, at most; drawn without repetition where there are more."""
    temperature: float = 0.2
    """Divides similarities; > 0."""
    similarity: Similarity = "cosine"
    """dot, or cosine (dot product of unit vectors)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.with_features is not None and not self.with_features:
            raise ValueError("with_features must be auto or the name of a file, or left out")
        check_count("count", self.count)
        check_positive("temperature", self.temperature)
        self.sizes_of_features: tuple[int, ...] = ()

    def sources(self) -> dict[str, str]:
        second = {} if self.with_features is None else {"with_features": self.with_features}
        return {"features": self.features, **second}

    def take_features(self, given: Sequence[ItemFeatures]) -> None:
        known = torch.stack([features.known for features in given]).all(dim=0)  # [num_items + 1]
        self.register_buffer("known", known, persistent=False)
        groups = torch.stack([equal_rows(features.vectors) for features in given])
        self.register_buffer("groups", groups, persistent=False)  # [sources, num_items + 1]
        for number, features in enumerate(given):
            self.register_buffer(f"vectors_{number}", features.vectors, persistent=False)
        self.sizes_of_features = tuple(features.vectors.shape[1] for features in given)

    def prepare(self, sizes: Sizes) -> None:
        if not self.sizes_of_features:
            raise ValueError("features: the task was given none; call take_features first")
        rows = len(self.get_buffer("known"))
        if rows != sizes.num_items + 1:
            raise ValueError(f"features: {rows} rows do not fit {sizes.num_items} items")
        self.projections = nn.ModuleList(
            nn.Linear(size, sizes.dim) for size in self.sizes_of_features
        )

    def fit(self, train: TrainHistories) -> None:
        occurs = torch.bincount(train.items, minlength=train.num_items + 1) > 0
        usable = occurs & self.get_buffer("known").cpu()
        self.register_buffer("usable", usable, persistent=False)

    def requests(self, step: Step) -> Requests:
        """Draws the items of this step, which `loss` and `diagnose` then compare."""
        chosen, step.drawn["counted"] = self.choose(step.batch, step.rng)
        step.drawn["items"] = chosen
        return {"items": ItemEmbeddings(chosen)} if self.with_features is None else {}

    def choose(self, batch: Batch, rng: Generator) -> tuple[Tensor, Tensor]:
        """Distinct item numbers [N], and which of them count: the rest only fill up to N.

        Every candidate gets a random key and the N highest keys win, so no device is asked how
        many candidates there are.
        """
        candidate = self.get_buffer("usable")
        if self.items == "batch":
            present = torch.zeros_like(candidate)
            present[batch.histories.items.clamp(min=0).flatten()] = True
            present[batch.targets] = True
            candidate = candidate & present
        key = torch.rand(candidate.shape, generator=rng, device=candidate.device)
        count = min(self.count, len(candidate) - 1)
        best = torch.where(candidate, key, -1.0)[1:].topk(count)  # item 0 is padding
        return best.indices + 1, best.values >= 0.0

    def loss(self, encoded: Mapping[str, Tensor], step: Step) -> TaskLoss:
        logits, flipped = self.logits(encoded, step)
        counted = step.drawn["counted"]
        value = in_batch_softmax(logits, counted) + in_batch_softmax(flipped, counted)
        return TaskLoss(value / 2)

    def logits(self, encoded: Mapping[str, Tensor], step: Step) -> tuple[Tensor, Tensor]:
        """[N, N] twice: projected features pick their partner, and partners the features."""
        chosen, counted = step.drawn["items"], step.drawn["counted"]
        projected = [
            project(self.get_buffer(f"vectors_{number}")[chosen])
            for number, project in enumerate(self.projections)
        ]
        first, second = (projected + list(encoded.values()))[:2]  # [N, d] each
        group = self.get_buffer("groups")[:, chosen]  # [sources, N]
        equal = (group[:, :, None] == group[:, None, :]).any(dim=0)  # [N, N]
        false_negatives = equal | ~counted
        how = (self.temperature, self.similarity, None, false_negatives)
        return in_batch_logits(first, second, *how), in_batch_logits(second, first, *how)

    def diagnose(self, encoded: Mapping[str, Tensor], step: Step) -> dict[str, Tensor]:
        """accuracy: share of partners that are picked, in both directions; items: how many."""
        chosen, counted = step.drawn["items"], step.drawn["counted"]
        own = torch.arange(len(chosen), device=chosen.device)
        right = torch.stack([logits.argmax(dim=1) == own for logits in self.logits(encoded, step)])
        total = counted.sum()
        accuracy = (right & counted).sum() / (2 * total).clamp(min=1)
        return {"accuracy": accuracy, "items": total.float()}


def equal_rows(vectors: Tensor) -> Tensor:
    """[n]: rows of an [n, f] matrix that are equal get the same number."""
    _, group = np.unique(vectors.numpy(), axis=0, return_inverse=True)
    return torch.from_numpy(group.reshape(-1))
