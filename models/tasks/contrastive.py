"""A contrast of two views of each row, with everything that may vary in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from augment import Sequences, TrainHistories
from models.losses.contrast import binary_nce, debiased, decoupled, multi_positive
from models.losses.counted_mean import counted_mean
from models.losses.info_nce import contrast_logits, info_nce, partner_index, similarities
from models.losses.negatives import agree, hardest, importance, in_batch, is_row, plain_weight
from models.losses.representation import alignment, uniformity
from models.snapshot import Snapshot
from models.tasks.contrast_fields import ContrastFields
from models.tasks.head import projection_head
from models.tasks.queue import KeyQueue, rows_of
from models.tasks.step import (
    Batch,
    EncodingRequest,
    HistoryState,
    Requests,
    Step,
    TaskError,
    View,
)
from models.tasks.task import Sizes, TaskLoss
from models.tasks.temperature import Temperature
from models.tasks.users import UserClusters, UserHistories


@dataclass(frozen=True)
class ExtraNegatives:
    """Columns next to the batch's own views: keys of a queue, or views of drawn users.

    vectors: [K, d]
    present: [K] bool; False where a place is still empty.
    same:    [B, K] bool; pairs that agree in what `false_negatives` names.
    own:     [B, K] bool; a row and an earlier key of its own, or a drawn view of its own user: no
             negative, and a positive only where `same` makes it one.
    labels:  [K, n]; what `same` compares.
    """

    vectors: Tensor
    present: Tensor
    same: Tensor
    own: Tensor
    labels: Tensor


@dataclass(eq=False, repr=False)
class ContrastiveTask(ContrastFields):
    """A task that compares two views of each row by InfoNCE; subclasses say which views.

    A row without any negative drops out of the mean.
    """

    shares_views: ClassVar[bool] = True
    has_keys: ClassVar[bool] = False
    """Of a task with `requests` of its own: they have a and b, and `loss` calls this class's, so
    that a queue is fed and a moving average encodes keys."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self).requests is not ContrastiveTask.requests and not self.has_keys:
            self.refuse_keys()
        self.temperature_now = Temperature(
            self.temperature_mode, self.temperature, self.temperature_to, self.temperature_epochs
        )
        self.projection: nn.Module = nn.Identity()
        self.queue: KeyQueue | None = None
        self.user_clusters = UserClusters()

    def refuse_keys(self) -> None:
        """ValueError for fields that only a task with the two views a and b can read."""
        why = "is for tasks that say their two views in `make_views`"
        if self.negatives in ("queue", "random"):
            raise ValueError(f"negatives: {self.negatives} {why}")
        self.refuse_unread(["momentum"], why)

    def prepare(self, sizes: Sizes) -> None:
        width = sizes.pooled(self.pooling)
        self.projection = projection_head(self.head, width, self.head_dim)
        self.max_length = sizes.max_length
        if self.negatives == "queue":
            dim = width if self.head == "none" else self.head_dim
            self.queue = KeyQueue(self.queue_size, dim, len(self.false_negatives))

    def fit(self, train: TrainHistories) -> None:
        if self.negatives == "random":
            self.user_histories = UserHistories(train, self.max_length)

    def start_epoch(self, epoch: int, snapshot: Snapshot, rng: Generator) -> None:
        self.temperature_now.start_epoch(epoch)
        clustered = self.negatives in ("other_cluster", "same_cluster")
        if clustered or "cluster" in self.false_negatives:
            self.user_clusters.mine(self.clusters, snapshot, rng)

    # What is compared ------------------------------------------------------------------------

    def make_views(self, batch: Batch, rng: Generator) -> Sequence[EncodingRequest]:
        """The two views of each row that are contrasted."""
        raise TaskError(f"{type(self).__name__} defines no `make_views`")

    def augment_negatives(self, histories: Sequences, rng: Generator) -> View:
        """A view of a drawn user's history: the history itself, unless a subclass changes it."""
        return View(histories, self.pooling, made_from=histories)

    def requests(self, step: Step) -> Requests:
        """a and b, the views of `make_views`; negatives: of drawn users, where fields ask so."""
        made = self.make_views(step.batch, step.rng)
        if not isinstance(made, Sequence) or len(made) != 2:
            raise TaskError(f"{self.name}: `make_views` has to return two requests")
        first, second = made
        requests = {"a": first, "b": self.as_key(second, step.batch)}
        if self.negatives == "random":
            step.drawn["users"], histories = self.user_histories.draw(self.random_size, step.rng)
            negatives = self.augment_negatives(histories, step.rng)
            requests["negatives"] = self.as_key(negatives, step.batch)
        own_loss = type(self).loss is not ContrastiveTask.loss  # which may need all columns
        if self.pooling != "concat" or own_loss or self.head != "none" or self.queue is not None:
            return requests
        # Columns that are zero in every view take no part in a similarity: leave them out.
        views = {name: view for name, view in requests.items() if isinstance(view, View)}
        longest = max(view.sequences.width for view in views.values())
        return requests | {name: replace(v, positions=longest) for name, v in views.items()}

    def as_key(self, request: EncodingRequest, batch: Batch) -> EncodingRequest:
        """The request, for the moving average of the model where the keys are its."""
        if self.momentum is None:
            return request
        if isinstance(request, HistoryState):
            request = View(batch.histories, request.pooling)
        if not isinstance(request, View):
            raise ValueError("momentum: the second of `make_views` must be histories to encode")
        return replace(request, momentum=self.momentum)

    def momentum_copies(self) -> Sequence[float]:
        return () if self.momentum is None else (self.momentum,)

    def extra_negatives(self, drawn: Tensor | None, step: Step) -> ExtraNegatives | None:
        """The queue's keys or the drawn users' views; None where the batch is all there is."""
        batch = step.batch
        labels = self.labels(batch.targets, batch.users)
        if self.queue is not None:
            theirs, present = self.queue.labels, self.queue.filled()
            same = agree(labels, theirs)
            own = is_row(rows_of(batch), self.queue.rows)
            return ExtraNegatives(self.queue.keys, present, same, own, theirs)
        if self.negatives != "random":
            return None
        if drawn is None:
            raise ValueError("negatives: random needs a task that says its views in `make_views`")
        users = step.drawn["users"]
        theirs = self.labels(torch.zeros_like(users), users)  # 0: no row's target
        own = agree(batch.users[:, None], users[:, None])
        present = torch.ones_like(users, dtype=torch.bool)
        return ExtraNegatives(drawn, present, agree(labels, theirs), own, theirs)

    # Who is whose negative -------------------------------------------------------------------

    def labels(self, targets: Tensor, users: Tensor) -> Tensor:
        """[N, n]: what `false_negatives` names, for rows of these targets and users."""
        known = {"target": targets, "user": users}
        if "cluster" in self.false_negatives:
            known["cluster"] = self.user_clusters.of(users)
        labels = [known[kind] for kind in self.false_negatives]
        return torch.stack(labels, dim=1) if labels else users.new_zeros(len(users), 0)

    def same(self, batch: Batch) -> Tensor | None:
        """[B, B] bool: pairs that agree in what `false_negatives` names; None for no name."""
        if not self.false_negatives:
            return None
        labels = self.labels(batch.targets, batch.users)
        return agree(labels, labels)

    def allowed(self, batch: Batch) -> Tensor | None:
        """[B, B] bool: pairs of rows that may be negatives; None when all may."""
        if self.negatives == "random":
            return torch.zeros(len(batch), len(batch), dtype=torch.bool, device=batch.users.device)
        if self.negatives in ("in_batch", "queue"):
            return None
        clusters = self.user_clusters.of(batch.users)[:, None]
        together = agree(clusters, clusters)
        return together if self.negatives == "same_cluster" else ~together

    def masks(
        self, batch: Batch, extra: ExtraNegatives | None, same: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Which columns are an anchor's positives and which its negatives: [2B, 2B + K] each.

        Positives are numbers, how much each counts, where `positive_weights` says so.
        """
        supervised = self.false_negatives_as == "positives"
        same = self.same(batch) if same is None else same
        allowed = self.allowed(batch)
        positive, negative = in_batch(len(batch), same, allowed, supervised, batch.users.device)
        if extra is not None:
            alike = (extra.same & extra.present).repeat(2, 1)  # [2B, K]
            others = (~extra.same & ~extra.own & extra.present).repeat(2, 1)
            positives = alike if supervised else torch.zeros_like(alike)
            positive = torch.cat([positive, positives], dim=1)
            negative = torch.cat([negative, others], dim=1)
        if self.positive_weights:
            positive = positive * self.weights_of_positives(batch, extra)
        return positive, negative

    def weights_of_positives(self, batch: Batch, extra: ExtraNegatives | None) -> Tensor:
        """[2B, 2B + K]: of any two rows the highest weight of a label they share; 1 of a pair."""
        rows = self.labels(batch.targets, batch.users)  # [B, n]
        columns = rows.repeat(2, 1) if extra is None else torch.cat([rows, rows, extra.labels])
        weights = [self.positive_weights.get(label, 1.0) for label in self.false_negatives]
        equal = rows[:, None, :] == columns[None, :, :]  # [B, 2B + K, n]
        shared = (equal * equal.new_tensor(weights, dtype=torch.float32)).amax(dim=2)
        own = torch.eye(len(batch), dtype=torch.bool, device=shared.device).repeat(1, 2)
        shared[:, : 2 * len(batch)] = shared[:, : 2 * len(batch)].masked_fill(own, 1.0)
        return shared.repeat(2, 1)

    # The objective ---------------------------------------------------------------------------

    def is_plain(self) -> bool:
        """One positive a row against all other rows alike: the quick way will do."""
        return (
            self.objective == "info_nce"
            and self.correction == "none"
            and self.negatives == "in_batch"
            and self.momentum is None
            and self.hard_k == self.hard_beta == 0
            and (self.false_negatives_as == "masked" or not self.false_negatives)
        )

    def loss(self, encoded: Mapping[str, Tensor], step: Step) -> TaskLoss:
        view_a, view_b = self.projected(encoded, "a"), self.projected(encoded, "b")
        drawn = self.projected(encoded, "negatives") if "negatives" in encoded else None
        value = self.contrast(view_a, view_b, step, drawn)
        if self.queue is not None and self.training:
            labels = self.labels(step.batch.targets, step.batch.users)
            keys = [view_b] if self.momentum is not None else [view_a, view_b]
            rows = rows_of(step.batch)
            many = (len(keys), 1)
            self.queue.push(torch.cat(keys), labels.repeat(many), rows.repeat(many))
        return TaskLoss(value)

    def projected(self, encoded: Mapping[str, Tensor], name: str) -> Tensor:
        """A view as it is compared; of the moving average's views, without gradient."""
        vectors: Tensor = self.projection(encoded[name])
        return vectors if self.momentum is None or name == "a" else vectors.detach()

    def contrast(
        self,
        view_a: Tensor,
        view_b: Tensor,
        step: Step,
        drawn: Tensor | None = None,
        same: Tensor | None = None,
    ) -> Tensor:
        """The contrast of two views of the step's rows, by the fields: a scalar in nats.

        view_a, view_b: [B, d]; row i of each is of the i-th row of the batch.
        drawn: [random_size, d] views of users drawn as negatives.
        same:  [B, B] bool, symmetric; rows that are no negatives of each other, in the place of
               those that `false_negatives` names.
        A task may call it for any number of pairs, of views that went through `projected`;
        nothing is changed by it: what feeds a queue is `loss`.
        """
        temperature = self.temperature_now()
        if self.is_plain():
            same = self.same(step.batch) if same is None else same
            return info_nce(view_a, view_b, temperature, self.similarity, same)
        extra = self.extra_negatives(drawn, step)
        positive, negative = self.masks(step.batch, extra, same)
        anchors = columns = torch.cat([view_a, view_b])  # [2B, d]
        if self.momentum is not None:  # the model's own views pick among the keys
            anchors, columns, rows = view_a, view_b, len(view_a)
            positive, negative = positive[:rows, rows:], negative[:rows, rows:]
        if extra is not None:
            columns = torch.cat([columns, extra.vectors])
        logits = similarities(anchors, columns, self.similarity) / temperature  # [2B, 2B + K]
        return self.compare(logits, positive, negative, temperature)

    def compare(
        self, logits: Tensor, positive: Tensor, negative: Tensor, temperature: float | Tensor
    ) -> Tensor:
        """Weigh the negatives and apply the objective that the fields name."""
        if self.hard_k:
            negative = hardest(logits, negative, self.hard_k)
        weight = plain_weight(negative)
        if self.hard_beta:
            weight = importance(logits, weight, self.hard_beta)
        if self.objective == "binary_nce":
            return binary_nce(logits, positive, weight)
        if self.correction == "debiased":
            return debiased(logits, positive, weight, self.tau_plus, temperature)
        if self.correction == "decoupled":
            return decoupled(logits, positive, weight)
        return multi_positive(logits, positive, weight)

    def diagnose(self, encoded: Mapping[str, Tensor], step: Step) -> dict[str, Tensor]:
        """How well the contrast is solved (accuracy) and what it does to the space.

        Always among the rows of the batch alone, and similarities are cosines, whatever the
        objective uses, so runs can be compared.  Nothing for a task whose requests are not a and b.
        """
        if not {"a", "b"} <= encoded.keys():
            return {}
        view_a, view_b = self.projected(encoded, "a"), self.projected(encoded, "b")
        same = self.same(step.batch)
        logits = contrast_logits(view_a, view_b, 1.0, self.similarity, same)
        partner = partner_index(len(view_a), logits.device)
        cosine = contrast_logits(view_a, view_b, 1.0, "cosine", same)
        positive = cosine.gather(1, partner[:, None])  # [2B, 1]
        negative = cosine.scatter(1, partner[:, None], float("-inf"))
        moving = self.temperature_mode != "fixed"
        return {
            "accuracy": (logits.argmax(dim=1) == partner).float().mean(),
            "positive_similarity": positive.mean(),
            "negative_similarity": counted_mean(negative, negative.isfinite()),
            "alignment": alignment(view_a, view_b),
            "uniformity": (uniformity(view_a) + uniformity(view_b)) / 2,
            **({"temperature": self.temperature_now.record()} if moving else {}),
        }
