"""Views that small networks learn to change, in a step of their own: MCLRec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.losses.counted_mean import counted_mean
from models.losses.info_nce import info_nce, not_compared, partner_index, similarities
from models.ranges import check_not_negative
from models.tasks.augmented_views import AugmentedViews
from models.tasks.contrast_fields import OF_TWO_VIEWS
from models.tasks.step import Step
from models.tasks.task import ParameterGroup, Sizes, TaskLoss, weighted_sum


@dataclass(eq=False, repr=False)
class LearnedViews(AugmentedViews):
    """Contrast augmented views with views that learned augmenters make of them.

    MCLRec (Qin et al., SIGIR 2023): beside the contrast of two augmented views a and b, an
    augmenter each makes a' and b' of their states, and (a, b'), (b, a') and (a', b') are contrasted
    (the meta contrast).  The augmenters stand still while the model learns; then, in a second step
    on the same views, they descend the meta contrast alone while the model stands still.

    The loss is view_weight * (a, b) + meta_weight * meta, times `weight`; the second step's is the
    meta contrast with factor 1, as in the code.  Temperature and similarity are the fields' in all
    contrasts, where the code has 1 and the dot product in the meta contrast; it masks
    `false_negatives`, and reads no other field of the contrast.
    """

    weight: float = 1.0
    """Factor of all contrasts next to the next-item loss; 0 leaves the task out."""
    view_weight: float = 0.03
    """Of the contrast of the two augmented views: lambda of the code (lmd)."""
    meta_weight: float = 0.1
    """Of the meta contrast while the model learns: beta of the code."""
    hidden: tuple[int, ...] = (32, 16)
    """Widths of the hidden layers of an augmenter; GELU between, unit length at the end."""
    regularisation: float = 0.1
    """Of the term that keeps the similarities of positives and negatives from lying far apart."""
    train_again: bool = False
    """Take one more step of the model on every batch after the augmenters', as the code does."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("view_weight", "meta_weight", "regularisation"):
            check_not_negative(name, getattr(self, name))
        if self.view_weight == self.meta_weight == 0.0:
            raise ValueError("view_weight and meta_weight are 0: nothing is left of the task")
        self.refuse_unread(["momentum"], "makes b a key, and here both views are anchors")
        if not self.view_weight:
            self.refuse_unread(
                OF_TWO_VIEWS, "is read by the contrast of a and b alone: view_weight is 0"
            )
        if self.train_again and self.negatives == "queue":
            raise ValueError(
                "train_again would push the keys of every row into the queue twice; use "
                "negatives: in_batch"
            )
        if any(width < 1 for width in self.hidden):
            raise ValueError(f"hidden must be widths of at least 1, got {self.hidden}")

    def prepare(self, sizes: Sizes) -> None:
        super().prepare(sizes)
        width = sizes.pooled(self.pooling) if self.head == "none" else self.head_dim
        self.augmenters = nn.ModuleList(augmenter(width, self.hidden) for _ in range(2))

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        return [ParameterGroup(tuple(self.augmenters.parameters()), second_step=True)]

    def trains_again(self) -> bool:
        return self.train_again

    def loss(self, encoded: Mapping[str, Tensor], step: Step) -> TaskLoss:
        losses = {}
        if self.view_weight:
            losses["view"] = super().loss(encoded, step).value
        if self.meta_weight:
            losses["meta"] = self.meta(encoded, step)
        return weighted_sum(losses, {"view": self.view_weight, "meta": self.meta_weight})

    def second_step(self, encoded: Mapping[str, Tensor], step: Step) -> Tensor:
        return self.meta(encoded, step)

    def meta(self, encoded: Mapping[str, Tensor], step: Step) -> Tensor:
        """The three contrasts with augmented states, and what regularises them."""
        view_a, view_b = self.projected(encoded, "a"), self.projected(encoded, "b")
        first, second = (
            F.normalize(augment(view), dim=1)
            for augment, view in zip(self.augmenters, (view_a, view_b), strict=True)
        )
        temperature, same = self.temperature_now(), self.same(step.batch)
        total = view_a.new_zeros(())
        for one, other in ((view_a, second), (view_b, first), (first, second)):
            total = total + info_nce(one, other, temperature, self.similarity, same)
            if self.regularisation:
                views = torch.cat([one, other])  # [2B, d]
                logits = similarities(views, views, self.similarity)
                total = total + self.regularisation * spread(logits / temperature, same)
        return total


def augmenter(width: int, hidden: tuple[int, ...]) -> nn.Sequential:
    """[B, width] to [B, width] through the hidden widths; weights by torch's default rule."""
    sizes = (width, *hidden, width)
    layers: list[nn.Module] = []
    for number, (inner, outer) in enumerate(pairwise(sizes)):
        layers += [nn.GELU()] * (number > 0) + [nn.Linear(inner, outer)]
    return nn.Sequential(*layers)


def spread(logits: Tensor, same: Tensor | None = None) -> Tensor:
    """How far positives and negatives lie apart: MCLRec's contrastive regularisation.

    logits: [2B, 2B], similarities of both views to each other.  Of each anchor, low is the lesser
    of its positive and its greatest negative, high the greater; the mean of positive - low over
    anchors, plus the mean of high - negative over all pairs of an anchor and a negative.
    same:   [B, B] bool; rows that are no negatives of each other, as in `info_nce`.
    An anchor without a negative, such as those of a single row, has no part; 0 when none has one.
    """
    rows = len(logits)
    if rows < 4:
        return logits.sum() * 0.0
    partner = partner_index(rows // 2, logits.device)
    positive = logits.gather(1, partner[:, None])  # [2B, 1]
    none = not_compared(rows // 2, same, logits.device)
    none = none.scatter(1, partner[:, None], True)  # nor the positive
    hardest = logits.masked_fill(none, float("-inf")).amax(dim=1, keepdim=True)
    low, high = positive.minimum(hardest), positive.maximum(hardest)
    above, below = (positive - low).clamp(min=0.0), (high - logits).clamp(min=0.0)
    if same is None:
        return above.mean() + below.masked_fill(none, 0.0).sum() / (rows * (rows - 2))
    compared = ~none.all(dim=1, keepdim=True)  # [2B, 1]
    return counted_mean(above, compared) + counted_mean(below, ~none)
