"""Stop after any epoch and go on to the same result: what is saved, and how it is taken up."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from experiments.errors import UsageError
from experiments.storage.checkpoint import (
    load_state,
    put_weights,
    save_state,
    save_weights,
    weights_sha256,
)
from experiments.storage.hashing import file_sha256
from experiments.storage.run_folder import RunFolder
from experiments.training.integrity import check_file, check_settings
from experiments.training.optimizer import Optimizer
from experiments.training.run import Progress, Run, origins


def save_epoch(
    run: Run, optimizer: Optimizer, folder: RunFolder, record: dict[str, float], improved: bool
) -> None:
    """Write an epoch's record, the state to go on from, and the weights if they are the best.

    The order matters: a kill between any two of these leaves a folder that `restore` reads.
    """
    folder.append_history(record)
    if improved:
        run.progress.replaced_sha256 = run.progress.weights_sha256
        with run.averaged():
            run.progress.weights_sha256 = weights_sha256(run.model)
    save_state(folder.state, state_of(run, optimizer, folder))
    if improved:  # after the state, which can write them again
        write_best(run, folder.weights)


def write_best(run: Run, path: Path) -> None:
    with run.averaged():
        save_weights(path, run.model)


def state_of(run: Run, optimizer: Optimizer, folder: RunFolder) -> dict[str, Any]:
    """All that a resumed run needs: weights, optimiser and progress; no generator states."""
    return {
        "epoch": run.progress.epoch,
        "progress": dataclasses.asdict(run.progress),
        **origins(run),
        "model": run.model.state_dict(),
        "optimizer": optimizer.state_dict(),
        **({} if run.average is None else {"average": run.average.state_dict()}),
        "history_sha256": folder.history_sha256(),
    }


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
    check_complete(folder.state, state["model"], run)
    put_weights(folder.state, run.model, state["model"])
    optimizer.load_state_dict(state["optimizer"])
    if run.average is not None:
        run.average.load_state_dict(state["average"])
    run.progress = Progress(**state["progress"])
    folder.keep_history(run.progress.epoch, state["history_sha256"])
    restore_weights(run, folder)


def check_complete(path: Path, state: dict[str, Any], run: Run) -> None:
    """UsageError for the state of an older version, which lacks what this one trains with.

    Its weights may be evaluated all the same: a queue's rows (KeyQueue) are read in training only.
    """
    missing = [name for name in run.model.state_dict() if name not in state]
    if missing:
        raise UsageError(
            f"{path}: is of an older version and has no {missing[0]}, which training needs now; "
            "start again in another folder"
        )


def restore_weights(run: Run, folder: RunFolder) -> None:
    """Write the best weights if the run was killed between its state and them; else check them.

    Before the first validation there are none.
    """
    progress, file = run.progress, folder.weights
    if not progress.best_epoch:
        return
    on_disk = file_sha256(file) if file.exists() else ""
    if progress.best_epoch == progress.epoch and on_disk == progress.replaced_sha256:
        write_best(run, file)
    check_file(file, progress.weights_sha256, folder.state)


def check_origins(path: Path, record: dict[str, Any], run: Run) -> None:
    """UsageError when a run's file is of other data or of other item features."""
    now = origins(run)
    if record["data_sha256"] != now["data_sha256"]:
        raise UsageError(f"{path}: the run was trained on another version of the data")
    if record.get("features_sha256", {}) != now["features_sha256"]:
        raise UsageError(f"{path}: the run was trained with other item features")
