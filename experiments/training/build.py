"""From a configuration and data to a model."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import torch

from augment import TrainHistories
from experiments.config.presets import RECBOLE
from experiments.config.run_config import Config
from experiments.data.catalogue import DatasetSpec
from experiments.data.features import files_sha256, read_features
from experiments.data.histories import Histories
from experiments.data.neighbour_cache import cached_neighbours
from experiments.errors import UsageError
from models.baselines import BASELINES, Popularity, RepeatLast
from models.feature_input import FeaturesConfig, GivenFeatures
from models.recbole_plug import Catalogue, SASRec
from models.tasks import FeatureTask, Task

if TYPE_CHECKING:
    from experiments.recbole.models import RecBoleModel

RECBOLE_FIELDS = {
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "LIST_SUFFIX": "_list",
    "ITEM_LIST_LENGTH_FIELD": "item_length",
    "NEG_PREFIX": "neg_",
}


AnyModel: TypeAlias = "SASRec | RecBoleModel | Popularity | RepeatLast"


def build_model(
    config: Config,
    histories: Histories,
    train: TrainHistories,
    spec: DatasetSpec,
    device: torch.device,
) -> AnyModel:
    """A model with weights drawn from the run's seed, on the device."""
    torch.manual_seed(config.seed)
    if config.model in BASELINES:
        return BASELINES[config.model](train).to(device)
    if config.model.startswith(RECBOLE):
        from experiments.recbole.models import RecBoleModel  # RecBole's trainer loads for a second

        return RecBoleModel.build(config, histories, device)
    fields = {
        **RECBOLE_FIELDS,
        "MAX_ITEM_LIST_LENGTH": config.encoder.max_length,
        "device": device,
        "seed": config.seed,
        "encoder": config.encoder,
        "next_item": config.next_item,
        "contrast": [with_features(task, histories, spec) for task in config.contrast],
        "augment": config.augment,
        "count_neighbours": cached_neighbours,
    }
    if config.features.source is not None:
        fields["item_features"] = input_features(config.features, histories, spec)
    try:
        with fitting_in_memory():
            model: SASRec = SASRec(fields, Catalogue(train)).to(device)
    except ValueError as error:  # a loss or a task that these data do not suit
        raise UsageError(f"{spec.path}: {error}") from error
    return model


@contextmanager
def fitting_in_memory() -> Iterator[None]:
    """UsageError for sizes that no tensor can have here; torch's own error has twenty lines."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        reason = str(error).split("\n")[0]
        if not isinstance(error, MemoryError) and not re.search("memory|overflow", reason, re.I):
            raise
        raise UsageError(f"model: one of these sizes fits in no memory ({reason})") from None


def input_features(
    config: FeaturesConfig, histories: Histories, spec: DatasetSpec
) -> GivenFeatures:
    """The features that the encoder reads.

    Errors: UsageError for a file that is missing or does not fit the data.
    """
    assert config.source is not None
    items = read_features(config.source, config.columns, histories, spec, "features.source")
    return GivenFeatures(config, items, files_sha256({"source": config.source}, spec, "features"))


def with_features(task: Task, histories: Histories, spec: DatasetSpec) -> Task:
    """A task that reads item features, with them; any other as it is.

    Errors: UsageError for a file that is missing or does not fit the data.
    """
    if not isinstance(task, FeatureTask) or task.weight == 0.0:
        return task
    features = [
        read_features(source, task.feature_dim, histories, spec, f"contrast.{task.name}.{field}")
        for field, source in task.sources().items()
    ]
    task = copy.deepcopy(task)
    task.take_features(features)
    task.sha256 = files_sha256(task.sources(), spec, f"contrast.{task.name}")
    return task
