"""`run.py study`: what its arguments ask for, and the command lines of its workers."""

from __future__ import annotations

import argparse
from typing import Any

from experiments.cli.commands import load_plugins


def study(arguments: argparse.Namespace) -> None:
    """Plan a study and have workers train it; or be one of them."""
    load_plugins(arguments.plugin)
    from experiments.config.resolve import with_overrides
    from experiments.config.typed import build
    from experiments.study import command
    from experiments.study.slurm import SlurmConfig
    from experiments.tracking.config import TrackConfig

    tree = with_overrides({"track": {}, "slurm": {}}, arguments.overrides)
    track = build(TrackConfig, tree["track"], "track")
    where = command.Where(arguments.data_dir, arguments.out, track, arguments.publish)
    slurm = build(SlurmConfig, tree["slurm"], "slurm")
    workers = command.check_workers(arguments.workers, arguments.threads)
    if arguments.worker:
        command.work(arguments.file, where)
    elif arguments.dry_run:
        command.dry_run(arguments.file, where, workers, arguments.retry_failed)
    elif arguments.again is not None:
        command.repeat(arguments.file, where, arguments.again, arguments.plugin, arguments.threads)
    elif arguments.wandb_sweep:
        command.write_sweeps(arguments.file, where)
    else:
        command.run(
            arguments.file, where,
            command.launcher(arguments.launcher, slurm),
            workers, arguments.threads, arguments.retry_failed,
            worker_words(arguments), continuing(arguments),
        )  # fmt: skip


def worker_words(arguments: argparse.Namespace) -> list[str]:
    """The command line of one worker of a study."""
    own = [(key, value) for key, value in arguments.overrides if not key.startswith("slurm.")]
    return [*study_words(arguments, own), "--worker"]


def continuing(arguments: argparse.Namespace) -> list[str]:
    """The command line that goes on with a study that was stopped, as it was begun."""
    words = study_words(arguments, arguments.overrides)
    for name, usual in (("workers", None), ("threads", 1), ("launcher", "local")):
        given = getattr(arguments, name)
        words += [] if given == usual else [f"--{name}", str(given)]
    return words


def study_words(arguments: argparse.Namespace, fields: list[tuple[str, Any]]) -> list[str]:
    """A study's command line with these fields, without what says how many work at it."""
    from experiments.storage.yaml_file import as_text

    words = ["study", str(arguments.file)]
    for flag, path in (("--data-dir", arguments.data_dir), ("--out", arguments.out)):
        words += [flag, str(path)] if path else []
    words += ["--publish"] if arguments.publish else []
    words += [word for name in arguments.plugin for word in ("--plugin", name)]
    return words + [f"--{key}={as_text(value)}" for key, value in fields]
