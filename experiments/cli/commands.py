"""What each command does.  Heavy packages are imported by the command that needs them."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.errors import UsageError
from experiments.training.signals import resumable, resume_command

if TYPE_CHECKING:
    from experiments.config.run_config import Config
    from experiments.data.catalogue import DatasetSpec
    from experiments.storage.run_folder import RunFolder
    from experiments.training.run import Run


def train(arguments: argparse.Namespace) -> None:
    """Train one model, or continue one, and print its metrics."""
    load_plugins(arguments.plugin)
    from experiments.config.resolve import resolve
    from experiments.storage.run_folder import RunFolder, default_folder

    finished = None
    if arguments.resume:
        config, spec, folder, finished = resumed(arguments)
    else:
        config, spec = resolve(arguments.config, arguments.overrides)
        config = named(config, arguments.name)
        folder = RunFolder(
            arguments.out
            or default_folder(config.dataset, config.model, config.seed, arguments.name)
        )
        if leads():
            folder.check_free()
            print_expected(config)
    if finished is None:
        command = resume_command(folder.path, arguments.plugin, processes())
        with resumable(folder.config, command, leads()):
            finished = run_training(config, spec, folder, arguments.resume)
    if leads():
        from experiments.report import run_curves

        run_curves.write_curves(folder)
        report(finished, folder.path, arguments.json)


def print_expected(config: Config) -> None:
    """How long such a run has taken, where committed results are of one like it."""
    from experiments.data.known import known
    from experiments.record.results_file import RESULTS
    from experiments.study.estimate import timings
    from experiments.training.progress import clock

    if config.dataset not in known():
        return
    key = f"{config.dataset} {config.model} {config.examples}"
    if similar := timings(RESULTS, {}).get(key):
        seconds, epochs = similar[0], min(similar[1], config.epochs)
        told = f"{epochs:.0f} epochs of {seconds:.1f} s, as in the committed results"
        print(f"expected: about {clock(seconds * epochs)} ({told})")


def named(config: Config, name: str | None) -> Config:
    """With the name that it is tracked under, where it has none of its own."""
    from dataclasses import replace

    if name is None or config.track.name is not None:
        return config
    return replace(config, track=replace(config.track, name=name))


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
    folder = existing_run(arguments.out)
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
            f"--epochs: the learning rate has fallen to 0 by epoch {before} "
            f"(train.schedule: {config.train.schedule}); start another run with more"
        )
    if config.epochs > before and before % config.train.evaluate_every:
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


def reload(arguments: argparse.Namespace) -> Run:
    """A finished run with its best weights."""
    load_plugins(arguments.plugin)
    from experiments.training.reload import reload as reloaded

    return reloaded(arguments.run, arguments.data_dir, fields=arguments.overrides)


def compare(arguments: argparse.Namespace) -> None:
    """Fields, metrics and differences by user of several runs."""
    from experiments.runs import compare as comparing
    from experiments.runs.comparison_plot import check_plot_name, draw_comparison

    if arguments.to is not None:
        check_plot_name(arguments.to)
    runs = comparing.opened(arguments.runs)
    print("\n".join(comparing.as_lines(runs)))
    if arguments.to is not None:
        draw_comparison(runs, arguments.to)
        print(f"-> {arguments.to}")
    if arguments.json:
        print(json.dumps(comparing.as_json(runs)))


def export(arguments: argparse.Namespace) -> None:
    """Embeddings of items, or states of users, with their ids; or the whole model."""
    if arguments.what == "onnx":
        from experiments.evaluation.onnx_export import check_onnx, export_onnx

        check_onnx(arguments.to)
        print(export_onnx(reload(arguments).model, arguments.to))
        return
    from experiments.evaluation.export import check_name
    from experiments.evaluation.export import export as write

    if arguments.what == "card":
        from experiments.runs.card import write_card
        from experiments.storage.run_folder import existing_run

        print(write_card(existing_run(arguments.run), reload(arguments), arguments.to))
        return
    check_name(arguments.to)
    run = reload(arguments)
    length = run.config.encoder.max_length
    print(write(run.model, run.histories, arguments.what, arguments.read, length, arguments.to))


def report_studies(arguments: argparse.Namespace) -> None:
    """Make tables and plots of the results, or check that the pages hold them."""
    from experiments.report.command import report as write

    if arguments.check and arguments.add:
        raise UsageError("--check: writes nothing, so it does not go with --add")
    write(arguments.studies, arguments.check, arguments.add, arguments.to)


def bench(arguments: argparse.Namespace) -> None:
    """Time our training and evaluation next to RecBole's, all presets, or growing data."""
    from experiments.bench import command

    check_bench(arguments)
    name, steps = arguments.dataset or "ml-100k", arguments.steps
    rounds, as_json = 3 if arguments.rounds is None else arguments.rounds, arguments.json
    data_dir = str(arguments.data_dir.absolute()) if arguments.data_dir else None
    to = arguments.to or Path("runs/bench")
    if arguments.scale:
        command.bench_scale(200_000, 10_000, steps, to, as_json)
    elif arguments.presets:
        command.bench_presets(name, data_dir, steps, rounds, to, as_json)
    else:
        command.bench(name, data_dir, steps, rounds, arguments.trace, to, as_json)


def check_bench(arguments: argparse.Namespace) -> None:
    """UsageError for an argument that this kind of bench would not read."""
    if arguments.trace and (arguments.scale or arguments.presets):
        raise UsageError("--trace: goes with neither --presets nor --scale")
    for flag, value in (
        ("--data-dir", arguments.data_dir),
        ("--dataset", arguments.dataset),
        ("--rounds", arguments.rounds),
    ):
        if arguments.scale and value is not None:
            raise UsageError(f"{flag}: --scale makes its data up, and measures each size once")


def show_list(arguments: argparse.Namespace) -> None:
    """Everything that has a name, one line each."""
    if arguments.all_fields:
        load_plugins(arguments.plugin)
        from experiments.cli.explain import field_lines

        print("\n".join(field_lines()))
        return
    from experiments.cli.listing import listing

    print("\n".join(listing(arguments.plugin)))


def explain(arguments: argparse.Namespace) -> None:
    """What a field or a kind is."""
    load_plugins(arguments.plugin)
    from experiments.cli.explain import explain as explained

    print("\n".join(explained(arguments.field)))


def inspect(arguments: argparse.Namespace) -> None:
    """A history and its views side by side."""
    load_plugins(arguments.plugin)
    from experiments.cli.inspect_views import side_by_side
    from experiments.config.resolve import resolve
    from experiments.training.run import prepare

    config, spec = resolve(None, arguments.overrides)
    print("\n".join(side_by_side(prepare(config, spec), arguments.user)))


def version() -> str:
    """seqcontrast 0.1.0, and the versions of what it stands on; imports none of that."""
    import platform
    import re
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    from experiments.storage.files import REPOSITORY

    file = REPOSITORY / "pyproject.toml"  # not there where the package is installed as a copy
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    own = re.search(r'^name = "seqcontrast"\nversion = "(.+)"$', text, re.M)
    parts = [f"python {platform.python_version()}"]
    for name in ("torch", "recbole", "numpy"):
        try:
            parts.append(f"{name} {installed(name)}")
        except PackageNotFoundError:
            parts.append(f"{name} is not installed")
    return f"seqcontrast {own[1] if own else installed('seqcontrast')} ({', '.join(parts)})"


def load_plugins(names: list[str]) -> None:
    """Register what files or modules outside the repository declare."""
    if names:
        from experiments.config.plugin import load_plugins as load

        load(names)
