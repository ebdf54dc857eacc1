"""A metric against a numeric axis of the study, the baseline as a band."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from experiments.metric_names import TEST_NDCG10, metric_key
from experiments.record.labels import in_words, short_names
from experiments.record.line import is_number
from experiments.report.aggregate import Group
from experiments.report.compare import Table
from experiments.report.palette import REST, Look, Palette
from experiments.report.statistics import LEAST_SEEDS
from experiments.report.style import LINES, SERIES, Plot, finish, legend, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS = {"NDCG@10": TEST_NDCG10, "HR@10": metric_key("test", "excluded", "hr@10")}
LABELS = {"temperature": "temperature", "weight": "weight of the contrast"}
TICKS = 10
EACH = "one variant each"  # of a random search: no line joins them
Points = list[tuple[float, Group]]


def values_of(table: Table, axis: str) -> list[Any]:
    return [group.lines[0].axes[axis] for group in table.groups if axis in group.lines[0].axes]


def axes_of(table: Table) -> list[str]:
    """Axes that take two values or more on this data set."""
    names = dict.fromkeys(name for group in table.groups for name in group.lines[0].axes)
    return [name for name in names if len({repr(v) for v in values_of(table, name)}) > 1]


def numeric_axes(table: Table) -> list[str]:
    """None of a search: its few winners differ in all fields at once."""
    if table.searched:
        return []
    return [name for name in axes_of(table) if all(map(is_number, values_of(table, name)))]


def series(table: Table, axis: str) -> dict[str, Points]:
    """{what the other axes say: points by value}, the best first.

    Where no two points share their other axes, as in a random search, all are one series.
    """
    along = tuple(group for group in table.groups if axis in group.lines[0].axes)
    others = [name for name in axes_of(replace(table, groups=along)) if name != axis]
    names = short_names(others)
    by_label: dict[str, Points] = {}
    for group in along:
        axes = group.lines[0].axes
        rest = " ".join(in_words({key: axes[key] for key in others if key in axes}, names))
        point = float(axes[axis]), group
        by_label.setdefault(rest or axes.get("model", "variants"), []).append(point)
    if all(len(points) == 1 for points in by_label.values()):
        by_label = {EACH: [points[0] for points in by_label.values()]}
    best = {
        name: max(group.tested_mean(TEST_NDCG10).mean for _, group in by_label[name])
        for name in by_label
    }
    return {
        name: sorted(by_label[name], key=lambda point: point[0])
        for name in sorted(by_label, key=lambda name: -best[name])
    }


def short(axis: str) -> str:
    return axis.rpartition(".")[2]


def draw_across(table: Table, axis: str, looks: Palette) -> Plot:
    """One panel a metric."""
    by_label = series(table, axis)
    drawn = list(by_label)[:SERIES]
    connected = EACH not in by_label
    figure, both = panels(len(METRICS))
    for panel, (name, key) in zip(both, METRICS.items(), strict=True):
        bands(panel, table, key, looks)
        for label in drawn:
            draw_points(panel, by_label[label], key, label, looks.get(label, REST), connected)
        label = LABELS.get(short(axis), axis)
        panel.set(xlabel=label, ylabel=f"test {name}, seen excluded", xscale=scale(by_label, axis))
        tick(panel, sorted({x for points in by_label.values() for x, _ in points}))
    legend(figure, both[0])
    hidden = len(by_label) - len(drawn)
    caption = "Mean over seeds with its 95 % t-interval where there are three seeds or more."
    caption += " The band is the baseline's interval." if has_band(table) else ""
    caption += f" The best {SERIES} of {len(by_label)} series." if hidden else ""
    title = f"{table.dataset}: test NDCG@10 and HR@10 against {axis}"
    return finish(
        figure, f"{table.dataset}-{axis}", title, caption, described(table, by_label, axis)
    )


def draw_points(
    panel: Axes, points: Points, key: str, label: str, look: Look, connected: bool
) -> None:
    means = [group.tested_mean(key) for _, group in points]
    below = [mean.half_width for mean in means]
    panel.errorbar(
        [x for x, _ in points], [mean.mean for mean in means], yerr=below, label=label,
        color=look.colour, marker=look.marker, markersize=4.5,
        linestyle=look.line if connected else "none",
    )  # fmt: skip


def has_band(table: Table) -> bool:
    """Is there one baseline only, with an interval?"""
    return len(table.baselines) == 1 and len(table.baselines[0].lines) >= LEAST_SEEDS


def bands(panel: Axes, table: Table, key: str, looks: Palette) -> None:
    """A line for each baseline; with its interval where there is one only."""
    for group, line in zip(table.baselines, LINES, strict=False):
        mean = group.tested_mean(key)
        label, colour = f"baseline: {group.variant}", looks.get(group.variant, REST).colour
        panel.axhline(mean.mean, color=colour, linestyle=line, linewidth=1.2, label=label)
        if mean.low is not None and mean.high is not None and has_band(table):
            panel.axhspan(mean.low, mean.high, color=colour, alpha=0.2, linewidth=0)


def scale(by_label: dict[str, Points], axis: str) -> str:
    """Logarithmic where positive values span more than a decade, and for a temperature."""
    values = [x for points in by_label.values() for x, _ in points]
    wide = max(values) > 10.0 * min(values) or short(axis) == "temperature"
    return "log" if min(values) > 0.0 and wide else "linear"


def tick(panel: Axes, values: list[float]) -> None:
    """At the values themselves, where they are few."""
    if len(values) <= TICKS:
        panel.set_xticks(values, [f"{x:g}" for x in values])
        panel.minorticks_off()


def described(table: Table, by_label: dict[str, Points], axis: str) -> str:
    points = [
        (x, group.tested_mean(TEST_NDCG10).mean)
        for of_label in by_label.values()
        for x, group in of_label
    ]
    best, worst = max(points, key=lambda p: p[1]), min(points, key=lambda p: p[1])
    text = f"Test NDCG@10 on {table.dataset} is highest, {best[1]:.4f}, at {axis} {best[0]:g} "
    text += f"and lowest, {worst[1]:.4f}, at {worst[0]:g}"
    for group in table.baselines:
        text += f"; baseline {group.variant} {group.tested_mean(TEST_NDCG10).mean:.4f}"
    return text + "."
