"""curves.svg of a run: its losses, its validation and its representations, epoch by epoch."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes

from experiments.errors import one_line
from experiments.metric_names import MONITOR, RULE_WORDS
from experiments.report.style import COLOURS, dots, epochs_across, headed, panels, styled
from experiments.storage.atomic import write_bytes
from experiments.storage.run_folder import RunFolder

Records = list[dict[str, float]]
LOSS = re.compile(r"train/(?:loss|next_item)|contrast/.+/loss")
SHAPE = re.compile(r"contrast/.+/(?:alignment|uniformity)")


def write_curves(folder: RunFolder) -> None:
    """Draw the history of a run into its folder; nothing for a run without epochs.

    A drawing that fails is one line on stderr: the run itself is finished.
    """
    try:
        records = folder.read_history()
        if records:
            write_bytes(folder.curves, run_curves(records, *named(folder)).encode())
    except Exception as error:
        reason = one_line(f"{type(error).__name__}: {error}")
        print(f"{folder.curves.name} could not be drawn ({reason})", file=sys.stderr)


def named(folder: RunFolder) -> tuple[str, str]:
    """What the run is of, for a heading, and the metric that chose its epoch."""
    if not folder.config.is_file():
        return "", MONITOR
    tree = folder.read_config()
    monitor = str(tree.get("train", {}).get("monitor", MONITOR))
    return f"{tree['model']} on {tree['dataset']}, seed {tree['seed']}", monitor


def run_curves(records: Records, heading: str = "", monitor: str = MONITOR) -> str:
    """An SVG with a panel for losses, one for the validation metric that chose the epoch, and one
    for alignment and uniformity where a task records them."""
    names = list(dict.fromkeys(name for record in records for name in record))
    losses, chosen = list(filter(LOSS.fullmatch, names)), f"valid/{monitor}"
    if len(losses) == 2:
        losses.remove("train/loss")  # the only part is the sum
    drawn: list[tuple[list[str], str, Callable[[str], str]]] = [
        (losses, "training loss, in nats", loss_label),
        ([name for name in names if name == chosen], "validation", valid_label),
        (list(filter(SHAPE.fullmatch, names)), "alignment and uniformity", shape_label),
    ]
    drawn = [part for part in drawn if part[0]]
    with styled():
        figure, axes = panels(len(drawn), width=4.2)
        headed(figure, heading)
        for panel, (lines, title, label) in zip(axes, drawn, strict=True):
            for number, name in enumerate(lines):
                draw_line(panel, records, name, label(name), number)
            if lines == [chosen]:
                mark_best(panel, records, chosen)
            panel.set(title=title)
            epochs_across(panel)
            panel.legend(fontsize=8)
        svg = io.StringIO()
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return svg.getvalue()


def draw_line(panel: Axes, records: Records, name: str, label: str, number: int) -> None:
    points = [(record["epoch"], record[name]) for record in records if name in record]
    style: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], **dots(len(points))}
    panel.plot(*zip(*points, strict=True), label=label, linewidth=1.2, **style)


def mark_best(panel: Axes, records: Records, name: str) -> None:
    """The epoch whose weights the run keeps."""
    best = max((record for record in records if name in record), key=lambda record: record[name])
    label = f"epoch {best['epoch']:.0f}: {best[name]:.4f}"
    panel.plot([best["epoch"]], [best[name]], label=label,
               marker="*", markersize=11, color=COLOURS[1], linestyle="none")  # fmt: skip


def loss_label(name: str) -> str:
    """`contrast/augmented_views/loss` as "augmented_views, before its weight"."""
    if name == "train/loss":
        return "sum"
    if name == "train/next_item":
        return "next item"
    return f"{task_of(name)}, before its weight"


def valid_label(name: str) -> str:
    _, rule, metric = name.split("/")
    return f"{metric.upper()}, {RULE_WORDS[rule]}"


def shape_label(name: str) -> str:
    return f"{name.rpartition('/')[2]} of {task_of(name)}"


def task_of(name: str) -> str:
    """`contrast/augmented_views/loss` as "augmented_views"; a task's name may have a slash."""
    return name.removeprefix("contrast/").rpartition("/")[0]
