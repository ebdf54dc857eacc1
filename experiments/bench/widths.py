"""How time and memory grow with the width of SASRec, on made-up data of Beauty's size."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from experiments.bench.scale import Case, write_random
from experiments.bench.subject import SIZES, Measured, Subject

BEAUTY = Case(interactions=198_502, items=12_101)
WIDTHS = (64, 128, 256, 512)
FEWEST = 5  # timed steps of a width
Measure = Callable[[Subject, str, str | None, int], Measured]


@dataclass(frozen=True)
class Cost:
    """Of one width in one precision; memory is net of imports.

    gflops: operations in the matrix products of an epoch's real positions, forward and backward,
    over the seconds of the whole epoch, in thousand millions a second.
    """

    step_ms: float
    epoch_seconds: float
    peak_mb: float
    gflops: float


@dataclass(frozen=True)
class Wide:
    """One width.  bfloat16: None where it was not measured."""

    width: int
    steps: int
    float32: Cost
    bfloat16: Cost | None


def grow_in_width(
    case: Case, steps: int, bfloat16: bool, measure: Measure, say: Callable[[str], None]
) -> list[Wide]:
    """Measure each of WIDTHS in float32 and, if asked for, with products in bfloat16.

    Each is a process of its own.  A wider model takes fewer steps, so that none takes much longer.
    """
    rows = []
    with tempfile.TemporaryDirectory() as data:
        write_random(Path(data) / "random.txt", case)

        def cost(width: int, precision: str) -> Cost:
            say(f"width {width}, {precision}")
            return cost_of(measure(subject(width, precision), "random", data, fewer(steps, width)))

        for width in WIDTHS:
            float32 = cost(width, "float32")
            lower = cost(width, "bfloat16") if bfloat16 else None
            rows.append(Wide(width, fewer(steps, width), float32, lower))
    return rows


def fewer(steps: int, width: int) -> int:
    """`steps` at the least width, then in proportion, not below FEWEST unless all are."""
    return max(min(steps, FEWEST), steps * WIDTHS[0] // width)


def subject(width: int, precision: str) -> Subject:
    """SASRec with full cross-entropy, one row a window, its inner width in proportion."""
    inner = SIZES["encoder.inner"] // SIZES["encoder.dim"] * width
    fields = {"encoder.dim": width, "encoder.inner": inner, "train.precision": precision}
    return Subject("sasrec", "windows", evaluate=False, profiled=False, fields=fields)


def cost_of(measured: Measured) -> Cost:
    seconds = measured.step_seconds * measured.steps
    rate = measured.matmul_flops / seconds / 1e9
    return Cost(measured.step_seconds * 1e3, seconds, measured.peak_mb, rate)


def width_table(rows: list[Wide]) -> str:
    """A row a width and precision."""
    lines = [
        f"{'width':>7}{'precision':>11}{'step ms':>9}{'epoch s':>9}{'peak MB':>9}{'GFLOP/s':>9}"
    ]
    for row in rows:
        for precision, cost in (("float32", row.float32), ("bfloat16", row.bfloat16)):
            if cost is not None:
                lines.append(
                    f"{row.width:7}{precision:>11}{cost.step_ms:9.1f}{cost.epoch_seconds:9.1f}"
                    f"{cost.peak_mb:9.0f}{cost.gflops:9.0f}"
                )
    return "\n".join(lines)
