"""One training, from its configuration to result.json: look at test once, or not at all."""

from __future__ import annotations

from typing import Any

from experiments.config.loaded_plugins import used_by
from experiments.config.resolve import changed_fields
from experiments.config.run_config import Config, config_tree, tree_sha256
from experiments.data.catalogue import DatasetSpec
from experiments.metric_names import flat
from experiments.storage.checkpoint import load_weights, save_weights
from experiments.storage.lock import sole_writer
from experiments.storage.run_folder import RunFolder
from experiments.tracking.loggers import check_installed
from experiments.tracking.tracker import Identity, Tracker
from experiments.training.environment import commit
from experiments.training.initialise import initialise
from experiments.training.integrity import check_file
from experiments.training.loop import Watch, fit
from experiments.training.optimizer import Optimizer
from experiments.training.progress import announce
from experiments.training.result import write_result
from experiments.training.resume import restore
from experiments.training.run import Run, origins, prepare, trained
from experiments.training.weight_average import WeightAverage
from models.shard import ALONE, Shard


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
    check_installed(config.track.also)
    run = prepare(config, spec, shard)
    with sole_writer(folder.path):
        return train_prepared(run, folder, resume, watch)


def train_prepared(
    run: Run, folder: RunFolder, resume: bool, watch: Watch | None
) -> dict[str, Any]:
    """The rest of `train`, by the one process that holds the folder's lock."""
    config = run.config
    run.tree = tree = config_tree(config)
    optimizer = Optimizer(run.model, config.train) if trained(run.model) else None
    started = resume and folder.state.exists()
    names = [] if started else initialise(run)  # before anything is written
    if config.train.ema is not None and optimizer is not None:
        run.average = WeightAverage(run.model, config.train.ema)
    if resume:  # with the fields that there were: the hashes in its files are of those
        run.tree = folder.read_config() | {key: tree[key] for key in ("epochs", "data_dir")}
        restore(run, optimizer, folder)
        folder.write_config(run.tree)
    else:
        folder.claim(tree)
    if not started:  # also where a kill came before a first start could
        folder.write_plugins(used_by(config))
    announce(run, folder.path)
    if names:
        print(f"taken from {config.init_from.run}: {', '.join(names)}", flush=True)
    identity = identity_of(run)
    changed = {key: value for key, (value, _) in changed_fields(config).items()}
    with Tracker(config.track, folder.path, tree, identity, changed) as tracker:
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
            tracker.test(flat("test", test.metrics()))
            tracker.ranks(test.ranked, test.excluded)
        where = tracker.finish()
    if where:
        print(f"tracked: {where}")
    return result


def identity_of(run: Run) -> Identity:
    """Which training it is: its data, fields and code."""
    head, dirty = commit()
    return Identity(
        dataset=run.config.dataset,
        model=run.config.model,
        seed=run.config.seed,
        commit=head,
        dirty=dirty,
        data_sha256=run.histories.sha256,
        config_sha256=tree_sha256(run.tree),
    )
