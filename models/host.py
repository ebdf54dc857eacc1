"""The model: an encoder, a next-item loss, and any number of contrastive tasks."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.profiler import record_function

from augment import MASK, Sequences, TrainHistories, identity_rate
from augment.correlation import CountNeighbours, counted_neighbours
from models.augmented_input import AugmentConfig, AugmentedInput
from models.diagnostics import task_metrics
from models.encoders import EncoderConfig, build_encoder
from models.encoders.passes import Request, encode_together
from models.losses.next_item import Items, NextItemLoss, NoNextItem
from models.one_pass import Encoded, HistoryStates, Name, TaskStep, to_encode
from models.shard import Shard
from models.snapshot import Pooling, Snapshot
from models.tasks import Batch, EncodingRequest, ItemEmbeddings, Sizes, Task, View
from models.tasks.task import refuse_equal_names


@dataclass(frozen=True)
class Losses:
    """The loss of one batch: their sum, its weighted parts, and scalars for the history."""

    total: Tensor
    parts: dict[str, Tensor]
    metrics: dict[str, Tensor]


class Host(nn.Module):
    """Next-item recommender with contrastive tasks, in plain torch.

    SASRec (arXiv:1808.09781) is this class without tasks, CL4SRec (arXiv:2010.14395) with one.

    contrast: tasks; those of weight 0 are left out.  Their names are unique.
    augment:  what is done to the input of the next-item loss.
    train:    the training split, the only data given.
    count_neighbours: how items are compared by it; whoever keeps files may hand in one that does.

    Item 0 is padding, items 1..num_items are real, the table's last row is [mask]; only real
    items are scored.
    """

    sparse_rows = False  # look-ups of embeddings give sparse gradients
    bfloat16_products = False  # matrix products of encoder and output layer, while training
    shard = Shard()  # this process's part of every batch

    def __init__(
        self,
        encoder: EncoderConfig,
        next_item: NextItemLoss,
        contrast: Iterable[Task],
        augment: AugmentConfig,
        train: TrainHistories,
        device: torch.device,
        count_neighbours: CountNeighbours = counted_neighbours,
    ) -> None:
        nn.Module.__init__(self)  # and not what comes next where there are two base classes
        self.next_item = copy.deepcopy(next_item)
        self.num_items, self.max_length = train.num_items, encoder.max_length
        self.causal = encoder.causal
        self.item_embedding = nn.Embedding(self.num_items + 2, encoder.dim, padding_idx=0)
        nn.init.normal_(self.item_embedding.weight, std=encoder.init_std)
        with torch.no_grad():
            self.item_embedding.weight[0] = 0.0
        self.encoder = build_encoder(encoder)
        if self.encoder.reads_times and train.times is None:
            raise ValueError("the encoder reads the times of items, and these data have none")
        self.tasks = nn.ModuleList(copy.deepcopy(task) for task in contrast if task.weight > 0.0)
        refuse_equal_names(self.contrastive_tasks())
        self.own = Generator(device=device)  # negatives of one of several processes
        self.mined = train
        self.next_item.fit(train)
        users = len(train.offsets) - 1
        sizes = Sizes(encoder.dim, encoder.max_length, self.num_items, users, count_neighbours)
        for task in self.contrastive_tasks():
            task.prepare(sizes)
            task.fit(train)
        self.augment = AugmentedInput(augment, encoder.max_length, count_neighbours)
        self.augment.fit(train)

    def contrastive_tasks(self) -> list[Task]:
        """The tasks with a weight above 0, in the order of the configuration."""
        return [task for task in self.tasks if isinstance(task, Task)]

    def objectives(self) -> int:
        """Parts that the loss of a batch has, at most."""
        return len(self.tasks) + (not isinstance(self.next_item, NoNextItem))

    @torch.no_grad()
    def start_epoch(self, epoch: int, rng: Generator) -> None:
        """Let the tasks mine the model as it stands.  Leaves it in evaluation mode."""
        self.eval()
        self.own.manual_seed(rng.initial_seed() + 1 + self.shard.rank)
        items = Items(self.item_embedding.weight.detach(), self.num_items).all()
        snapshot = Snapshot(items, self.encode, self.mined, self.max_length)
        for task in self.contrastive_tasks():
            task.start_epoch(epoch, snapshot, rng)
        self.augment.start_epoch(epoch, snapshot.items)

    # The loss of a batch ---------------------------------------------------------------------

    def losses(self, batch: Batch, rng: Generator, diagnose: bool = False) -> Losses:
        """Next-item loss plus each task's weighted loss, from one pass over batch and views.

        rng draws views, augmented inputs and negatives, and nothing else does.  diagnose adds
        the scalars that cost extra.  A task none of whose rows is in the batch has no part.
        In training the next-item loss reads the augmented input; views are made from the
        history itself.
        """
        with record_function("contrast"):
            steps = self.task_steps(batch, rng)
        predicts = not isinstance(self.next_item, NoNextItem)
        read = self.augment(batch, rng) if self.training and predicts else batch
        requests = {name: request for step in steps for name, request in step.requests.items()}
        encoded = self.one_pass(
            to_encode(batch, read if predicts else None, requests, self.max_length)
        )
        parts: dict[str, Tensor] = {}
        metrics: dict[str, Tensor] = {}
        if predicts:
            with record_function("output layer"), self.autocast(batch.histories.device):
                parts["next_item"] = self.next_item_loss(encoded.input(), batch, rng)
            metrics["train/next_item"] = self.shard.sum(parts["next_item"])
            if diagnose and read is not batch:
                rate = identity_rate(batch.histories, read.histories)
                metrics["train/augment/identity_rate"] = rate
        with record_function("contrast"):
            for step in steps:
                task = step.task
                states = [
                    self.resolve_request(name, request, encoded, batch, step.rows)
                    for name, request in step.requests.items()
                ]
                result = task.loss(states, step.rows)
                parts[task.name] = task.weight * result.value / self.shard.count
                views = [view for view in step.requests.values() if isinstance(view, View)]
                metrics |= task_metrics(task, result, views, states, step.rows, diagnose)
        total = torch.stack(list(parts.values())).sum()
        return Losses(total, parts, {"train/loss": self.shard.sum(total), **metrics})

    def task_steps(self, batch: Batch, rng: Generator) -> list[TaskStep]:
        """Every task that has rows in the batch, with its views drawn."""
        taking_part = [(task, task.select_rows(batch)) for task in self.contrastive_tasks()]
        return [
            TaskStep(
                task,
                rows,
                {(task.name, place): r for place, r in enumerate(task.views(rows, rng))},
            )
            for task, rows in taking_part
            if len(rows)
        ]

    def one_pass(self, requests: dict[Name, Request]) -> Encoded:
        """Encode this process's rows of every request."""
        requests = {
            name: replace(request, sequences=self.shard.local(request.sequences))
            for name, request in requests.items()
        }
        with record_function("encoder"), self.autocast(self.item_embedding.weight.device):
            return Encoded(encode_together(self.encoder, self.embed, requests), requests)

    def resolve_request(
        self, name: Name, request: EncodingRequest, encoded: Encoded, batch: Batch, rows: Batch
    ) -> Tensor:
        """What a task asked for: its encoded view, the batch's own states, or embeddings."""
        if isinstance(request, View):
            return self.shard.everyone(encoded.tensors[name], len(request.sequences))
        if isinstance(request, ItemEmbeddings):
            return self.items().vectors(request.items)
        own = encoded.histories()
        local_states = own.last() if request.pooling == "last" else own.mean()
        states = self.shard.everyone(local_states, len(batch))
        return states if rows is batch or batch.final is None else states[batch.final]

    def next_item_loss(self, own: HistoryStates, batch: Batch, rng: Generator) -> Tensor:
        """This process's share of the mean over the batch's targets."""
        if batch.labels is not None and not self.causal:
            raise ValueError("labels at every position: the encoder is not causal and sees them")
        part = self.shard.part(len(batch))
        rows = part.stop - part.start
        targets, labels = batch.targets[part], batch.labels
        if labels is None:
            states, share = own.last()[:rows], rows / len(batch)
        else:
            counts = batch.label_counts()
            count = int(counts[part].sum())
            share = count / int(counts.sum())
            # [T] flat positions; how many there are is known here, so no device is asked
            scored = torch.nonzero_static((labels[part] > 0).flatten(), size=count)[:, 0]
            states = own.states[:rows].flatten(0, 1)[scored]
            targets = labels[part].flatten()[scored]
        if not len(states):
            return states.sum()  # 0, and a gradient of 0 for every weight
        # Processes that share a batch draw their negatives apart.
        loss: Tensor = self.next_item(
            states, self.scored(), targets, rng if self.shard.count == 1 else self.own
        )
        return loss if share == 1.0 else loss * share

    def autocast(self, device: torch.device) -> torch.autocast:
        """Products in bfloat16 where that is asked for."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16_products)

    # Items and scores ------------------------------------------------------------------------

    def embed(self, items: Tensor) -> Tensor:
        """Item numbers of any shape to vectors; MASK takes the last row."""
        rows = torch.where(items == MASK, self.num_items + 1, items)
        weight = self.item_embedding.weight
        return F.embedding(rows, weight, padding_idx=0, sparse=self.sparse_rows)

    def items(self) -> Items:
        """The embeddings as they are read."""
        return Items(self.item_embedding.weight, self.num_items, self.sparse_rows)

    def scored(self) -> Items:
        """The embeddings whose product with a state is a score."""
        items = self.items()
        if not self.next_item.by_direction:
            return items
        return replace(items, weight=F.normalize(items.weight, dim=1))

    def encode(self, histories: Sequences, pooling: Pooling) -> Tensor:
        """[B, d], or [B, max_length * d] for concat: one vector for each history."""
        requests = {"histories": Request(histories, pooling, self.max_length)}
        return encode_together(self.encoder, self.embed, requests)["histories"]

    def represent(self, histories: Sequences) -> Tensor:
        """[B, d]: the state at each history's last item."""
        return self.encode(histories, "last")

    def scores(self, histories: Sequences) -> Tensor:
        """[B, num_items + 1]: a score for every item; column 0 is padding and means nothing."""
        return self.represent(histories) @ self.scored().weight[: self.num_items + 1].T

    def score_blocks(self, histories: Sequences, rows: int) -> Iterator[Tensor]:
        """[<= rows, num_items] at a time: the histories are encoded once."""
        items = self.scored().all()
        for states in torch.split(self.represent(histories), rows):
            yield states @ items.T
