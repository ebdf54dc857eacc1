"""Training that only pretends: scores by a formula, in the files of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.config.run_config import Config, config_tree, settings_sha256, tree_sha256
from experiments.data.catalogue import DatasetSpec
from experiments.storage.atomic import write_json
from experiments.storage.checkpoint import save_state
from experiments.storage.hashing import content_sha256, file_sha256
from experiments.storage.run_folder import RunFolder
from experiments.study.folder import StudyFolder, study_folder
from experiments.study.plan import plan
from experiments.study.search import plan_searches
from experiments.study.spec import read_study
from experiments.study.worker import Worker
from experiments.tracking.config import TrackConfig
from experiments.training.loop import Pruned, Watch

Score = Callable[[Config], float]
Epoch = Callable[[Config, int], None]


def nothing(config: Config, epoch: int) -> None: ...


def pretend(patch: pytest.MonkeyPatch, score: Score, each_epoch: Epoch = nothing) -> None:
    """Workers train by this: the score grows evenly from epoch to epoch, up to `score`."""

    def train(
        config: Config, spec: DatasetSpec, run: RunFolder, resume: bool, watch: Watch
    ) -> None:
        run.path.mkdir(parents=True, exist_ok=True)
        if not resume:
            run.claim(config_tree(config))
        done = len(run.read_history())
        for epoch in range(done + 1, config.epochs + 1):
            each_epoch(config, epoch)
            value = score(config) * epoch / config.epochs
            record = {"epoch": epoch, "seconds": 1.0, "train/loss": 1.0 - value}
            record["valid/excluded/ndcg@10"] = value
            goes_on = watch(record)
            run.append_history(record)
            save_state(run.state, {"epoch": epoch, "model": {}, "optimizer": {}, **ORIGINS})
            if not goes_on:
                raise Pruned
        finish(config, run, score(config))

    patch.setattr("experiments.study.worker.train", train)


ORIGINS = {"data_sha256": "0", "features_sha256": {}, "processes": 1}


def finish(config: Config, run: RunFolder, value: float) -> None:
    """The result of a training, and three users' ranks."""
    splits = ["valid", "test"] if config.evaluate.test else ["valid"]
    np.savez(run.ranks, user_ids=np.array(["1", "2", "3"]), excluded=np.ones(3), ranked=np.ones(3))
    result: dict[str, Any] = {
        "best_epoch": config.epochs,
        "epochs": config.epochs,
        "metrics": {split: {"excluded": {"ndcg@10": value}} for split in splits},
        "versions": {},
        "seconds": {"total": 1.0},
        "targets_seen": {},
        "settings_sha256": settings_sha256(run.read_config()),
        "config_sha256": tree_sha256(run.read_config()),
        "files_sha256": {run.history.name: file_sha256(run.history)},
    }
    write_json(run.result, {**result, "sha256": content_sha256(result)})


def begin(out: Path, data: Path, text: str) -> StudyFolder:
    """Plan the study of this text in a folder."""
    file = data / "asked.yaml"
    file.write_text(text)
    study, folder = read_study(file), study_folder("asked", out)
    folder.open(study, plan(study, data), plan_searches(study, data))
    return folder


def worker(folder: StudyFolder, data: Path) -> Worker:
    return Worker(folder, data, TrackConfig(mode="disabled"), say=lambda line: None)
