"""The pictures that stand among the results: Beauty by method, and the curve over temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.metric_names import TEST_NDCG10
from experiments.report.across import tick
from experiments.report.aggregate import Mean
from experiments.report.compare import Comparison, Table
from experiments.report.dots import of_seeds
from experiments.report.published import Published
from experiments.report.statistics import LEAST_SEEDS
from experiments.report.studies import Report
from experiments.report.style import COLOURS, MARKERS, Plot, finish, legend, panels, styled

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


@dataclass(frozen=True)
class Point:
    """What a contrast of this temperature adds to the baseline: a mean with its 95 % interval
    over paired seeds, and the difference of each seed."""

    temperature: float
    gain: Comparison
    seeds: tuple[float, ...]


def draw_temperature(report: Report) -> Plot | None:
    """Difference from the baseline by temperature: means, intervals and seeds."""
    table = report.table("temperature", DATASET)
    points = [] if table is None else curve(table)
    if not points:
        return None
    figure, (panel,) = panels(1, width=6.0, height=3.4)
    places = [point.temperature for point in points]
    means = [point.gain.difference for point in points]
    below = [0.0 if p.gain.interval is None else p.gain.difference - p.gain.interval[0]
             for p in points]  # fmt: skip
    panel.axhline(0.0, color=BAND, linewidth=1.2, label=f"{points[0].gain.baseline}, no contrast")
    panel.errorbar(places, means, yerr=below, label="with the contrast", capsize=2,
                   color=COLOURS[0], marker=MARKERS[0], markersize=5)  # fmt: skip
    for point in points:
        panel.plot([point.temperature] * len(point.seeds), point.seeds, color=COLOURS[0],
                   marker=".", markersize=4, linestyle="none", alpha=0.6)  # fmt: skip
    panel.set(xlabel="temperature", ylabel="difference of test NDCG@10", xscale="log")
    panel.margins(y=0.08)
    tick(panel, places)
    legend(figure, panel)
    caption = (
        "Seen items excluded; mean difference with its 95 % t-interval (3 seeds or more); a small "
        "dot is a seed."
    )
    told = ", ".join(f"{point.gain.difference:+.4f} at {point.temperature:g}" for point in points)
    return finish(figure, "temperature", f"Temperature on {DATASET}", caption, told + ".")


def curve(table: Table) -> list[Point]:
    """The variants that name a temperature and have a baseline, by temperature."""
    points = []
    for group, gain in table.ranked:
        axes = {key.rpartition(".")[2]: value for key, value in group.lines[0].axes.items()}
        if "temperature" in axes:
            seeds = tuple(of_seeds(table, group))
            points.append(Point(float(axes["temperature"]), gain, seeds))
    return sorted(points, key=lambda point: point.temperature)
