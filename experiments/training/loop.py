"""One run: train, validate, keep the best, look at test once, or not at all."""

from __future__ import annotations

import dataclasses
import math
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from tqdm import tqdm

from augment.examples import prefix_rows, window_rows
from experiments.config.run_config import Config, config_tree, settings_sha256, tree_sha256
from experiments.data.batches import Split, TrainingBatches, train_split
from experiments.data.catalogue import DatasetSpec, load
from experiments.data.histories import Histories
from experiments.errors import UsageError
from experiments.evaluation.ranking import Evaluation, evaluate
from experiments.storage.checkpoint import (
    load_state,
    load_weights,
    put_weights,
    save_state,
    save_weights,
    weights_sha256,
)
from experiments.storage.hashing import file_sha256
from experiments.storage.lock import sole_writer
from experiments.storage.run_folder import RunFolder
from experiments.tracking.track import Identity, Tracker
from experiments.training.build import AnyModel, build_model
from experiments.training.environment import (
    check_precision,
    choose_device,
    commit,
    give_memory_back,
    keep_memory,
    products_in,
    repeat_exactly,
)
from experiments.training.integrity import check_file, check_settings
from experiments.training.nan_check import Place, check_finite, check_weights
from experiments.training.optimizer import Optimizer, gradient_norms, rate_at
from experiments.training.result import write_result
from models.baselines import Popularity, RepeatLast
from models.recbole_plug import SASRec
from models.shard import ALONE, Shard
from models.tasks import FeatureTask

SELECTION = "ndcg@10"  # of validation, seen items excluded
Watch = Callable[[dict[str, float]], bool]
"""Told every epoch's record before it is written; False ends the training there."""


