"""The model: an encoder, a next-item loss, and any number of contrastive tasks."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.profiler import record_function

from augment import MASK, Sequences, TrainHistories, identity_rate
from augment.correlation import CountNeighbours, counted_neighbours
from models.augmented_input import AugmentConfig, AugmentedInput
from models.bfloat16 import bfloat16_products
from models.diagnostics import task_metrics
from models.encoders import EncoderConfig, build_encoder
from models.encoders.passes import Request, encode_together
from models.feature_input import FeatureInput, GivenFeatures
from models.losses.loss import LossError
from models.losses.next_item import Items, NextItemLoss, NoNextItem
from models.momentum import MomentumCopy
from models.one_pass import Encoded, Name, TaskStep, to_encode, with_own_states
from models.shard import Shard
from models.snapshot import Pooling, Snapshot
from models.tasks import (
    Batch,
    EncodingRequest,
    HistoryState,
    ItemEmbeddings,
    ParameterGroup,
    Requests,
    Sizes,
    Step,
    Task,
    View,
)
from models.tasks.answers import asked_by, check_loss, check_second_step
from models.tasks.task import (
    check_groups,
    check_shared_views,
    refuse_equal_names,
    refuse_to_push_twice,
    second_parameters,
)


@dataclass(frozen=True)
class Losses:
    """The loss of one batch: their sum, its weighted parts, scalars for the history, and what the
    tasks drew for it."""

    total: Tensor
    parts: dict[str, Tensor]
    metrics: dict[str, Tensor]
    steps: tuple[TaskStep, ...] = ()


class Host(nn.Module):
    """Next-item recommender with contrastive tasks, in plain torch.

    SASRec (arXiv:1808.09781) is this class without tasks, CL4SRec (arXiv:2010.14395) with one.

    contrast: tasks; those of weight 0 are left out.  Their names are unique.
    augment:  what is done to the input of the next-item loss.
    train:    the training split, the only data given.
    count_neighbours: how items are compared by it; whoever keeps files may hand in one that does.
    features: of items, for the encoder to read beside their embeddings.

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
        features: GivenFeatures | None = None,
    ) -> None:
        # Not super(): in SASRec the next class is RecBole's, which needs arguments.
        nn.Module.__init__(self)
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
        check_shared_views(self.contrastive_tasks())
        refuse_to_push_twice(self.contrastive_tasks())
        self.process_rng = Generator(device=device)  # negatives of one of several processes
        self.train_split = train
        self.next_item.fit(train)
        users = len(train.offsets) - 1
        sizes = Sizes(encoder.dim, encoder.max_length, self.num_items, users, count_neighbours)
        self.feature_input = (
            None if features is None else FeatureInput(features, encoder.dim, encoder.init_std)
        )
        for task in self.contrastive_tasks():  # last: no task changes what the others start from
            task.prepare(sizes)
            task.fit(train)
        check_groups(self.contrastive_tasks())
        momenta = dict.fromkeys(
            m for task in self.contrastive_tasks() for m in task.momentum_copies()
        )
        self.copies = nn.ModuleList(
            MomentumCopy(momentum, self.encoder, self.item_embedding, self.feature_input)
            for momentum in momenta
        )
        self.augment = AugmentedInput(augment, encoder.max_length, count_neighbours)
        self.augment.fit(train)

    def contrastive_tasks(self) -> list[Task]:
        """The tasks with a weight above 0, in the order of the configuration."""
        return [task for task in self.tasks if isinstance(task, Task)]

    def parameter_groups(self) -> list[ParameterGroup]:
        """Weights that tasks want trained in another way than the rest."""
        return [group for task in self.contrastive_tasks() for group in task.parameter_groups()]

    def objectives(self) -> int:
        """Parts that the loss of a batch has, at most."""
        return len(self.tasks) + (not isinstance(self.next_item, NoNextItem))

    @torch.no_grad()
    def start_epoch(self, epoch: int, rng: Generator) -> None:
        """Let the tasks mine the model as it stands.  Leaves it in evaluation mode."""
        self.eval()
        self.process_rng.manual_seed(rng.initial_seed() + 1 + self.shard.rank)
        items = Items(self.item_embedding.weight.detach(), self.num_items).all()
        snapshot = Snapshot(items, self.encode, self.train_split, self.max_length)
        for task in self.contrastive_tasks():
            task.start_epoch(epoch, snapshot, rng)
        self.augment.start_epoch(epoch, snapshot.items)

    # The loss of a batch ---------------------------------------------------------------------

    def losses(
        self,
        batch: Batch,
        rng: Generator,
        diagnose: bool = False,
        steps: Sequence[TaskStep] | None = None,
    ) -> Losses:
        """Next-item loss plus each task's weighted loss, from one pass over batch and views.

        rng draws views, augmented inputs and negatives, and nothing else does.  diagnose adds
        the scalars that cost extra.  A task none of whose rows is in the batch has no part.
        In training the next-item loss reads the augmented input; views are made from the
        history itself.
        steps: of the same batch's losses, to see the same views again.
        """
        if steps is None:
            self.move_copies()
            with record_function("contrast"):
                steps = self.task_steps(batch, rng)
        predicts = not isinstance(self.next_item, NoNextItem)
        read = self.augment(batch, rng) if self.training and predicts else batch
        scored = read.scored_positions(self.shard.part(len(batch)))
        encoded = self.one_pass(
            to_encode(
                batch.histories,
                read.histories if predicts else None,
                batch.labels is not None,
                steps,
                self.max_length,
                scored if self.shard.count == 1 else None,
            )
        )
        parts: dict[str, Tensor] = {}
        metrics: dict[str, Tensor] = {}
        if predicts:
            with record_function("output layer"), self.products():
                parts["next_item"] = self.next_item_loss(encoded, read, scored, rng)
            metrics["train/next_item"] = self.shard.sum(parts["next_item"])
            if diagnose and read is not batch:
                rate = identity_rate(batch.histories, read.histories)
                metrics["train/augment/identity_rate"] = rate
        with record_function("contrast"):
            for task_step in steps:
                task, resolved = task_step.task, self.resolve_requests(task_step, encoded, batch)
                result = task.loss(resolved, task_step.step)
                check_loss(task, result)
                parts[task.name] = task.weight * result.value / self.shard.count
                metrics |= task_metrics(task_step, result, resolved, diagnose)
        total = torch.stack(list(parts.values())).sum()
        metrics = {"train/loss": self.shard.sum(total), **metrics}
        return Losses(total, parts, metrics, tuple(steps))

    def second_step(self, losses: Losses, batch: Batch) -> Tensor | None:
        """What the second step's weights descend after the step of `losses`; None for none.

        The same views, encoded anew and without gradient.
        """
        steps = [task_step for task_step in losses.steps if second_parameters(task_step.task)]
        if not steps:
            return None
        tasks = [task_step.task for task_step in steps]
        names = {name for task in tasks for name in (task.name, *task.reads_views_of())}
        needed = [task_step for task_step in losses.steps if task_step.task.name in names]
        with torch.no_grad():
            requests = to_encode(batch.histories, None, False, needed, self.max_length)
            encoded = self.one_pass(requests)
            resolved = [self.resolve_requests(task_step, encoded, batch) for task_step in steps]
        values = []
        for task_step, tensors in zip(steps, resolved, strict=True):
            value = task_step.task.second_step(tensors, task_step.step)
            check_second_step(task_step.task, value)
            values.append(value / self.shard.count)
        return torch.stack(values).sum()

    def trains_again(self) -> bool:
        """Whether a task wants one more step on every batch."""
        return any(task.trains_again() for task in self.contrastive_tasks())

    def task_steps(self, batch: Batch, rng: Generator) -> list[TaskStep]:
        """Every task that has rows in the batch, with its views drawn."""
        rows = [(task, task.select_rows(batch)) for task in self.contrastive_tasks()]
        steps = [(task, Step(taking_part, rng)) for task, taking_part in rows if len(taking_part)]
        return with_own_states(
            [TaskStep(task, step, self.asked(task, step)) for task, step in steps]
        )

    def asked(self, task: Task, step: Step) -> Requests:
        """What a task asks for; TaskError where that cannot be encoded."""
        return asked_by(task, step, self.num_items, self.max_length)

    def move_copies(self) -> None:
        """Let the moving averages follow the weights of the steps so far."""
        for momentum_copy in self.momentum_copies() if self.training else ():
            momentum_copy.follow(self.encoder, self.item_embedding, self.feature_input)

    def start_momentum_copies(self) -> None:
        """Make moving averages copies again, of weights that were put in."""
        for momentum_copy in self.momentum_copies():
            momentum_copy.start(self.encoder, self.item_embedding, self.feature_input)

    def momentum_copies(self) -> list[MomentumCopy]:
        return [part for part in self.copies if isinstance(part, MomentumCopy)]

    def one_pass(self, requests: Mapping[Name, Request]) -> Encoded:
        """Encode this process's rows of every request, each by the model that it names."""
        local = {
            name: replace(request, sequences=self.shard.local(request.sequences))
            for name, request in requests.items()
        }
        own = {name: request for name, request in local.items() if request.momentum is None}
        with record_function("encoder"), self.products():
            tensors = encode_together(self.encoder, self.embed, own)
            for momentum_copy in self.momentum_copies():
                keys = {n: r for n, r in local.items() if r.momentum == momentum_copy.momentum}
                embed = functools.partial(self.embed, of=momentum_copy)
                with torch.no_grad():
                    tensors |= encode_together(momentum_copy.encoder, embed, keys)
        return Encoded(tensors, local)

    def resolve_requests(
        self, task_step: TaskStep, encoded: Encoded, batch: Batch
    ) -> dict[str, Tensor]:
        """What a task asked for, by its names."""
        task, rows = task_step.task, task_step.step.batch
        return {
            key: self.resolve_request((task.name, key), request, encoded, batch, rows)
            for key, request in task_step.requests.items()
        }

    def resolve_request(
        self, name: Name, request: EncodingRequest, encoded: Encoded, batch: Batch, rows: Batch
    ) -> Tensor:
        """An encoded view, one that another task asked for, the batch's own states, embeddings."""
        if isinstance(request, ItemEmbeddings):
            return self.items().vectors(request.items)
        if isinstance(request, HistoryState):
            local_states = encoded.histories().of(request.pooling)
            states = self.shard.everyone(local_states, len(batch))
            return states if rows.taken is None else states[rows.taken]
        positions = self.max_length
        if isinstance(request, View):
            positions, number = request.positions or positions, len(request.sequences)
        else:
            name, number = (request.task, request.view), len(rows)
        return self.shard.everyone(encoded.view(name, request.pooling, positions), number)

    def next_item_loss(
        self, encoded: Encoded, batch: Batch, scored: Tensor | None, rng: Generator
    ) -> Tensor:
        """This process's share of the mean over the batch's targets.

        scored: [T] positions of its rows that have a label; None where only the last one has.
        """
        if batch.labels is not None and not self.causal:
            raise ValueError("labels at every position: the encoder is not causal and sees them")
        part = self.shard.part(len(batch))
        rows = part.stop - part.start
        targets, share = batch.targets[part], rows / len(batch)
        if batch.labels is None or scored is None:
            states = encoded.input().last()[:rows]
        else:
            share = len(scored) / max(1, int(batch.label_counts().sum()))
            states = encoded.at(scored, rows)
            targets = batch.labels[part].flatten()[scored]
        if not len(states):
            return states.sum()  # 0, and a gradient of 0 for every weight
        # Processes that share a batch draw their negatives apart.
        loss: Tensor = self.next_item(
            states, self.output_items(), targets, rng if self.shard.count == 1 else self.process_rng
        )
        if not isinstance(loss, Tensor) or loss.dim():
            got = f"shape {[*loss.shape]}" if isinstance(loss, Tensor) else type(loss).__name__
            raise LossError(f"{type(self.next_item).__name__} has to return one number, got {got}")
        return loss if share == 1.0 else loss * share

    def products(self) -> AbstractContextManager[None]:
        """How matrix products are made: in bfloat16 where that is asked for."""
        device = self.item_embedding.weight.device
        if self.bfloat16_products:
            return bfloat16_products(device)
        return torch.autocast(device.type, enabled=False)

    # Items and scores ------------------------------------------------------------------------

    def embed(self, items: Tensor, of: MomentumCopy | None = None) -> Tensor:
        """Item numbers of any shape to what the encoder reads of them; MASK takes the last row.

        of: a moving average of the model, whose weights take the place of its own.
        """
        rows = torch.where(items == MASK, self.num_items + 1, items)
        table, fused = self.item_embedding, self.feature_input
        if of is not None:
            table, fused = of.item_embedding, of.feature_input
        vectors = F.embedding(rows, table.weight, padding_idx=0, sparse=self.sparse_rows)
        return vectors if fused is None else fused(rows, vectors)

    def items(self) -> Items:
        """The embeddings as they are read."""
        return Items(self.item_embedding.weight, self.num_items, self.sparse_rows)

    def output_items(self) -> Items:
        """The embeddings whose product with a state is a score."""
        items = self.items()
        if not self.next_item.cosine_scores:
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
        return self.represent(histories) @ self.output_items().weight[: self.num_items + 1].T

    def score_blocks(self, histories: Sequences, rows: int) -> Iterator[Tensor]:
        """[<= rows, num_items] at a time: the histories are encoded once."""
        items = self.output_items().all()
        for states in torch.split(self.represent(histories), rows):
            yield states @ items.T
