"""The model as one of RecBole's: the only file of models/ that knows RecBole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Generator, Tensor

from augment import Sequences, TrainHistories
from augment.correlation import counted_neighbours
from models.augmented_input import AugmentConfig
from models.encoders import EncoderConfig
from models.host import Host
from models.tasks import Batch


@dataclass(frozen=True)
class Catalogue:
    """What the constructor of a RecBole model asks of a RecBole Dataset, without building one."""

    train: TrainHistories

    def num(self, field: str) -> int:
        """Items including padding, as RecBole counts them."""
        return self.train.num_items + 1


class SASRec(Host, SequentialRecommender):  # type: ignore[misc]  # RecBole is not typed
    """The host as a RecBole SequentialRecommender: SASRec, CL4SRec and their relatives.

    RecBole's own data_preparation and Trainer run it unchanged; our training loop runs it, too.
    Presets differ in configuration only.

    config:  maps RecBole's field names, `seed`, and objects of ours: `encoder`
             (EncoderConfig), `next_item` (NextItemLoss), `contrast` (a sequence of Task) and,
             where the input is to be augmented, `augment` (AugmentConfig); where neighbours
             of items are kept, `count_neighbours` (CountNeighbours); where the encoder reads
             item features, `item_features` (GivenFeatures).  A MAX_ITEM_LIST_LENGTH below the
             encoder's max_length takes its place in all parts of the model; ValueError above it.
    dataset: a RecBole SequentialDataset of the training split, or a Catalogue.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config: Mapping[str, Any], dataset: Any) -> None:
        SequentialRecommender.__init__(self, config, dataset)  # names of fields, no parameters
        counts, reads = "count_neighbours" in config, "item_features" in config
        Host.__init__(
            self,
            reading(config["encoder"], config["MAX_ITEM_LIST_LENGTH"]),
            config["next_item"],
            config["contrast"],
            config["augment"] if "augment" in config else AugmentConfig(),
            train_histories(dataset),
            config["device"],
            config["count_neighbours"] if counts else counted_neighbours,
            config["item_features"] if reads else None,  # RecBole's Config has no `get`
        )
        self.rng = Generator(device=config["device"]).manual_seed(config["seed"])
        self.epoch = 0  # of RecBole's Trainer
        self.in_epoch = False
        self.other_parameter_name = ["epoch"]  # what RecBole saves next to the weights
        self.register_buffer("user_rows", user_rows(dataset), persistent=False)

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
        if any(group.second_step for group in self.parameter_groups()):
            raise ValueError(
                "a task trains weights of its own in a second step, which RecBole's Trainer does "
                "not take: train it by run.py"
            )
        users = self.get_buffer("user_rows")[interaction[self.USER_ID]]
        batch = Batch(self.histories(interaction), interaction[self.POS_ITEM_ID], users)
        return self.losses(batch, self.rng).total

    def predict(self, interaction: Any) -> Tensor:
        items = self.output_items().vectors(interaction[self.ITEM_ID])  # [B, d]
        scores: Tensor = (self.represent(self.histories(interaction)) * items).sum(dim=1)
        return scores

    def full_sort_predict(self, interaction: Any) -> Tensor:
        return self.scores(self.histories(interaction))


def reading(encoder: EncoderConfig, length: int) -> EncoderConfig:
    """The encoder for RecBole's lists of at most `length` items, which may be fewer than its own.

    Errors: ValueError where they are more than it reads.
    """
    if length > encoder.max_length:
        raise ValueError(
            f"MAX_ITEM_LIST_LENGTH is {length}, and the encoder reads {encoder.max_length} items: "
            "set its max_length to that, too"
        )
    return encoder if length == encoder.max_length else replace(encoder, max_length=length)


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
