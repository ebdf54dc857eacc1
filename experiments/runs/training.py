"""Train from Python, as `run.py train` does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.config.init_from import with_weights
from experiments.config.plugin import load_plugins
from experiments.config.resolve import as_path, resolve
from experiments.config.run_config import Config, config_from_tree, config_tree
from experiments.data.catalogue import locate
from experiments.errors import UsageError
from experiments.runs.trained import AnyPath, TrainedRun, load_run, names_of
from experiments.storage.run_folder import RunFolder, default_folder, new_folder
from experiments.training.distributed import silence
from experiments.training.train import train as train_in

Record = dict[str, float]


def train(
    config: Mapping[str, Any] | Config | AnyPath | None = None,
    out: AnyPath | None = None,
    on_epoch: Callable[[Record], object] | None = None,
    plugins: AnyPath | Sequence[AnyPath] = (),
    verbose: bool = True,
    **fields: Any,
) -> TrainedRun:
    """Train one model and return the finished run.

    config: fields by their dotted names ({"model": "cl4srec", "contrast.0.temperature": 0.2}),
    nested or not; or a whole Config; or a run's config.yaml.  fields: the same as keywords, for
    those without a dot, such as model="cl4srec", epochs=3.
    out: the run's folder [runs/...].  on_epoch: called with each epoch's record, a line of
    history.jsonl, before it is written; an error that it raises ends the training, and
    `run.py train --out ... --resume` goes on from the last epoch.
    verbose: print what `run.py train` prints.
    plugins: FILE.py or module names, one or several.
    Errors: UsageError, as on the command line.
    """
    if config is not None and not isinstance(config, (Mapping, Config, str, os.PathLike)):
        raise UsageError(
            "config: give fields by name, a Config, or the path of a run's config.yaml, got a "
            f"{type(config).__name__}"
        )
    if on_epoch is not None and not callable(on_epoch):
        raise UsageError(f"on_epoch: has to be a function, got {on_epoch!r}")
    load_plugins(names_of(plugins))
    if isinstance(config, Config):
        if fields:
            raise TypeError("a whole Config takes no fields beside it: use dataclasses.replace")
        whole = config_from_tree(with_weights(config_tree(config), []))
        spec = locate(whole.dataset, as_path(whole.data_dir))
    elif isinstance(config, (str, os.PathLike)):
        whole, spec = resolve(Path(config), list(override_pairs(fields)))
    else:
        whole, spec = resolve(None, [*override_pairs(config or {}), *override_pairs(fields)])
    default = default_folder(whole.dataset, whole.model, whole.seed)

    def watch(record: Record) -> bool:
        if on_epoch is not None:
            on_epoch(dict(record))
        return True

    with contextlib.nullcontext(RunFolder(Path(out))) if out else new_folder(default) as folder:
        folder.check_free()
        with contextlib.nullcontext() if verbose else silence():
            train_in(whole, spec, folder, resume=False, watch=watch)
        from experiments.report import run_curves  # loads matplotlib

        run_curves.write_curves(folder)
        return load_run(folder.path)


def override_pairs(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """{"train": {"batch_size": 64}} as ("train.batch_size", 64); all else as it is."""
    for key, value in fields.items():
        if isinstance(value, Mapping) and value:
            yield from override_pairs(value, f"{prefix}{key}.")
        elif key == "data_dir" and value is not None:
            yield key, str(Path(value).absolute())
        else:
            yield f"{prefix}{key}", plain_value(value)


def plain_value(value: Any) -> Any:
    """Numbers and lists of numpy, and tuples, as the numbers and lists that YAML has."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return [plain_value(one) for one in value] if isinstance(value, (list, tuple)) else value
