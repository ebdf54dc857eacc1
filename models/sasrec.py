"""The model: an encoder, a next-item loss, and any number of contrastive tasks."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Generator, Tensor, nn
from torch.profiler import record_function

from augment import MASK, Sequences, TrainHistories, identity_rate
from augment.views import unchanged
from models.augmented_input import AugmentConfig, AugmentedInput
from models.encoders import EncoderConfig
from models.encoders.encoder import at_last
from models.encoders.passes import Request, encode_together, mean_over_real
from models.losses.next_item import Items, NextItemLoss, NoNextItem
from models.shard import Shard
from models.snapshot import Pooling, Snapshot
from models.tasks import Batch, ItemVectors, OwnState, Sizes, Task, TaskLoss, View, Wanted


@dataclass(frozen=True)
class Losses:
    """The loss of one batch: their sum, its weighted parts, and scalars for the record."""

    total: Tensor
    parts: dict[str, Tensor]
    metrics: dict[str, Tensor]


@dataclass(frozen=True)
class OwnStates:
    """What the pass over the batch itself gave: [B, d] at the last items, or [B, L, d]."""

    states: Tensor
    histories: Sequences

    def last(self) -> Tensor:
        """[B, d]: the state at each history's last item."""
        return (
            at_last(self.states, self.histories.lengths) if self.states.dim() == 3 else self.states
        )

    def mean(self) -> Tensor:
        """[B, d]: the mean over real items."""
        return mean_over_real(self.states, self.histories)


@dataclass(frozen=True)
class Catalogue:
    """What the constructor of a RecBole model asks of a RecBole Dataset, without building one."""

    train: TrainHistories

    def num(self, field: str) -> int:
        """Items including padding, as RecBole counts them."""
        return self.train.num_items + 1


