"""The bench command: measure, print a table, and the ratios for a script to read."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from experiments.bench.bound import matmul_rate
from experiments.bench.compare import (
    has_bfloat16,
    in_process,
    measure_all,
    middle,
    ratios,
    subjects_here,
)
from experiments.bench.gpu import Bench, Found, card, check_gpu
from experiments.bench.gpu_goals import gpu_record
from experiments.bench.presets import multiples, preset_subjects, preset_table
from experiments.bench.scale import growth_table, scale
from experiments.bench.tables import figure_table, rate_table, share_table
from experiments.bench.widths import BEAUTY, grow_in_width, width_table
from experiments.config.presets import presets
from experiments.config.resolve import resolve
from experiments.data.catalogue import locate
from experiments.errors import UsageError
from experiments.report.gpu_speed import text as gpu_text
from experiments.storage.atomic import put, writing
from experiments.training.environment import cpu_name, versions
from experiments.training.run import prepare

MEANING = {
    "train_prefixes": "RecBole's seconds a target over ours, same training rows",
    "train_windows": "RecBole's seconds a target over ours, one row a window",
    "evaluate": "RecBole's seconds of a full evaluation over ours (ours: both seen-item rules)",
    "contrast_step_prefixes": "CL4SRec's step over SASRec's",
    "contrast_step_windows": "CL4SRec's step over SASRec's",
    "duorec_step_prefixes": "DuoRec's step over SASRec's",
    "peak_memory": "ours over RecBole's, net of imports",
    "of_bound": "seconds of the epoch's matrix products at the measured rate over ours, prefixes",
    "of_shaped_bound": "seconds of a step's products alone, in their shapes, over ours, prefixes",
    "wide_bfloat16": "float32's step over bfloat16's, width 256, one row a window",
}


TRACED = "CL4SRec prefixes"  # the subject with every part of a step


def bench(
    dataset: str,
    data_dir: str | None,
    steps: int,
    rounds: int,
    trace: Path | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Measure all subjects in turn, print what was found and write it to folder/side_by_side.json.

    trace: where to write a torch.profiler trace of CL4SRec's step with prefixes, for a browser.
    """
    check_counts(steps, rounds)
    make_folder(folder)
    locate(dataset, Path(data_dir) if data_dir else None)  # a mistake is told before the wait
    subjects = subjects_here()
    if trace is not None:
        with writing(trace):
            trace.parent.mkdir(parents=True, exist_ok=True)
        subjects[TRACED] = replace(subjects[TRACED], trace=str(trace.absolute()))
    rate = matmul_rate()
    by_name = measure_all(subjects, dataset, data_dir, steps, rounds, progress)
    rate = max(rate, matmul_rate())
    figures = {name: middle(measured) for name, measured in by_name.items()}
    print(f"{dataset}, {rounds} rounds, medians; epochs are extrapolated from timed steps")
    print(figure_table(figures))
    print("\nshare of a step (profiled):")
    print(share_table(figures))
    print("\nmatrix products of a step, as they are made: GFLOP/s in the step, and alone:")
    print(rate_table(figures))
    ours = figures["SASRec prefixes"]
    print(
        f"\nbound: a square float32 product runs at {rate / 1e9:.0f} GFLOP/s here, so the "
        f"{ours.matmul_flops / 1e12:.2f} TFLOP of a SASRec's epoch of prefixes need at least "
        f"{ours.matmul_flops / rate:.1f} s"
    )
    found_ratios = ratios(by_name, rate)
    print()
    for name, value in found_ratios.items():
        shown = f"{'-':>8}" if value is None else f"{value:8.2f}"
        print(f"{name:<24}{shown}  {MEANING[name]}")
    measured = {name: vars(figure) for name, figure in figures.items()}
    record = {"dataset": dataset, "rounds": rounds, "ratios": found_ratios, "gflops": rate / 1e9}
    write({**record, "measured": measured, **machine()}, folder / "side_by_side.json", as_json)


