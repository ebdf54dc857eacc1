"""From a configuration and data to a model."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Generator, Tensor

from augment import Sequences, TrainHistories
from experiments.config import Config
from experiments.data.histories import Histories
from experiments.recbole_models import RecBoleModel
from experiments.resolve import RECBOLE
from models.baselines import BASELINES, Popularity, RepeatLast
from models.sasrec import Catalogue, Losses, SASRec
from models.tasks import Batch

RECBOLE_FIELDS = {
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "LIST_SUFFIX": "_list",
    "ITEM_LIST_LENGTH_FIELD": "item_length",
    "NEG_PREFIX": "neg_",
}


class Trainable(Protocol):
    """What the trainer asks of a model, next to being a torch module."""

    def start_epoch(self, epoch: int, rng: Generator) -> None: ...

    def losses(self, batch: Batch, rng: Generator, diagnose: bool = False) -> Losses: ...

    def scores(self, histories: Sequences) -> Tensor: ...


AnyModel = SASRec | RecBoleModel | Popularity | RepeatLast


def build_model(
    config: Config, histories: Histories, train: TrainHistories, device: torch.device
) -> AnyModel:
    """A model with weights drawn from the run's seed, on the device."""
    torch.manual_seed(config.seed)
    if config.model in BASELINES:
        return BASELINES[config.model](train).to(device)
    if config.model.startswith(RECBOLE):
        return RecBoleModel.build(config, histories, device)
    fields = {
        **RECBOLE_FIELDS,
        "MAX_ITEM_LIST_LENGTH": config.encoder.max_length,
        "device": device,
        "seed": config.seed,
        "encoder": config.encoder,
        "next_item": config.next_item,
        "contrast": config.contrast,
        "augment": config.augment,
    }
    model: SASRec = SASRec(fields, Catalogue(train)).to(device)
    return model
