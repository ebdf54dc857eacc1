"""A trained run from its folder: the configuration, the data again, and the best weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.config.loaded_plugins import check_plugins
from experiments.config.resolve import resolve
from experiments.errors import UsageError
from experiments.storage.checkpoint import load_weights
from experiments.storage.run_folder import existing_run
from experiments.training.integrity import record_of
from experiments.training.resume import check_origins
from experiments.training.run import Run, prepare


def reload(
    path: Path,
    data_dir: Path | None = None,
    device: str | None = None,
    fields: Sequence[tuple[str, Any]] = (),
) -> Run:
    """A run with its best weights, ready to evaluate.  Its plug-ins must be loaded already.

    data_dir: where the data is now, if it was moved.  device: where to compute, if not where
    the run's configuration says.  fields: set anew, by dotted name, such as those of `evaluate`.
    Errors: UsageError for a folder without a model, and where configuration, data or weights are
    not those that the run was trained with.
    """
    folder = existing_run(path)
    if not folder.weights.is_file():
        raise UsageError(f"{path}: no model yet (there is no {folder.weights.name})")
    check_plugins(folder, unchanged=False)
    moved: list[tuple[str, Any]] = [("data_dir", str(data_dir.absolute()))] if data_dir else []
    config, spec = resolve(folder.config, [*moved, *fields])
    file, record = record_of(folder)
    # What is rounded while training is not rounded here.
    train = replace(config.train, device=device or config.train.device, precision="float32")
    run = prepare(replace(config, train=train), spec)
    check_origins(file, record, run)
    load_weights(folder.weights, run.model)
    run.model.eval()
    return run
