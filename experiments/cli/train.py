"""`run.py train`: one run, new or resumed, by one process or by several."""

from __future__ import annotations

import argparse
import json
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.cli.commands import load_plugins
from experiments.errors import UsageError
from experiments.training.signals import resumable, resume_command

if TYPE_CHECKING:
    from experiments.config.run_config import Config
    from experiments.data.catalogue import DatasetSpec
    from experiments.storage.run_folder import RunFolder


COSTLY = ("contrast", "augment", "features", "next_item", "encoder.kind")
"""Where these differ from the preset's, a run takes another time."""


def train(arguments: argparse.Namespace) -> None:
    """Train one model, or continue one, and print its metrics."""
    load_plugins(arguments.plugin)
    if arguments.resume:
        config, spec, folder, finished = resumed(arguments)
        if finished is not None:
            if leads():
                print(f"{folder.path}: was finished before; nothing is trained")
        else:
            finished = told_how_to_go_on(config, spec, folder, arguments)
    else:
        from experiments.config.resolve import refuse_idle_parts, resolve

        config, spec = resolve(arguments.config, arguments.overrides)
        refuse_idle_parts(config, arguments.overrides)
        config = named(config, arguments.name)
        with folder_of(config, arguments) as folder:
            if leads():
                folder.check_free()
                print_expected(config)
            finished = told_how_to_go_on(config, spec, folder, arguments)
    if leads():
        from experiments.report import run_curves

        run_curves.write_curves(folder)
        report(finished, folder.path, arguments.json)


def folder_of(config: Config, arguments: argparse.Namespace) -> AbstractContextManager[RunFolder]:
    """--out DIR, runs/NAME, or a folder of its own in runs/, which the first process makes."""
    from experiments.storage.run_folder import RunFolder, default_folder, new_folder

    if arguments.out is not None:
        return nullcontext(RunFolder(arguments.out))
    path = default_folder(config.dataset, config.model, config.seed, arguments.name)
    if arguments.name is not None or not leads():
        return nullcontext(RunFolder(path))
    return new_folder(path)


def print_expected(config: Config) -> None:
    """How long such a run has taken, where committed results are of one like it."""
    from experiments.config.resolve import changed_fields
    from experiments.data.known import known
    from experiments.record.line import workload
    from experiments.record.results_file import RESULTS
    from experiments.study.estimate import timings
    from experiments.training.progress import clock

    if config.dataset not in known():
        return
    if any(name.startswith(COSTLY) for name in changed_fields(config)):
        return
    key = workload(config.dataset, config.model, config.examples, vars(config.encoder))
    if similar := timings(RESULTS, {}).get(key):
        seconds, epochs = similar[0], min(similar[1], config.epochs)
        many = "epoch" if epochs == 1 else "epochs"
        told = f"{epochs:.0f} {many} of {seconds:.1f} s, as in the committed results"
        print(f"expected: about {clock(seconds * epochs)} ({told})")


def named(config: Config, name: str | None) -> Config:
    """With the name that it is tracked under, where it has none of its own."""
    from dataclasses import replace

    if name is None or config.track.name is not None:
        return config
    return replace(config, track=replace(config.track, name=name))


def told_how_to_go_on(
    config: Config, spec: DatasetSpec, folder: RunFolder, arguments: argparse.Namespace
) -> dict[str, Any]:
    """As `run_training`; where it is stopped, the command that continues it is told."""
    command = resume_command(folder.path, arguments.plugin, processes())
    with resumable(folder.config, command, leads()):
        return run_training(config, spec, folder, arguments.resume)


def run_training(
    config: Config, spec: DatasetSpec, folder: RunFolder, resume: bool
) -> dict[str, Any]:
    """By this process, or together with the others that torchrun started."""
    if processes() > 1:
        from experiments.training.distributed import train_together

        return train_together(config, spec, folder, resume)
    from experiments.training.train import train as run

    return run(config, spec, folder, resume)


def leads() -> bool:
    """True but for the second and later processes that torchrun starts."""
    return processes() == 1 or os.environ.get("RANK", "0") == "0"


def processes() -> int:
    """How many torchrun started; 1 without it."""
    count = os.environ.get("WORLD_SIZE", "1")
    return int(count) if count.isdecimal() else 1


def resumed(
    arguments: argparse.Namespace,
) -> tuple[Config, DatasetSpec, RunFolder, dict[str, Any] | None]:
    """The configuration in a run's folder; only epochs may be raised, and the data moved.

    With the result of a run that is finished and is not asked for more epochs.
    """
    from experiments.config.loaded_plugins import check_plugins
    from experiments.config.resolve import resolve
    from experiments.storage.run_folder import default_folder, existing_run
    from experiments.training.integrity import finished_result

    if arguments.name is not None and arguments.out is None:
        arguments.out = default_folder("", "", 0, arguments.name)
    if arguments.out is None or arguments.config is not None:
        raise UsageError(
            "--resume needs --out DIR, the folder of the run, or its --name, and no --config"
        )
    for key, _ in arguments.overrides:
        if key not in ("epochs", "data_dir"):
            raise UsageError(f"--{key}: a run is resumed as it was; only --epochs may be raised")
    again = "; one that was stopped before its first line is started again without --resume"
    folder = existing_run(arguments.out, again)
    check_plugins(folder, unchanged=True)
    moved = [(key, value) for key, value in arguments.overrides if key != "epochs"]
    before = resolve(folder.config, moved)[0].epochs
    config, spec = resolve(folder.config, arguments.overrides)
    if config.epochs < before:
        raise UsageError(
            f"--epochs: {config.epochs} is below the {before} the run was started with"
        )
    if config.epochs > before and config.train.schedule != "constant":
        raise UsageError(
            f"--epochs: the learning rate falls to 0 at epoch {before} "
            f"(train.schedule: {config.train.schedule}); start another run with more"
        )
    between = config.epochs > before and before % config.train.evaluate_every
    if between and before in [record["epoch"] for record in folder.read_history()]:
        raise UsageError(
            f"--epochs: epoch {before} was validated as the last one, between two of every "
            f"{config.train.evaluate_every}; start another run with more"
        )
    finished = None if config.epochs > before else finished_result(folder)
    return config, spec, folder, finished


def report(result: dict[str, Any], folder: Path, as_json: bool) -> None:
    """The metrics of a finished run, and what can be done with it."""
    from experiments.evaluation.formatting import headed

    split = "test" if "test" in result["metrics"] else "valid"
    metrics = result["metrics"][split]
    print(f"\n{headed(split, result['best_epoch'], result['epochs'], metrics)}")
    seen = result["targets_seen"][split]
    if seen:
        ranked = result.get("targets", {}).get(split, result["users"])
        print(f"{seen} of {ranked} {split} items were seen before: misses when excluded")
    if split == "valid":
        print("test was not looked at (evaluate.test: false)")
    seconds = result["seconds"]
    print(f"{seconds['total']:.0f} s, of which training {seconds['train']:.0f} s -> {folder}")
    if as_json:
        print(json.dumps(result))
