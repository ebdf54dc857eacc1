"""The table of what training costs on a GPU, from the results of `run.py bench --gpu`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from experiments.report.pipe_table import pipe_table

Json = dict[str, Any]
NOT_MEASURED = "Not measured yet: `python run.py bench --gpu` measures it on a machine with a GPU."


def share(part: str) -> Callable[[Json], float | None]:
    """A figure of seconds over those of a step; None where there is none."""
    return lambda m: m[part] / m["step_seconds"] if m.get(part) else None


def of_bound(m: Json) -> float | None:
    """Seconds of an epoch's products at a square product's rate, over those of its steps."""
    if not m["square_flops"]:
        return None
    return float(m["matmul_flops"] / m["square_flops"] / (m["step_seconds"] * m["steps"]))


COLUMNS: dict[str, tuple[Callable[[Json], float | None], str]] = {
    "step ms": (lambda m: m["step_seconds"] * 1e3, ".2f"),
    "epoch s": (lambda m: m["step_seconds"] * m["steps"], ".2f"),
    "training s": (lambda m: m["training_seconds"], ".1f"),
    "targets/s": (lambda m: m["targets"] / (m["step_seconds"] * m["steps"]), ",.0f"),
    "evaluate s": (lambda m: m["evaluate_seconds"], ".2f"),
    "bound": (of_bound, ".0%"),
    "products": (share("product_seconds"), ".0%"),
    "busy": (share("busy_seconds"), ".0%"),
    "GPU MB": (lambda m: m["gpu_peak_mb"], ",.0f"),
    "compile s": (lambda m: m["compile"].get("seconds"), ".0f"),
}
MEANING = (
    "An epoch is extrapolated from timed steps, but where a whole training was measured. bound: "
    "the matrix products of an epoch's real positions at the rate of a large square product in "
    "the same precision, as a share of the time; products: those of a step alone, in their shapes "
    "and with their padding; both without attention's, which are inside of its kernel. busy: the "
    "share of a step in which the GPU's kernels run; where it is low, the processor cannot ask "
    "for them quickly enough. GPU MB: most memory that tensors hold."
)


def cells(measured: Json) -> list[str]:
    """A subject's figures as they are shown, in the order of COLUMNS; empty for none."""
    values = ((figure(measured), form) for figure, form in COLUMNS.values())
    return ["" if value is None else format(value, form) for value, form in values]


def goal_lines(record: Json) -> list[str]:
    """A sentence for each goal: met, not met or not measured."""
    said = []
    for goal in record["goals"]:
        if goal["met"] is None:
            said.append(f"Goal, not measured: {goal['goal']}.")
            continue
        met = "met" if goal["met"] else "not met"
        said.append(
            f"Goal, {met}: {goal['goal']} ({goal['measured']:,.1f} of {goal['at_most']:,.0f} "
            f"{goal['unit']})."
        )
    return said


def compiled_lines(record: Json) -> list[str]:
    """What compiling the encoder gave, next to the same steps without."""
    said = []
    for name, m in record["measured"].items():
        plain = name.rpartition(", ")[0]
        before = record["measured"].get(plain)
        if not m["compile"] or before is None:
            continue
        gained = before["step_seconds"] / m["step_seconds"]
        gave_up = int(m["compile"]["graph_breaks"] + m["compile"]["without_cuda_graphs"])
        parts = f" (it gave up on {gave_up} parts)" if gave_up else ""
        said.append(f"{name}: a step is {gained:.2f} times as quick as without{parts}.")
    return said


def left_lines(record: Json) -> list[str]:
    """What has no figures, and why."""
    said = [f"Failed: {name} ({reason})." for name, reason in record["failed"].items()]
    if record["left_out"]:
        count = len(record["left_out"])
        budget = f"{record['budget']:.0f} s were over"
        said.append(f"Left out, since {budget} ({count}): {'; '.join(record['left_out'])}.")
    return said


def about(record: Json) -> str:
    """Which card, and which data."""
    data = record["dataset"] or "made-up histories in Beauty's sizes"
    return (
        f"{record['card']} ({record['card_mb'] / 1024:.0f} GB, driver {record['driver']}, CUDA "
        f"{record['cuda']}, torch {record['versions']['torch']}); {data}; histories of "
        f"ml-20m's size and of a million items are made up; {record['steps']} timed steps."
    )


def against_recbole(record: Json) -> list[str]:
    times = record["recbole_over_ours"]
    if times is None:
        return []
    said = "RecBole's SASRec takes {:.1f} times as long a target as ours on this card"
    return [said.format(times) + " (prefixes, float32, the same batches)."]


def gpu(record: Json) -> str:
    """Goals, a table with a row a subject, and what is not in it."""
    lines = [about(record), ""]
    lines += [f"- {line}" for line in [*goal_lines(record), *against_recbole(record)]]
    rows = ([name, *cells(measured)] for name, measured in record["measured"].items())
    lines += ["", pipe_table(["", *COLUMNS], rows), "", MEANING]
    further = [*compiled_lines(record), *left_lines(record)]
    return "\n".join([*lines, "", *(f"- {line}" for line in further)]).rstrip()


def text(record: Json) -> str:
    """The same for a terminal."""
    rows = [(name, *cells(m)) for name, m in record["measured"].items()]
    table = [("", *COLUMNS), *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    shown = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table
    ]
    further = [*goal_lines(record), *against_recbole(record)]
    further += [*compiled_lines(record), *left_lines(record)]
    return "\n".join([about(record), *shown, "", MEANING, "", *further])
