"""One plot of several runs: validation by epoch, and differences to the first with intervals."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from experiments.errors import UsageError
from experiments.metric_names import VALID_NDCG10
from experiments.report.style import (
    COLOURS,
    LINES,
    dots,
    epochs_across,
    headed,
    legend,
    panels,
    styled,
)
from experiments.runs.compare import Compared, Difference, differences
from experiments.storage.atomic import put

FORMATS = (".svg", ".png", ".pdf")


def check_plot_name(path: Path) -> None:
    if path.suffix not in FORMATS:
        raise UsageError(f"--to {path}: the file must be named *{', *'.join(FORMATS)}")


def draw_comparison(runs: Sequence[Compared], path: Path) -> None:
    """Write the plot.  Errors: UsageError for another name than *.svg, *.png or *.pdf."""
    check_plot_name(path)
    tested = differences(runs)
    with styled():
        figure, axes = panels(2 if tested else 1, width=4.6)
        headed(figure, runs[0].dataset)
        draw_validation(axes[0], runs)
        if tested:
            draw_differences(axes[1], runs[0], tested)
        legend(figure, axes[0])
        drawn = io.BytesIO()
        dated = {"Date": None} if path.suffix == ".svg" else {}
        figure.savefig(drawn, format=path.suffix[1:], dpi=150, metadata=dated)
    put(path, drawn.getvalue())


def draw_validation(panel: Axes, runs: Sequence[Compared]) -> None:
    for number, run in enumerate(runs):
        records = [record for record in run.folder.read_history() if VALID_NDCG10 in record]
        epochs = [record["epoch"] for record in records]
        scores = [record[VALID_NDCG10] for record in records]
        panel.plot(epochs, scores, label=run.name, color=COLOURS[number % len(COLOURS)],
                   linestyle=LINES[number // len(COLOURS) % len(LINES)], linewidth=1.2,
                   **dots(len(epochs)))  # fmt: skip
    panel.set(title="validation NDCG@10, seen items excluded")
    epochs_across(panel)


def draw_differences(panel: Axes, first: Compared, tested: Sequence[Difference]) -> None:
    for number, one in enumerate(tested, start=1):
        spread = [[one.mean - one.low], [one.high - one.mean]]
        panel.errorbar([one.mean], [-number], xerr=spread, fmt="o", capsize=3,
                       color=COLOURS[number % len(COLOURS)])  # fmt: skip
    panel.axvline(0.0, color="#808080", linewidth=0.8)
    panel.set_yticks([-number for number in range(1, len(tested) + 1)])
    panel.set_yticklabels([one.run for one in tested])
    panel.set(title="test NDCG@10, difference, 95 % interval", xlabel=f"minus {first.name}")
    panel.xaxis.set_major_locator(MaxNLocator(4))
    panel.margins(y=0.4)
