"""`run.py study`: what its arguments ask for, and the command lines of its workers."""

from __future__ import annotations

import argparse
from typing import Any

from experiments.cli.arguments import add_data_dir, path
from experiments.cli.commands import load_plugins
from experiments.cli.fields import TEXTS
from experiments.errors import UsageError

STUDY_HELP = """
tracking is set by --track.key=value; what each job asks for, with --launcher slurm, by
  --slurm.partition=NAME  --slurm.time=12:00:00  --slurm.gpus_per_node=1  --slurm.mem_gb=16
"""


def study_options(made: argparse.ArgumentParser) -> None:
    made.epilog = STUDY_HELP
    made.add_argument("study", type=path, metavar="STUDY", help="a name (see `list`) or a file")
    made.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="a field of all its trials, such as epochs=3; may be repeated",
    )  # fmt: skip
    add_data_dir(made)
    made.add_argument(
        "--out", type=path, metavar="DIR",
        help="manifest, runs and results [runs/studies/NAME]",
    )  # fmt: skip
    made.add_argument(
        "--publish", action="store_true",
        help="write to the committed results, and take from there what is finished",
    )  # fmt: skip
    made.add_argument("--workers", type=int, metavar="N", help="processes [one a GPU, or core]")
    made.add_argument("--threads", type=int, default=1, metavar="N", help="of each worker [1]")
    made.add_argument("--launcher", choices=["local", "slurm", "ray"], default="local")
    made.add_argument("--retry-failed", action="store_true", help="train what failed again")
    which = made.add_mutually_exclusive_group()
    which.add_argument("--dry-run", action="store_true", help="list trials and their time")
    which.add_argument("--worker", action="store_true", help="be one more worker of it")
    which.add_argument("--wandb-sweep", action="store_true", help="write a W&B sweep instead")
    which.add_argument(
        "--again", nargs="?", const="", metavar="TRIAL",
        help="train a trial of the results once more, any one or this, and compare",
    )  # fmt: skip


def study(arguments: argparse.Namespace) -> None:
    """Plan a study and have workers train it; or be one of them."""
    load_plugins(arguments.plugin)
    from experiments.config.overrides import with_overrides
    from experiments.config.typed import build
    from experiments.study import command
    from experiments.study.asked import asked
    from experiments.study.slurm import SlurmConfig
    from experiments.tracking.config import TrackConfig

    tree = with_overrides({"track": {}, "slurm": {}}, arguments.overrides)
    track = build(TrackConfig, tree["track"], "track")
    where = command.Where(arguments.data_dir, arguments.out, track, arguments.publish)
    slurm = build(SlurmConfig, tree["slurm"], "slurm")
    check_set(arguments)
    what = asked(arguments.study, set_fields(arguments.set))
    if arguments.publish and what.namesake:
        raise UsageError(
            f"--publish: {arguments.study} is called like a study of this repository, "
            f"{what.name}, and would take the place of its results; give the file another name"
        )
    workers = command.check_workers(arguments.workers, arguments.threads)
    if arguments.worker:
        command.work(what, where, arguments.threads)
    elif arguments.dry_run:
        command.dry_run(what, where, workers, arguments.retry_failed)
    elif arguments.again is not None:
        command.repeat(what, where, arguments.again, arguments.plugin, arguments.threads)
    elif arguments.wandb_sweep:
        command.write_sweeps(what, where, arguments.plugin)
    else:
        command.run(
            what, where,
            command.launcher(arguments.launcher, slurm),
            workers, arguments.threads, arguments.retry_failed,
            worker_words(arguments), continuing(arguments),
        )  # fmt: skip


def check_set(arguments: argparse.Namespace) -> None:
    """UsageError where fields are set and results would be taken for those of the study itself."""
    if arguments.set and arguments.publish:
        raise UsageError(
            "--set: changes the study, so it cannot be published; write a study file with these "
            "fields under `set` and publish that"
        )
    if arguments.set and arguments.again is not None:
        raise UsageError("--set: --again trains a line of the results just as it was")


def set_fields(texts: list[str]) -> list[tuple[str, Any]]:
    """The fields of `--set key=value`, each value read as YAML."""
    from experiments.storage.yaml_file import plain

    fields = []
    for text in texts:
        key, equals, value = text.removeprefix("--").partition("=")
        if not (key and equals):
            raise UsageError(f"--set {text}: write --set KEY=VALUE, such as --set epochs=3")
        fields.append((key, plain(value, key)))
    return fields


def worker_words(arguments: argparse.Namespace) -> list[str]:
    """The command line of one worker of a study."""
    own = [(key, value) for key, value in arguments.overrides if not key.startswith("slurm.")]
    return [*study_words(arguments, own), "--worker", "--threads", str(arguments.threads)]


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

    words = ["study", str(arguments.study)]
    for flag, folder in (("--data-dir", arguments.data_dir), ("--out", arguments.out)):
        words += [flag, str(folder)] if folder else []
    words += [word for text in arguments.set for word in ("--set", text)]
    words += ["--publish"] if arguments.publish else []
    words += [word for name in arguments.plugin for word in ("--plugin", name)]
    told = [(key, value if key in TEXTS else as_text(value)) for key, value in fields]
    return words + [f"--{key}={text}" for key, text in told]