class SASRec(SequentialRecommender):  # type: ignore[misc]  # RecBole is not typed
    """Next-item recommender with contrastive tasks: SASRec, CL4SRec and their relatives.

    SASRec (arXiv:1808.09781) is this class without tasks, CL4SRec (arXiv:2010.14395) with one;
    presets differ in configuration only.  It is a RecBole SequentialRecommender: RecBole's own
    data_preparation and Trainer run it unchanged.

    config:  maps RecBole's field names, `seed`, and objects of ours: `encoder`
             (EncoderConfig), `next_item` (NextItemLoss), `contrast` (a sequence of Task) and,
             where the input is to be augmented, `augment` (AugmentConfig).
    dataset: a RecBole SequentialDataset of the training split, or a Catalogue.

    Item 0 is padding, items 1..num_items are real, the table's last row is [mask]; only real
    items are scored.
    """

    input_type = InputType.POINTWISE
    sparse_rows = False  # look-ups of embeddings give sparse gradients
    bfloat16 = False  # matrix products of encoder and output layer, while training
    shard = Shard()  # this process's part of every batch

    def __init__(self, config: Mapping[str, Any], dataset: Any) -> None:
        super().__init__(config, dataset)
        encoder: EncoderConfig = config["encoder"]
        self.next_item: NextItemLoss = copy.deepcopy(config["next_item"])
        self.num_items = self.n_items - 1
        self.item_embedding = nn.Embedding(self.n_items + 1, encoder.dim, padding_idx=0)
        nn.init.normal_(self.item_embedding.weight, std=encoder.init_std)
        with torch.no_grad():
            self.item_embedding.weight[0] = 0.0
        self.encoder = encoder.build()
        self.tasks = nn.ModuleList(
            copy.deepcopy(task) for task in config["contrast"] if task.weight > 0.0
        )
        self.rng = Generator(device=config["device"]).manual_seed(config["seed"])
        self.own = Generator(device=config["device"])  # negatives of one of several processes
        self.epoch = 0  # of RecBole's Trainer
        self.in_epoch = False
        self.other_parameter_name = ["epoch"]  # what RecBole saves next to the weights
        self.mined = train_histories(dataset)
        self.register_buffer("user_rows", user_rows(dataset), persistent=False)
        self.next_item.fit(self.mined)
        users = len(self.mined.offsets) - 1
        sizes = Sizes(encoder.dim, encoder.max_length, self.num_items, users)
        for task in self.contrastive_tasks():
            task.prepare(sizes)
            task.fit(self.mined)
        augment = config["augment"] if "augment" in config else AugmentConfig()
        self.augment = AugmentedInput(augment, encoder.max_length)
        self.augment.fit(self.mined)

    def contrastive_tasks(self) -> list[Task]:
        """The tasks with a weight above 0, in the order of the configuration."""
        return [task for task in self.tasks if isinstance(task, Task)]

    @torch.no_grad()
    def start_epoch(self, epoch: int, rng: Generator) -> None:
        """Let the tasks mine the model as it stands.  Leaves it in evaluation mode."""
        self.eval()
        self.own.manual_seed(rng.initial_seed() + 1 + self.shard.rank)
        weight = self.item_embedding.weight.detach()
        snapshot = Snapshot(
            Items(weight, self.num_items).all(), self.encode, self.mined, self.max_seq_length
        )
        for task in self.contrastive_tasks():
            task.start_epoch(epoch, snapshot, rng)
        self.augment.start_epoch(epoch, snapshot.items)

    def objectives(self) -> int:
        """Parts that the loss of a batch has, at most."""
        return len(self.tasks) + (not isinstance(self.next_item, NoNextItem))

    def losses(self, batch: Batch, rng: Generator, diagnose: bool = False) -> Losses:
        """Next-item loss plus each task's weighted loss, from one pass over batch and views.

        rng draws views, augmented inputs and negatives, and nothing else does.  diagnose adds
        the scalars that cost extra.  A task none of whose rows is in the batch has no part.
        In training the next-item loss reads the augmented input; views are made from the
        history itself.
        """
        with record_function("contrast"):
            shares = [(task, task.share(batch)) for task in self.contrastive_tasks()]
            asked = [
                (task, rows, list(task.views(rows, rng))) for task, rows in shares if len(rows)
            ]
        wanted = [one for _, _, some in asked for one in some]
        predicts = not isinstance(self.next_item, NoNextItem)
        read = self.augment(batch, rng) if self.training and predicts else batch
        states, own, encoded = self.one_pass(batch, read if predicts else None, wanted)
        parts: dict[str, Tensor] = {}
        metrics: dict[str, Tensor] = {}
        if states is not None:
            with record_function("output layer"), self.autocast(batch.histories.device):
                parts["next_item"] = self.next_item_loss(states, batch, rng)
            metrics["train/next_item"] = self.shard.sum(parts["next_item"])
            if diagnose and read is not batch:
                rate = identity_rate(batch.histories, read.histories)
                metrics["train/augment/identity_rate"] = rate
        with record_function("contrast"):
            for task, rows, some in asked:
                mine = [self.answer(one, encoded, own, batch, rows) for one in some]
                result = task.loss(mine, rows)
                parts[task.name] = task.weight * result.value / self.shard.count
                metrics |= self.record(task, result, some, mine, rows, diagnose)
        total = torch.stack(list(parts.values())).sum()
        return Losses(total, parts, {"train/loss": self.shard.sum(total), **metrics})

    def one_pass(
        self, batch: Batch, read: Batch | None, wanted: list[Wanted]
    ) -> tuple[OwnStates | None, OwnStates | None, Iterator[Tensor]]:
        """Encode what the losses need: states of `read`, states of `batch`, and every view.

        read: what the next-item loss reads; None where there is none.  The tasks' own states are
        of the history itself; they are those of `read` where that is the same.
        """
        pooled = {one.pooling for one in wanted if isinstance(one, OwnState)}
        everywhere = batch.labels is not None or "mean" in pooled
        own = [] if read is None else [read]
        own += [batch] if pooled and read is not batch else []
        longest = self.max_seq_length
        requests = [Request(one.histories, "all" if everywhere else "last") for one in own]
        requests += [
            Request(one.sequences, one.pooling, one.positions or longest)
            for one in wanted
            if isinstance(one, View)
        ]
        requests = [replace(r, sequences=self.shard.mine(r.sequences)) for r in requests]
        with record_function("encoder"), self.autocast(batch.histories.device):
            encoded = iter(encode_together(self.encoder, self.embed, requests))
        found = [OwnStates(next(encoded), request.sequences) for request in requests[: len(own)]]
        return found[0] if read is not None else None, found[-1] if pooled else None, encoded

    def autocast(self, device: torch.device) -> torch.autocast:
        """Products in bfloat16 where that is asked for."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16)

    def answer(
        self,
        one: Wanted,
        encoded: Iterator[Tensor],
        states: OwnStates | None,
        batch: Batch,
        rows: Batch,
    ) -> Tensor:
        """What a task asked for: the next encoded view, the batch's own states, or embeddings."""
        if isinstance(one, View):
            return self.shard.everyone(next(encoded), len(one.sequences))
        if isinstance(one, ItemVectors):
            return self.items().vectors(one.items)
        assert states is not None
        mine = states.last() if one.pooling == "last" else states.mean()
        whole = self.shard.everyone(mine, len(batch))
        return whole if rows is batch or batch.final is None else whole[batch.final]

    def next_item_loss(self, own: OwnStates, batch: Batch, rng: Generator) -> Tensor:
        """This process's share of the mean over the batch's targets."""
        part = self.shard.part(len(batch))
        rows = part.stop - part.start
        targets, labels = batch.targets[part], batch.labels
        if labels is None:
            states, share = own.last()[:rows], rows / len(batch)
        else:
            counts = batch.scored if batch.scored is not None else count_labels(labels)
            count = int(counts[part].sum())
            share = count / int(counts.sum())
            # [T] flat positions; how many there are is known here, so no device is asked
            scored = torch.nonzero_static((labels[part] > 0).flatten(), size=count)[:, 0]
            states = own.states[:rows].flatten(0, 1)[scored]
            targets = labels[part].flatten()[scored]
        if not len(states):
            return states.sum()  # 0, and a gradient of 0 for every weight
        loss: Tensor = self.next_item(states, self.scored(), targets, self.own_rng(rng))
        return loss if share == 1.0 else loss * share

    def own_rng(self, rng: Generator) -> Generator:
        """Where negatives come from: processes that share a batch draw theirs apart."""
        return rng if self.shard.count == 1 else self.own

    @torch.no_grad()
    def record(
        self,
        task: Task,
        result: TaskLoss,
        wanted: list[Wanted],
        encoded: list[Tensor],
        batch: Batch,
        diagnose: bool,
    ) -> dict[str, Tensor]:
        """contrast/<task>/<name> for every scalar of a task."""
        scalars = {"loss": result.value.detach(), **result.metrics}
        if diagnose:
            scalars["weight"] = torch.tensor(task.weight)
            scalars |= task.diagnose(encoded, batch)
            views = [one for one in wanted if isinstance(one, View)]
            scalars |= identity_rates(batch.histories, views)
        return {f"contrast/{task.name}/{name}": value for name, value in scalars.items()}

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
        request = Request(histories, pooling, self.max_seq_length)
        return encode_together(self.encoder, self.embed, [request])[0]

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

    # RecBole's model interface ---------------------------------------------------------------

    def histories(self, interaction: Any) -> Sequences:
        """RecBole's right-padded item lists, trimmed to the longest of the batch."""
        items, lengths = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        return Sequences(items[:, : int(lengths.max())], lengths)

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        return self.represent(Sequences(item_seq, item_seq_len))

    def train(self, mode: bool = True) -> SASRec:
        """RecBole's Trainer calls this as each epoch starts, and says it in no other way."""
        self.in_epoch = self.in_epoch and not mode
        super().train(mode)
        return self

    def calculate_loss(self, interaction: Any) -> Tensor:
        """One scalar: RecBole would add every entry of a tuple to the loss.

        The first batch after `train()` starts an epoch.
        """
        if not self.in_epoch:
            training = self.training
            self.epoch += 1
            self.start_epoch(self.epoch, self.rng)
            self.train(training)
            self.in_epoch = True
        users = self.get_buffer("user_rows")[interaction[self.USER_ID]]
        batch = Batch(self.histories(interaction), interaction[self.POS_ITEM_ID], users)
        return self.losses(batch, self.rng).total

    def predict(self, interaction: Any) -> Tensor:
        items = self.scored().vectors(interaction[self.ITEM_ID])  # [B, d]
        scores: Tensor = (self.represent(self.histories(interaction)) * items).sum(dim=1)
        return scores

    def full_sort_predict(self, interaction: Any) -> Tensor:
        return self.scores(self.histories(interaction))