class Pruned(Exception):
    """The watch ended the training after an epoch that is on record."""


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

    def evaluate(self, split: Split) -> Evaluation:
        """Rank the split's targets with the weights as they are."""
        started = time.perf_counter()
        self.model.eval()
        length, block = self.config.encoder.max_length, self.config.evaluate.block
        evaluation = evaluate(
            self.model, self.histories, split, length, block, self.device, self.shard
        )
        self.progress.evaluate_seconds += time.perf_counter() - started
        return evaluation

    def validate(self) -> Evaluation:
        """Rank the validation targets; a score that is not finite is told with its epoch."""
        try:
            return self.evaluate("valid")
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
    histories = load(spec, config.ties)
    train_items = train_split(histories)
    make_rows = prefix_rows if config.examples == "prefixes" else window_rows
    rows = make_rows(train_items, config.encoder.max_length)
    model = build_model(config, histories, train_items, spec, device)
    repeat_exactly(device, or_say=not isinstance(model, SASRec))
    if not len(rows) and trained(model):
        raise UsageError(
            f"{spec.path}: nothing to train on: no user has four interactions (the last two of "
            "each are validation and test, and a first item has nothing before it)"
        )
    settings = config.train
    batches = TrainingBatches(
        train_items.items, rows, settings.batch_size, settings.bucket_pool, config.seed, device
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


def trained(model: nn.Module) -> bool:
    """False for the baselines, which only count."""
    return not isinstance(model, (Popularity, RepeatLast))


def train(
    config: Config,
    spec: DatasetSpec,
    folder: RunFolder,
    resume: bool,
    shard: Shard = ALONE,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Train until validation stops improving and write the run's folder; returns result.json.

    Every epoch's randomness is a function of (seed, epoch): a resumed run repeats what a run
    that was never stopped would have done.  Raises Pruned where the watch ends the training.
    """
    run = prepare(config, spec, shard)
    with sole_writer(folder.path):
        return train_prepared(run, folder, resume, watch or always)


def train_prepared(run: Run, folder: RunFolder, resume: bool, watch: Watch) -> dict[str, Any]:
    """The rest of `train`, by the one process that holds the folder's lock."""
    config = run.config
    run.tree = tree = config_tree(config)
    optimizer = Optimizer(run.model, config.train) if trained(run.model) else None
    if resume:  # with the fields that there were: the hashes in its files are of those
        run.tree = folder.read_config() | {key: tree[key] for key in ("epochs", "data_dir")}
        restore(run, optimizer, folder)
        folder.write_config(run.tree)
    else:
        folder.claim(tree)
    announce(run, folder)
    head, dirty = commit()
    identity = Identity(
        dataset=config.dataset,
        model=config.model,
        seed=config.seed,
        commit=head,
        dirty=dirty,
        data_sha256=run.histories.sha256,
        config_sha256=tree_sha256(run.tree),
    )
    with Tracker(config.track, folder.path, tree, identity) as tracker:
        for record in folder.read_history():
            tracker.epoch(record)
        if optimizer is None:
            save_weights(folder.weights, run.model)
        else:
            fit(run, optimizer, tracker, folder, watch)
            check_file(folder.weights, run.progress.weights_sha256, folder.state)
            load_weights(folder.weights, run.model)
        valid = run.evaluate("valid")
        test = run.evaluate("test") if config.evaluate.test else None
        result = write_result(folder, run, identity, origins(run), valid, test)
        if test is not None:
            tracker.test(flat_metrics("test", test))
            tracker.ranks(test.ranked, test.excluded)
        where = tracker.finish()
    if where:
        print(f"tracked: {where}")
    return result


def announce(run: Run, folder: RunFolder) -> None:
    """What is trained on what, before the first epoch takes its time."""
    config, data = run.config, run.histories
    print(
        f"{config.model} on {config.dataset}: {data.num_users} users, {data.num_items} items, "
        f"{len(data.items)} interactions"
        + (f" ({data.users_left_out} users with fewer than 3 left out)" * (data.users_left_out > 0))
    )
    print(
        f"examples: {config.examples}, {run.batches.rows.targets} targets in {len(run.batches)} "
        f"batches an epoch, seed {config.seed}, {run.device} -> {folder.path}",
        flush=True,
    )


def always(record: dict[str, float]) -> bool:
    """The watch that ends no training."""
    return True


def fit(run: Run, optimizer: Optimizer, tracker: Tracker, folder: RunFolder, watch: Watch) -> None:
    """Epochs until validation has not improved for `patience` evaluations, or all are done."""
    config, progress = run.config, run.progress
    while progress.epoch < config.epochs and progress.waited < config.train.patience:
        progress.epoch += 1
        with products_in(config.train.precision):
            record = train_epoch(run, optimizer)
        improved = False
        last = progress.epoch == config.epochs
        if last or progress.epoch % config.train.evaluate_every == 0:
            valid = run.validate()
            record |= flat_metrics("valid", valid)
            improved = select(progress, valid.metrics()["excluded"][SELECTION])
        goes_on = watch(record)
        folder.append_history(record)
        if improved:
            progress.replaced_sha256 = progress.weights_sha256
            progress.weights_sha256 = weights_sha256(run.model)
        save_state(folder.state, state_of(run, optimizer, folder))
        if improved:  # after the state, which can write them again
            save_weights(folder.weights, run.model)
        tracker.epoch(record)
        print(epoch_line(record, improved), flush=True)
        give_memory_back()
        if not goes_on:
            raise Pruned


def select(progress: Progress, score: float) -> bool:
    """Note an evaluation; True when it is the best so far."""
    if score > progress.best:
        progress.best, progress.best_epoch, progress.waited = score, progress.epoch, 0
        return True
    progress.waited += 1
    return False


def train_epoch(run: Run, optimizer: Optimizer) -> dict[str, float]:
    """One pass over the training examples; returns the epoch's record.

    Raises FloatingPointError at the first loss that is not finite, or at the end of the epoch
    when a weight is not; on a GPU a loss is looked at every `diagnose_every` steps.
    """
    config, progress = run.config, run.progress
    started = time.perf_counter()
    model = run.model
    assert not isinstance(model, (Popularity, RepeatLast))
    dropout_seed, view_seed = epoch_seeds(config.seed, progress.epoch)
    seed_everything(dropout_seed + run.shard.rank)
    rng = Generator(device=run.device).manual_seed(view_seed)
    model.start_epoch(progress.epoch, rng)
    model.train()
    seen: dict[str, list[Tensor]] = {}
    normed = False
    batches = tqdm(
        run.batches.epoch(progress.epoch),
        total=len(run.batches),
        desc=f"epoch {progress.epoch}",
        leave=False,
        disable=not sys.stderr.isatty(),
    )
    for number, batch in enumerate(batches):
        diagnose = number % config.train.diagnose_every == 0
        losses = model.losses(batch, rng, diagnose)
        metrics = losses.metrics
        if not normed and len(losses.parts) == model.objectives() > 1:
            metrics = {**metrics, **gradient_norms(losses.parts, model, run.shard)}
            normed = True
        place = Place(progress.epoch, progress.step + number, number, batch)
        asked = diagnose or run.device.type == "cpu"  # asking a GPU makes it wait
        if asked:
            check_finite("loss", losses.metrics["train/loss"], place)
        passed = progress.epoch - 1 + number / len(run.batches)  # epochs
        optimizer.set_rate(rate_at(config.train, passed, config.epochs))
        norm = optimizer.descend(losses.total, run.shard)
        if asked and norm is not None:
            check_finite("gradient's norm", norm, place)
        for name, value in metrics.items():
            seen.setdefault(name, []).append(value)
    progress.step += len(run.batches)
    progress.targets += run.batches.rows.targets
    means = {name: torch.stack(values).nanmean() for name, values in seen.items()}
    check_finite("mean loss", means["train/loss"], place)
    check_weights(model, place)
    seconds = time.perf_counter() - started
    progress.train_seconds += seconds
    return {
        "epoch": progress.epoch,
        "step": progress.step,
        "seconds": round(seconds, 3),
        "train/learning_rate": optimizer.rate,
        **{name: float(value) for name, value in means.items() if not math.isnan(value)},
    }


def seed_everything(seed: int) -> None:
    """torch's generators for dropout; Python's and NumPy's for RecBole's own models."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


def epoch_seeds(seed: int, epoch: int) -> tuple[int, int]:
    """Seeds of an epoch's dropout and of its views: separate streams."""
    first, second = np.random.SeedSequence((seed, epoch)).generate_state(2, np.uint32)
    return int(first), int(second)


def flat_metrics(split: str, evaluation: Evaluation) -> dict[str, float]:
    """{"valid/excluded/ndcg@10": ...}"""
    return {
        f"{split}/{rule}/{name}": value
        for rule, some in evaluation.metrics().items()
        for name, value in some.items()
    }


def epoch_line(record: dict[str, float], improved: bool) -> str:
    line = f"epoch {record['epoch']:3d}  loss {record['train/loss']:.4f}"
    if f"valid/excluded/{SELECTION}" in record:
        line += (
            f"  valid HR@10 {record['valid/excluded/hr@10']:.4f}"
            f"  NDCG@10 {record['valid/excluded/ndcg@10']:.4f}"
        )
    return f"{line}  {record['seconds']:.1f} s{'  best' if improved else ''}"


def state_of(run: Run, optimizer: Optimizer, folder: RunFolder) -> dict[str, Any]:
    """All that a resumed run needs: weights, optimiser and progress; no generator states."""
    return {
        "epoch": run.progress.epoch,
        "progress": dataclasses.asdict(run.progress),
        **origins(run),
        "model": run.model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "history_sha256": folder.history_sha256(),
    }


def origins(run: Run) -> dict[str, Any]:
    """What the run reads, and by how many processes: a resumed run must agree."""
    tasks = run.model.contrastive_tasks() if isinstance(run.model, SASRec) else []
    features = {task.name: task.sha256 for task in tasks if isinstance(task, FeatureTask)}
    return {
        "data_sha256": run.histories.sha256,
        "features_sha256": features,
        "processes": run.shard.count,
        "settings_sha256": settings_sha256(run.tree),
    }


def check_origins(path: Path, record: dict[str, Any], run: Run) -> None:
    """UsageError when a record is of other data or of other item features."""
    now = origins(run)
    if record["data_sha256"] != now["data_sha256"]:
        raise UsageError(f"{path}: the run was trained on another version of the data")
    if record.get("features_sha256", {}) != now["features_sha256"]:
        raise UsageError(f"{path}: the run was trained with other item features")


def restore(run: Run, optimizer: Optimizer | None, folder: RunFolder) -> None:
    """Take up a run where its last whole epoch left it; from the start if there was none."""
    if optimizer is None or not folder.state.exists():
        if optimizer is not None and folder.weights.exists():
            raise UsageError(f"{folder.state}: is missing, and {folder.weights.name} is there")
        folder.keep_history(0)
        return
    state = load_state(folder.state)
    check_settings(folder, folder.state, state)
    check_origins(folder.state, state, run)
    if state.get("processes") != run.shard.count:
        raise UsageError(
            f"{folder.state}: the run is of {state.get('processes')} processes, this is "
            f"{run.shard.count}; their dropout differs"
        )
    put_weights(folder.state, run.model, state["model"])
    optimizer.load_state_dict(state["optimizer"])
    run.progress = Progress(**state["progress"])
    folder.keep_history(run.progress.epoch, state["history_sha256"])
    restore_weights(run, folder)


def restore_weights(run: Run, folder: RunFolder) -> None:
    """Write the best weights if the run was killed between its state and them; else check them."""
    progress, file = run.progress, folder.weights
    found = file_sha256(file) if file.exists() else ""
    if progress.best_epoch == progress.epoch and found == progress.replaced_sha256:
        save_weights(file, run.model)
    check_file(file, progress.weights_sha256, folder.state)
