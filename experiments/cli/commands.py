"""What the shorter commands do.  Heavy packages are imported by the command that needs them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.errors import UsageError

if TYPE_CHECKING:
    from experiments.training.run import Run


def reload(arguments: argparse.Namespace) -> Run:
    """A finished run with its best weights."""
    load_plugins(arguments.plugin)
    from experiments.training.reload import reload as reloaded

    return reloaded(arguments.run, arguments.data_dir, arguments.device, fields=arguments.overrides)


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
    if arguments.read != "all" and arguments.what != "users":
        raise UsageError("--read: goes with --what users")
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
    """Time our training and evaluation next to RecBole's, all presets, growing data, or a GPU."""
    from experiments.bench import command

    check_bench(arguments)
    name, steps = arguments.dataset or "ml-100k", arguments.steps
    rounds, as_json = 3 if arguments.rounds is None else arguments.rounds, arguments.json
    data_dir = str(arguments.data_dir.absolute()) if arguments.data_dir else None
    to = arguments.to or Path("runs/bench")
    if arguments.scale:
        command.bench_scale(200_000, 10_000, steps, to, as_json)
    elif arguments.gpu:
        budget = 540.0 if arguments.budget is None else arguments.budget
        command.bench_gpu(arguments.dataset, data_dir, steps, budget, to, as_json)
    elif arguments.presets:
        command.bench_presets(name, data_dir, steps, rounds, to, as_json)
    else:
        command.bench(name, data_dir, steps, rounds, arguments.trace, to, as_json)


def check_bench(arguments: argparse.Namespace) -> None:
    """UsageError for an argument that this kind of bench would not read."""
    if arguments.trace and (arguments.scale or arguments.presets or arguments.gpu):
        raise UsageError("--trace: goes with neither --presets nor --scale nor --gpu")
    if arguments.budget is not None and not arguments.gpu:
        raise UsageError("--budget: goes with --gpu; the others measure everything")
    if arguments.gpu and arguments.rounds is not None:
        raise UsageError("--rounds: --gpu measures each subject once")
    if arguments.gpu and arguments.data_dir and arguments.dataset is None:
        raise UsageError("--data-dir: --gpu makes its data up unless --dataset names some")
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