def bench_presets(
    dataset: str, data_dir: str | None, steps: int, rounds: int, folder: Path, as_json: bool
) -> None:
    """Measure an epoch of every preset in turn; it is printed, and written to
    folder/presets.json, as a multiple of SASRec's."""
    check_counts(steps, rounds)
    make_folder(folder)
    locate(dataset, Path(data_dir) if data_dir else None)
    subjects = {
        name: subject
        for name, subject in preset_subjects(presets()).items()
        if can_be_built(name, dataset, data_dir)
    }
    by_name = measure_all(subjects, dataset, data_dir, steps, rounds, progress)
    print(
        f"{dataset}, prefixes, {rounds} rounds, medians; epochs are extrapolated from timed steps"
    )
    print(preset_table(by_name))
    record = {
        "dataset": dataset,
        "rounds": rounds,
        "epoch_over_sasrec": multiples(by_name),
    }
    write({**record, **machine()}, folder / "presets.json", as_json)


def bench_scale(interactions: int, items: int, steps: int, folder: Path, as_json: bool) -> None:
    """Measure the growth with interactions and items, and with the width of the model; print,
    write folder/scale.json, and plot."""
    from experiments.report.speed_plot import draw_speed, growth_panels

    check_counts(steps, 1)
    make_folder(folder)
    sizes = scale(interactions, items, steps, in_process, progress)
    rows = grow_in_width(BEAUTY, steps, has_bfloat16(), in_process, progress)
    print("SASRec, sampled softmax with 1,024 negatives, lazy rows; made-up histories of 10 items")
    print(growth_table(sizes))
    print(
        f"\nSASRec, full cross-entropy, one row a window; {BEAUTY.interactions:,} made-up "
        f"interactions of {BEAUTY.items:,} items, 10 of each user"
    )
    print(width_table(rows))
    record = {
        "steps": steps, "sizes": [asdict(size) for size in sizes],
        "width_data": asdict(BEAUTY), "widths": [asdict(row) for row in rows], **machine(),
    }  # fmt: skip
    write(record, folder / "scale.json", as_json=False)
    picture = folder / "scale.png"
    put(picture, draw_speed(growth_panels(record)).png)
    print(f"-> {picture}")
    if as_json:
        print(json.dumps(record))


def bench_gpu(
    dataset: str | None,
    data_dir: str | None,
    steps: int,
    budget: float,
    folder: Path,
    as_json: bool,
) -> None:
    """Measure on a GPU what the budget allows, and print it.  After every subject it is written
    to folder/gpu.json."""
    check_counts(steps, 1)
    if not 0.0 < budget < float("inf"):
        raise UsageError("--budget must be above 0: seconds for the whole bench")
    if dataset is not None:
        locate(dataset, Path(data_dir) if data_dir else None)
    check_gpu()
    make_folder(folder)
    about = {"dataset": dataset, "steps": steps, "budget": budget, **card(), **machine()}
    path = folder / "gpu.json"

    def keep(found: Found) -> None:
        put(path, json.dumps({**about, **gpu_record(found, on_gpu.beauty)}, indent=1) + "\n")

    on_gpu = Bench(dataset, data_dir, steps, budget, keep, progress)
    record = {**about, **gpu_record(on_gpu.run(), on_gpu.beauty)}
    print(gpu_text(record))
    write(record, path, as_json)


def make_folder(folder: Path) -> None:
    """For the figures, before anything is measured.  UsageError where there can be none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--to {folder}: cannot be written ({error.strerror})") from None


def machine() -> dict[str, Any]:
    """What measured, and with which versions."""
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "versions": versions()}


def write(record: dict[str, Any], path: Path, as_json: bool) -> None:
    """Keep what was measured, and print it as the last line if that is asked for."""
    put(path, json.dumps(record, indent=1) + "\n")
    print(f"-> {path}")
    if as_json:
        print(json.dumps(record))


def can_be_built(preset: str, dataset: str, data_dir: str | None) -> bool:
    """False, and a line, for a preset that this data set lacks something for."""
    fields = [("model", preset), ("dataset", dataset)]
    where = [] if data_dir is None else [("data_dir", data_dir)]
    try:
        prepare(*resolve(None, [*fields, *where]))
    except UsageError as error:
        print(f"left out: {error}")
        return False
    return True


def check_counts(steps: int, rounds: int) -> None:
    if steps < 1 or rounds < 1:
        raise UsageError("--steps and --rounds must be at least 1")


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
