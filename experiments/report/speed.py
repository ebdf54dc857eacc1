"""Tables of what training costs, from the results of `run.py bench`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from experiments.config.presets import PRESETS
from experiments.errors import UsageError
from experiments.report.gpu_speed import NOT_MEASURED, gpu
from experiments.report.pipe_table import pipe_table
from experiments.storage.yaml_file import first_line, header

Json = dict[str, Any]
Made = TypeVar("Made")
FOLDER = "bench"  # below experiments/results


def side_by_side(record: Json) -> str:
    """RecBole's own code and ours, and what the ratios say."""
    about = f"{machine(record)}; {record['dataset']}, {record['rounds']} rounds in turn, medians."
    columns = ["", "epoch s", "targets a second", "full evaluation s", "peak MB net of imports"]
    rows = []
    for name, measured in record["measured"].items():
        seconds = measured["step_seconds"] * measured["steps"]
        evaluation = measured["evaluate_seconds"]
        evaluated = "" if evaluation is None else f"{evaluation:.1f}"
        numbers = [few(seconds), f"{measured['targets'] / seconds:,.0f}", evaluated]
        rows.append([name, *numbers, f"{measured['peak_mb']:,.0f}"])
    return "\n".join([about, "", pipe_table(columns, rows), "", *sentences(record)])


def sentences(record: Json) -> list[str]:
    ratios, ours = record["ratios"], record["measured"]["SASRec prefixes"]
    seconds = ours["step_seconds"] * ours["steps"]
    products = ours["matmul_flops"] / 1e9 / record["gflops"]
    said = [
        f"SASRec trains {ratios['train_prefixes']:.1f} times as many targets a second as RecBole's "
        f"on the same rows, {ratios['train_windows']:.1f} times as many with a row a window, and "
        f"is evaluated {ratios['evaluate']:.1f} times as fast, for both seen-item rules at once.",
        f"The contrast makes CL4SRec's step {ratios['contrast_step_prefixes']:.2f} times SASRec's "
        f"with prefixes and {ratios['contrast_step_windows']:.2f} times with windows; "
        f"DuoRec's is {ratios['duorec_step_prefixes']:.2f} times SASRec's with prefixes.",
        f"The matrix products of SASRec's epoch need {products:.1f} s at the rate of a square "
        f"product ({record['gflops']:.0f} GFLOP/s): {ratios['of_bound']:.0%} of the "
        f"{seconds:.1f} s it takes. {shares(ours['shares'])}",
    ]
    if ratios.get("of_shaped_bound") is not None:
        said.append(
            "The same products alone, in their shapes and with their padding, take "
            f"{ratios['of_shaped_bound']:.0%} of a step."
        )
    if ratios.get("wide_bfloat16") is not None:
        said.append(
            f"At width 256 a step with products in bfloat16 is {ratios['wide_bfloat16']:.2f} times "
            "as quick as one in float32, with a row a window."
        )
    return said


def shares(of_step: dict[str, float]) -> str:
    """Where a step's time goes, most of it first."""
    parts = sorted(of_step.items(), key=lambda pair: -pair[1])
    told = ", ".join(f"{name} {share:.0%}" for name, share in parts if share >= 0.005)
    return f"Of its step (profiled): {told}."


def presets(record: Json) -> str:
    """What each preset learns, and what its epoch costs."""
    about = {path.stem: first_line(header(path)) for path in PRESETS.glob("*.yaml")}
    times = f"epoch, times SASRec's ({record['dataset']}, prefixes)"
    rows = (
        [f"`{name}`", about.get(name, ""), f"{ratio:.1f}"]
        for name, ratio in record["epoch_over_sasrec"].items()
    )
    table = pipe_table(["preset", "what it is", times], rows)
    return "\n".join([table, "", f"{machine(record)}; {record['rounds']} rounds, medians."])


def scale(record: Json) -> str:
    """How time and memory grow."""
    columns = ["interactions", "items", "preparation s", "its peak MB", "step ms", "epoch s"]
    columns += ["peak MB"]
    ranked = [size.get("evaluate_seconds") for size in record["sizes"]]
    columns += ["20,000 users ranked, s"] if any(ranked) else []
    rows = []
    for size in record["sizes"]:
        numbers = [
            f"{size['interactions']:,}",
            f"{size['items']:,}",
            f"{size['prepare_seconds']:.1f}",
            f"{size['prepare_mb']:,.0f}",
            f"{size['step_ms']:.0f}",
            f"{size['epoch_seconds']:,.0f}",
            f"{size['peak_mb']:,.0f}",
        ]
        numbers += [f"{size['evaluate_seconds']:.1f}"] if any(ranked) else []
        rows.append(numbers)
    below = f"{machine(record)}; {record['steps']} steps of each size."
    return "\n".join([pipe_table(columns, rows), "", below])


def widths(record: Json) -> str:
    """A row a width; bfloat16 only where the processor has units for it."""
    rows = record.get("widths", [])
    if not rows:
        return f"Not measured yet on {machine(record)}."
    has_lower = any(row["bfloat16"] for row in rows)
    precisions = ["float32", *["bfloat16"] * has_lower]
    columns = ["width"]
    for precision in precisions:
        columns += [f"{name}, {precision}" for name in ("epoch s", "GFLOP/s", "peak MB")]
    cells = [
        [str(row["width"]), *(cell for name in precisions for cell in cost_cells(row[name]))]
        for row in rows
    ]
    data, steps = record["width_data"], [row["steps"] for row in rows]
    what = f"{data['interactions']:,} interactions, {data['items']:,} items"
    timed = f"{steps[0]} steps at width {rows[0]['width']}, {steps[-1]} at {rows[-1]['width']}"
    return "\n".join([pipe_table(columns, cells), "", f"{machine(record)}; {what}; {timed}."])


def cost_cells(cost: Json | None) -> list[str]:
    """Empty where nothing was measured."""
    if cost is None:
        return [""] * 3
    return [few(cost["epoch_seconds"]), f"{cost['gflops']:.0f}", f"{cost['peak_mb']:,.0f}"]


def machine(record: Json) -> str:
    return f"{record['cpu']}, {record['cores']} cores"


def few(seconds: float) -> str:
    """Three digits of a time."""
    return f"{seconds:.0f}" if seconds >= 100 else f"{seconds:.1f}"


BLOCKS: dict[str, tuple[str, Callable[[Json], str]]] = {
    "bench": ("side_by_side.json", side_by_side),
    "bench/presets": ("presets.json", presets),
    "bench/scale": ("scale.json", scale),
    "bench/widths": ("scale.json", widths),
    "bench/gpu": ("gpu.json", gpu),
}
WITHOUT = {"bench/gpu": NOT_MEASURED}  # what a block says where there is no file


def block(results: Path, name: str) -> str:
    """One of BLOCKS."""
    file, text = BLOCKS[name]
    path = results / FOLDER / file
    if name in WITHOUT and not path.exists():
        return WITHOUT[name]
    return from_record(path, text)


def from_record(path: Path, made: Callable[[Json], Made]) -> Made:
    """What `made` makes of the file; UsageError that names it where it is not of `run.py bench`."""
    try:
        record = json.loads(path.read_bytes())
        if not isinstance(record, dict):
            raise TypeError("no object")
        return made(record)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise UsageError(f"{path}: not a file of `run.py bench` ({error!r})") from None


def recorded(results: Path) -> list[str]:
    """The blocks that can be filled."""
    exist = [name for name, (file, _) in BLOCKS.items() if (results / FOLDER / file).exists()]
    return [name for name in BLOCKS if name in exist or name in WITHOUT]
