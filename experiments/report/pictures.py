"""The pictures that stand among the results: Beauty by method, and the curve over temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.metric_names import TEST_NDCG10
from experiments.report.across import tick
from experiments.report.aggregate import Mean
from experiments.report.compare import Table
from experiments.report.published import Published
from experiments.report.statistics import LEAST_SEEDS
from experiments.report.studies import Report
from experiments.report.style import COLOURS, LINES, MARKERS, Plot, finish, legend, panels, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DATASET = "beauty"
BAND = "#8c8c8c"
OURS = (
    ("recipes", "best whole", "best (attributes)"),
    ("recipes", "best without attributes", "best without attributes"),
    ("recipes", "sasrec", "SASRec"),
    ("best", "sasrec", "SASRec, width 64"),
    ("reproduce", "augment-only", "width 64, augmented inputs"),
    *(
        ("tune", method.lower(), f"width 64, {method} contrast, tuned")
        for method in ("CL4SRec", "CoSeRec", "DuoRec", "ICLRec")
    ),
)
"""Study, variant and name of each row of ours."""


@dataclass(frozen=True)
class Dot:
    """A row of the picture: a mean of ours with its interval, or a published number."""

    name: str
    mean: Mean
    published: bool


def pictures(report: Report) -> list[Plot]:
    """Those that there are results for."""
    with styled():
        drawn = [draw_methods(report), draw_temperature(report)]
    return [plot for plot in drawn if plot is not None]


def dots(report: Report) -> list[Dot]:
    """The best first."""
    ours = []
    for study, variant, name in OURS:
        table = report.table(study, DATASET)
        group = None if table is None else table.group(variant)
        if group is not None:
            mean = group.tested_mean(TEST_NDCG10)
            few = f", {mean.n} seed{'s' * (mean.n > 1)}" if mean.n < LEAST_SEEDS else ""
            ours.append(Dot(f"{name}{few}", mean, published=False))
    theirs = [published_dot(row) for row in report.others
              if row.dataset == DATASET and row.seen == "excluded"]  # fmt: skip
    return sorted([*ours, *theirs], key=lambda dot: -dot.mean.mean) if ours else []


def published_dot(row: Published) -> Dot:
    mean = Mean(row.ndcg, sd=None, low=None, high=None, n=1)
    source = row.source.rpartition("/")[2]
    of_itself = source == row.method
    return Dot(f"{row.method}, published" + f" ({source})" * (not of_itself), mean, published=True)


def draw_methods(report: Report) -> Plot | None:
    """A row a method, SASRec's interval as a band behind all."""
    rows = dots(report)
    if not rows:
        return None
    figure, (panel,) = panels(1, width=7.5, height=0.7 + 0.21 * len(rows))
    for published, label in ((False, "this repository"), (True, "published")):
        placed = [
            (-place, dot.mean) for place, dot in enumerate(rows) if dot.published == published
        ]
        below = [mean.half_width for _, mean in placed]
        panel.errorbar(
            [mean.mean for _, mean in placed], [place for place, _ in placed],
            xerr=None if published else below, label=label, linestyle="none", capsize=2,
            color=COLOURS[published], marker=MARKERS[3 * published],
            markerfacecolor="none" if published else COLOURS[0], markersize=5,
        )  # fmt: skip
    band(panel, next((dot.mean for dot in rows if dot.name == "SASRec"), None))
    panel.set_yticks(range(0, -len(rows), -1), [dot.name for dot in rows])
    panel.set(xlabel="test NDCG@10 on Beauty, seen items excluded")
    legend(figure, panel)
    caption = "Mean over seeds with its 95 % t-interval (3 seeds or more); band: our SASRec's."
    text = "; ".join(f"{dot.name} {dot.mean.mean:.4f}" for dot in rows) + "."
    return finish(figure, "beauty", "Test NDCG@10 on Beauty by method", caption, text)


def band(panel: Axes, mean: Mean | None) -> None:
    if mean is not None and mean.low is not None and mean.high is not None:
        panel.axvspan(mean.low, mean.high, color=BAND, alpha=0.2, linewidth=0)


def draw_temperature(report: Report) -> Plot | None:
    """A line a similarity, a small dot a seed; the baseline's seeds, or interval, as a band."""
    table = report.table("temperature", DATASET)
    by_similarity = {} if table is None else curves(table)
    if table is None or not by_similarity:
        return None
    figure, (panel,) = panels(1, width=6.0, height=3.4)
    for number, (name, points) in enumerate(by_similarity.items()):
        color = COLOURS[number]
        panel.plot([x for x, _ in points], [sum(seeds) / len(seeds) for _, seeds in points],
                   label=name, color=color, marker=MARKERS[number], linestyle=LINES[number],
                   markersize=5)  # fmt: skip
        for x, seeds in points:
            panel.plot([x] * len(seeds), seeds, color=color, marker=".", markersize=4,
                       linestyle="none", alpha=0.6)  # fmt: skip
    for base in table.baselines[:1]:
        mean = base.tested_mean(TEST_NDCG10)
        values = [line.values[TEST_NDCG10] for line in base.lines]
        low, high = mean.low or min(values), mean.high or max(values)
        label = f"{base.variant}, no contrast; band: its "
        label += "seeds" if mean.low is None else "interval"
        panel.axhspan(low, high, color=BAND, alpha=0.35, linewidth=0)
        panel.axhline(mean.mean, color=BAND, linewidth=1.2, label=label)
    panel.set(xlabel="temperature", ylabel="test NDCG@10, seen excluded", xscale="log")
    panel.margins(y=0.08)
    tick(panel, sorted({x for points in by_similarity.values() for x, _ in points}))
    legend(figure, panel)
    caption = "Mean over seeds; a small dot is a seed."
    text = "; ".join(f"{name}: {told(points)}" for name, points in by_similarity.items()) + "."
    return finish(figure, "temperature", f"Temperature on {DATASET}", caption, text)


def curves(table: Table) -> dict[str, list[tuple[float, list[float]]]]:
    """{similarity: [(temperature, its seeds' NDCG@10)]}, both sorted."""
    points: dict[str, list[tuple[float, list[float]]]] = {}
    for group in table.groups:
        axes = {key.rpartition(".")[2]: value for key, value in group.lines[0].axes.items()}
        if "temperature" in axes:
            values = [line.values[TEST_NDCG10] for line in group.lines]
            name = str(axes.get("similarity", "contrast"))
            points.setdefault(name, []).append((float(axes["temperature"]), values))
    return {name: sorted(points[name]) for name in sorted(points)}


def told(points: list[tuple[float, list[float]]]) -> str:
    return ", ".join(f"{sum(seeds) / len(seeds):.4f} at {x:g}" for x, seeds in points)
