"""What a run is: a configuration with its data and model, ready to train or to evaluate."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from augment.examples import prefix_rows, window_rows
from experiments.config.run_config import Config, settings_sha256
from experiments.data.batches import TrainingBatches
from experiments.data.catalogue import DatasetSpec, load
from experiments.data.histories import Histories
from experiments.data.splits.held_out import Split, train_split
from experiments.data.splits.kinds import LeaveOneOut, SplitConfig
from experiments.errors import UsageError
from experiments.evaluation.ranking import Evaluation, EvaluationOptions, evaluate
from experiments.metric_names import SCORE0
from experiments.training.build import AnyModel, build_model
from experiments.training.environment import (
    check_precision,
    choose_device,
    keep_memory,
    repeat_exactly,
)
from experiments.training.mistakes import mistakes_of_authors
from experiments.training.weight_average import WeightAverage
from models.baselines import Popularity, RepeatLast
from models.recbole_plug import SASRec
from models.shard import ALONE, Shard
from models.tasks.feature_task import FeatureTask

INPUT = "features of the input"  # among the names of tasks, as no task is called


@dataclass
class Progress:
    """Where training stands: what a resumed run must know besides weights."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best: float = -1.0
    waited: int = 0  # evaluations since the best one
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    targets: int = 0
    weights_sha256: str = ""  # of the best weights' file
    replaced_sha256: str = ""  # of the file that they replace

    def improves(self, score: float) -> bool:
        """Note an evaluation; True when it is the best so far."""
        if score > self.best:
            self.best, self.best_epoch, self.waited = score, self.epoch, 0
            return True
        self.waited += 1
        return False


@dataclass
class Run:
    """A configuration with its data and model, ready to train or to evaluate."""

    config: Config
    histories: Histories
    device: torch.device
    model: AnyModel
    batches: TrainingBatches
    prepare_seconds: float
    shard: Shard = ALONE
    tree: dict[str, Any] = field(default_factory=dict)  # config.yaml, once it is claimed
    progress: Progress = field(default_factory=Progress)
    average: WeightAverage | None = None  # of the weights, while they are trained

    def averaged(self) -> AbstractContextManager[None]:
        """In the block, the model has the weights that are evaluated and kept."""
        return nullcontext() if self.average is None else self.average.in_place()

    def evaluate(self, split: Split, beyond: bool | None = None) -> Evaluation:
        """Rank the split's targets with the weights as they are.

        beyond: whether coverage, popularity and novelty are reported; None: as configured.
        """
        started = time.perf_counter()
        self.model.eval()
        length, fields = self.config.encoder.max_length, self.config.evaluate
        rule, cutoff = self.config.train.monitored
        options = EvaluationOptions(
            (*fields.cutoffs, cutoff),
            fields.score0 or rule == SCORE0,
            fields.beyond if beyond is None else beyond,
        )
        with mistakes_of_authors():
            evaluation = evaluate(
                self.model,
                self.histories,
                split,
                length,
                fields.block,
                self.device,
                self.shard,
                options,
            )
        self.progress.evaluate_seconds += time.perf_counter() - started
        return evaluation

    def validate(self) -> Evaluation:
        """Rank the validation targets; a score that is not finite is told with its epoch."""
        try:
            return self.evaluate("valid", beyond=False)
        except FloatingPointError as error:
            place = f"after epoch {self.progress.epoch} (step {self.progress.step})"
            raise FloatingPointError(f"{place}: {error}") from error


def prepare(config: Config, spec: DatasetSpec, shard: Shard = ALONE) -> Run:
    """Read the data and build the model; nothing is written.

    shard: this process's part, where several train one model.
    """
    keep_memory()
    started = time.perf_counter()
    device = choose_device(config.train.device)
    check_precision(config.train.precision, device)
    histories = load(spec, config.ties, config.split)
    train_items = train_split(histories)
    make_rows = prefix_rows if config.examples == "prefixes" else window_rows
    rows = make_rows(train_items, config.encoder.max_length)
    model = build_model(config, histories, train_items, spec, device)
    repeat_exactly(device, strict=isinstance(model, SASRec))
    if not len(rows) and trained(model):
        raise UsageError(
            f"{spec.path}: nothing to train on: no user has {enough(config.split)}, and a first "
            "item has nothing before it"
        )
    settings = config.train
    batches = TrainingBatches(
        train_items, rows, settings.batch_size, settings.bucket_pool, config.seed, device
    )
    if isinstance(model, SASRec):
        model.shard = shard
        model.sparse_rows = config.train.lazy_rows
        model.bfloat16_products = config.train.precision == "bfloat16"
    elif config.train.precision != "float32" and trained(model):
        raise UsageError(f"train.precision: {config.model} is trained in float32")
    if shard.count > 1 and config.train.lazy_rows:
        raise UsageError("train.lazy_rows: several processes exchange whole gradients; use one")
    if shard.count > 1 and not isinstance(model, SASRec):
        raise UsageError(f"model: {config.model} cannot be trained by several processes")
    seconds = time.perf_counter() - started
    return Run(config, histories, device, model, batches, seconds, shard)


def enough(split: SplitConfig) -> str:
    """What a user needs to be trained on."""
    if isinstance(split, LeaveOneOut):
        return "four interactions: the last two of each are validation and test"
    return "two interactions in the training part"


def trained(model: nn.Module) -> bool:
    """False for the baselines, which only count."""
    return not isinstance(model, (Popularity, RepeatLast))


def origins(run: Run) -> dict[str, Any]:
    """What the run reads, and by how many processes: a resumed run must agree."""
    tasks = run.model.contrastive_tasks() if isinstance(run.model, SASRec) else []
    features = {task.name: task.sha256 for task in tasks if isinstance(task, FeatureTask)}
    if isinstance(run.model, SASRec) and run.model.feature_input is not None:
        features[INPUT] = run.model.feature_input.sha256
    return {
        "data_sha256": run.histories.sha256,
        "features_sha256": features,
        "processes": run.shard.count,
        "settings_sha256": settings_sha256(run.tree),
    }