def count_labels(labels: Tensor) -> NDArray[np.int64]:
    """[B] on the host: how many positions of each row are scored."""
    counts: NDArray[np.int64] = (labels > 0).sum(dim=1).cpu().numpy()
    return counts


def identity_rates(histories: Sequences, views: list[View]) -> dict[str, Tensor]:
    """Share of views equal to their input: over all, and for each operator that drew some."""
    views = [v for v in views if v.sequences is not (v.made_from or histories)]  # meant to differ
    if not views:
        return {}
    each = [identity_rate(v.made_from or histories, v.sequences) for v in views]
    rates = {"identity_rate": torch.stack(each).mean()}
    drawn = [v for v in views if v.drawn is not None]
    if drawn:
        same = torch.cat([unchanged(v.made_from or histories, v.sequences) for v in drawn]).double()
        by = torch.cat([v.drawn for v in drawn if v.drawn is not None])
        for index, name in enumerate(drawn[0].operators):
            mine = by == index
            rates[f"identity_rate/{name}"] = (same * mine).sum() / mine.sum()
    return rates


def train_histories(dataset: Any) -> TrainHistories:
    """Every user's training items, from a Catalogue or RecBole's training SequentialDataset.

    RecBole holds a row per prefix, sorted by user and time: a user's history is the first
    item of the first row's list, followed by the target of every row.  A user with a single
    interaction has no row there and is left out; `user_rows` says who is who.
    """
    if isinstance(dataset, Catalogue):
        return dataset.train
    rows = dataset.inter_feat
    users = rows[dataset.uid_field].numpy()
    targets = rows[dataset.iid_field].numpy()
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    first = rows[dataset.iid_field + dataset.config["LIST_SUFFIX"]].numpy()[starts, 0]
    items = np.insert(targets, starts, first)
    counts = np.diff(np.append(starts, len(users))) + 1
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return TrainHistories(
        torch.from_numpy(items), torch.from_numpy(offsets), dataset.num(dataset.iid_field) - 1
    )


def user_rows(dataset: Any) -> Tensor:
    """[users]: where `train_histories` has the user that a batch calls by this number.

    A Catalogue's batches use the same numbers.  RecBole counts users from 1, also those without
    a training row, who are in no batch and get -1.
    """
    if isinstance(dataset, Catalogue):
        return torch.arange(len(dataset.train.offsets) - 1)
    users = torch.unique(dataset.inter_feat[dataset.uid_field])
    rows = torch.full((dataset.num(dataset.uid_field),), -1)
    rows[users] = torch.arange(len(users))
    return rows
