"""The epoch loop: train an epoch, validate, save, until validation stops improving."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor

from experiments.metric_names import flat
from experiments.storage.run_folder import RunFolder
from experiments.tracking.tracker import Tracker
from experiments.training.environment import (
    give_memory_back,
    old_objects_left_alone,
    products_in,
)
from experiments.training.mistakes import mistakes_of_authors
from experiments.training.nan_check import Place, check_finite, check_weights
from experiments.training.optimizer import Optimizer, gradient_norms, rate_at
from experiments.training.progress import Bar, epoch_line, outlook
from experiments.training.resume import save_epoch
from experiments.training.run import Run
from models.baselines import Popularity, RepeatLast
from models.host import Losses
from models.recbole_plug import SASRec
from models.shard import ALONE, Shard
from models.tasks import Batch

Watch = Callable[[dict[str, float]], bool]
"""Told every epoch's record before it is written; False ends the training there."""


class Pruned(Exception):
    """The watch ended the training after an epoch that is saved."""


def fit(
    run: Run, optimizer: Optimizer, tracker: Tracker, folder: RunFolder, watch: Watch | None
) -> None:
    """Epochs until validation has not improved for `patience` evaluations, or all are done."""
    config, progress = run.config, run.progress
    while progress.epoch < config.epochs and progress.waited < config.train.patience:
        progress.epoch += 1
        with products_in(config.train.precision, run.device), old_objects_left_alone():
            record = train_epoch(run, optimizer, tracker.begin)
        improved = False
        last = progress.epoch == config.epochs
        if last or progress.epoch % config.train.evaluate_every == 0:
            with run.averaged():
                valid = run.validate()
            record |= flat("valid", valid.metrics())
            improved = progress.improves(record[f"valid/{config.train.monitor}"])
        goes_on = watch is None or watch(record)
        save_epoch(run, optimizer, folder, record, improved)
        tracker.epoch(record)
        print(epoch_line(record, config.epochs, improved, config.train.monitor), flush=True)
        if line := outlook(run):
            print(line, flush=True)
        give_memory_back()
        if not goes_on:
            raise Pruned


def train_epoch(
    run: Run, optimizer: Optimizer, after_first_step: Callable[[], None]
) -> dict[str, float]:
    """One pass over the training examples; returns the epoch's record.

    Raises FloatingPointError at the first loss that is not finite, or at the end of the epoch
    when a weight is not; on a GPU a loss is looked at every `diagnose_every` steps.
    """
    config, progress, model = run.config, run.progress, run.model
    assert not isinstance(model, (Popularity, RepeatLast))
    started = time.perf_counter()
    dropout_seed, view_seed = epoch_seeds(config.seed, progress.epoch)
    seed_everything(dropout_seed + run.shard.rank)
    rng = Generator(device=run.device).manual_seed(view_seed)
    model.start_epoch(progress.epoch, rng)
    model.train()
    values: dict[str, list[Tensor]] = {}
    norms: dict[str, Tensor] = {}
    bar = Bar(run)
    for number, batch in enumerate(bar):
        place = Place(progress.epoch, progress.step + number, number, batch)
        diagnose = number % config.train.diagnose_every == 0
        look = diagnose or run.device.type == "cpu"  # a look makes a GPU wait
        with mistakes_of_authors():
            losses = model.losses(batch, rng, diagnose)
        bar.tell(losses)
        if not norms and len(losses.parts) == model.objectives() > 1:  # once an epoch
            norms = gradient_norms(losses.parts, optimizer.parameters, run.shard)
        if look:
            check_finite("loss", losses.metrics["train/loss"], place)
        epochs_passed = progress.epoch - 1 + number / len(run.batches)
        optimizer.set_rate(rate_at(config.train, epochs_passed, config.epochs))
        norm = optimizer.descend(losses.total, run.shard)
        if isinstance(model, SASRec):
            with mistakes_of_authors():
                take_second_step(model, optimizer, losses, batch, rng, run.shard)
        if look and norm is not None:
            check_finite("gradient's norm", norm, place)
        if run.average is not None:
            run.average.update()
        if number == 0:
            after_first_step()
        for name, value in losses.metrics.items():
            values.setdefault(name, []).append(value)
    means = {name: torch.stack(recorded).nanmean() for name, recorded in values.items()} | norms
    check_finite("mean loss", means["train/loss"], place)
    check_weights(model, place)
    seconds = time.perf_counter() - started
    progress.step += len(run.batches)
    progress.targets += run.batches.rows.targets
    progress.train_seconds += seconds
    return {
        "epoch": progress.epoch,
        "step": progress.step,
        "seconds": round(seconds, 3),
        "train/learning_rate": optimizer.rate,
        **{name: float(value) for name, value in means.items() if math.isfinite(value)},
    }


def take_second_step(
    model: SASRec,
    optimizer: Optimizer,
    losses: Losses,
    batch: Batch,
    rng: Generator,
    shard: Shard = ALONE,
) -> None:
    """Bi-level training: the second step's weights move, then, where asked for, the rest again.

    Nothing is done where no task has a second step.
    """
    second = model.second_step(losses, batch)
    if second is None:
        return
    optimizer.descend_second(second, shard)
    if model.trains_again():
        optimizer.descend(model.losses(batch, rng, steps=losses.steps).total, shard)


def epoch_seeds(seed: int, epoch: int) -> tuple[int, int]:
    """Seeds of an epoch's dropout and of its views: separate streams."""
    first, second = np.random.SeedSequence((seed, epoch)).generate_state(2, np.uint32)
    return int(first), int(second)


def seed_everything(seed: int) -> None:
    """torch's generators for dropout; Python's and NumPy's for RecBole's own models."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
