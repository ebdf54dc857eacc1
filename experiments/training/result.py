"""result.json and ranks.npz: what a finished run leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments.evaluation.ranking import Evaluation
from experiments.evaluation.subgroup_metrics import group_metrics
from experiments.storage.atomic import write_atomically, write_json
from experiments.storage.hashing import content_sha256, file_sha256
from experiments.storage.run_folder import RunFolder
from experiments.tracking.tracker import Identity
from experiments.training.environment import device_name, peak_rss_mb, versions
from experiments.training.run import Run


def write_result(
    folder: RunFolder,
    run: Run,
    identity: Identity,
    origins: dict[str, Any],
    valid: Evaluation,
    test: Evaluation | None,
) -> dict[str, Any]:
    """Write ranks.npz, then result.json, whose presence says that the run is finished.

    test: None where the configuration says not to look at it: then there is no ranks.npz.
    """
    splits = {"valid": valid} if test is None else {"valid": valid, "test": test}
    progress = run.progress
    seconds = {
        "prepare": run.prepare_seconds,
        "train": progress.train_seconds,
        "evaluate": progress.evaluate_seconds,
    }
    seconds["total"] = sum(seconds.values())
    result = {
        "dataset": identity.dataset,
        **origins,
        "model": identity.model,
        "seed": identity.seed,
        "config_sha256": identity.config_sha256,
        "commit": identity.commit,
        "dirty": identity.dirty,
        "versions": versions(),
        "device": device_name(run.device),
        "best_epoch": progress.best_epoch,
        "epochs": progress.epoch,
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "targets_per_second": round(progress.targets / max(progress.train_seconds, 1e-9), 1),
        "peak_rss_mb": peak_rss_mb(),
        "users": len(np.unique((valid if test is None else test).users)),
        "targets": {name: len(evaluation.users) for name, evaluation in splits.items()},
        **({"split": run.histories.counts} if run.histories.counts else {}),
        "targets_seen": {name: evaluation.targets_seen for name, evaluation in splits.items()},
        "metrics": {name: evaluation.metrics() for name, evaluation in splits.items()},
    }
    if test is not None:
        result["groups"] = group_metrics(test, run.histories)
        save_ranks(folder.ranks, run, test)
    files = (folder.weights, folder.ranks, folder.history)
    result["files_sha256"] = {file.name: file_sha256(file) for file in files if file.exists()}
    result["sha256"] = content_sha256(result)
    write_json(folder.result, result)
    return result


def save_ranks(path: Path, run: Run, test: Evaluation) -> None:
    """The rank of each test target under each rule, and whose it is; inf was seen before."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            arrays: dict[str, Any] = {
                "user_ids": run.histories.user_ids[test.users].astype(np.str_),
                **test.ranks,
            }
            np.savez_compressed(file, **arrays)

    write_atomically(path, write)
