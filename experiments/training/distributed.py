"""Several processes, started by torchrun, that train one model."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from experiments.config.run_config import Config
from experiments.data.catalogue import DatasetSpec
from experiments.storage.run_folder import RunFolder
from experiments.training.environment import choose_device
from experiments.training.train import train
from models.shard import Shard


def train_together(
    config: Config, spec: DatasetSpec, folder: RunFolder, resume: bool
) -> dict[str, Any]:
    """As `train`, by all processes of the group; each returns the result.

    The first process alone writes the folder, prints and tracks.  The others do the same work
    in a temporary folder that is thrown away.
    """
    device = choose_device(config.train.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    shard = Shard(dist.get_rank(), dist.get_world_size())
    try:
        if shard.rank == 0:
            return train(config, spec, folder, resume, shard)
        silent = dataclasses.replace(config.track, mode="disabled")
        config = dataclasses.replace(config, track=silent)
        with follower_folder(folder, resume) as own, silence():
            return train(config, spec, own, resume, shard)
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def follower_folder(leader: RunFolder, resume: bool) -> Iterator[RunFolder]:
    """A folder of a follower's own, with what a resumed run reads."""
    with tempfile.TemporaryDirectory() as scratch:
        own = RunFolder(Path(scratch) / "run")
        if resume:
            own.path.mkdir()
            for file in (leader.config, leader.state, leader.history, leader.weights):
                if file.exists():
                    shutil.copy(file, own.path)
        yield own


@contextlib.contextmanager
def silence() -> Iterator[None]:
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
