"""One picture of speed: next to RecBole, and growth with width, interactions and items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, StrMethodFormatter

from experiments.report.speed import FOLDER, Json, from_record, machine
from experiments.report.style import COLOURS, LINES, MARKERS, Plot, finish, panels, styled

NAME = "speed"
SAME_SIZES = {"RecBole SASRec": 1, "SASRec prefixes": 0, "SASRec windows": 0}
"""Subjects of the bench that are compared, and which of COLOURS each has: ours the first."""


@dataclass(frozen=True)
class Bars:
    """A bar each, the first on top."""

    title: str
    across: str
    values: dict[str, float]

    def draw(self, panel: Axes) -> None:
        names = list(self.values)
        places = range(0, -len(names), -1)
        colours = [COLOURS[SAME_SIZES[name]] for name in names]
        bars = panel.barh(places, list(self.values.values()), height=0.6, color=colours)
        panel.bar_label(bars, [f"{value:,.0f}" for value in self.values.values()], padding=3)
        panel.set_yticks(places, names)
        panel.grid(visible=False, axis="y")
        panel.margins(x=0.15)
        panel.xaxis.set_major_locator(MaxNLocator(5))
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        panel.set(xlabel=self.across)

    def told(self) -> str:
        each = "; ".join(f"{name} {value:,.0f}" for name, value in self.values.items())
        return f"{self.across}: {each}."


@dataclass(frozen=True)
class Curves:
    """Named lines over a logarithmic axis.

    ticks: of the other axis, within a power of ten; none: it is linear, from zero.
    """

    title: str
    across: str
    up: str
    lines: dict[str, list[tuple[int, float]]]
    ticks: tuple[int, ...] = ()

    def draw(self, panel: Axes) -> None:
        for number, (name, points) in enumerate(self.lines.items()):
            panel.plot([x for x, _ in points], [y for _, y in points], label=name, markersize=5,
                       color=COLOURS[2 * number], marker=MARKERS[number],
                       linestyle=LINES[number])  # fmt: skip
        panel.set(xscale="log", xlabel=self.across, ylabel=self.up)
        values = sorted({x for points in self.lines.values() for x, _ in points})
        panel.set_xticks(values, [f"{x:,}" for x in values])
        if not self.ticks:
            panel.set_ylim(0, 1.25 * max(y for points in self.lines.values() for _, y in points))
        else:
            panel.set_yscale("log")
            panel.yaxis.set_major_locator(LogLocator(subs=self.ticks))
            panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        panel.minorticks_off()
        if len(self.lines) > 1:
            panel.legend()

    def told(self) -> str:
        each = "; ".join(f"{name} {of_line(points)}" for name, points in self.lines.items())
        return f"{self.up} by {self.across}: {each}."


def of_line(points: list[tuple[int, float]]) -> str:
    return ", ".join(f"{y:.3g} at {x:,}" for x, y in points)


Panel = Bars | Curves


def speed_picture(results: Path) -> list[Plot]:
    """One plot of what the bench has on record, or none."""
    files: dict[str, Callable[[Json], list[Panel]]] = {
        "side_by_side.json": recbole_panels, "scale.json": growth_panels,
    }  # fmt: skip
    found = [
        panel
        for file, panels_of in files.items()
        if (results / FOLDER / file).exists()
        for panel in from_record(results / FOLDER / file, panels_of)
    ]
    return [draw_speed(found)] if found else []


def draw_speed(shown: Sequence[Panel]) -> Plot:
    """Each panel says of which data and machine it is."""
    with styled():
        figure, axes = panels(len(shown), width=4.4, height=2.7, columns=2)
        for panel, one in zip(axes, shown, strict=True):
            panel.set_title(one.title, fontsize="small", loc="left")
            one.draw(panel)
        text = " ".join(one.told() for one in shown)
        caption = "Where both axes are logarithmic, a line of slope 1 is linear growth."
        return finish(figure, NAME, "Speed of training SASRec", caption, text)


def recbole_panels(record: Json) -> list[Panel]:
    """Targets a second of RecBole and of ours."""
    values = {}
    for name in SAME_SIZES:
        if name in record["measured"]:
            one = record["measured"][name]
            values[name] = one["targets"] / (one["step_seconds"] * one["steps"])
    title = f"{record['dataset']}, width 64\n{machine(record)}"
    return [Bars(title, "targets a second", values)]


def growth_panels(record: Json) -> list[Panel]:
    """By width, where that was measured, by interactions and by items."""
    sizes = record["sizes"]
    fewest = min(size["items"] for size in sizes)
    by_interactions = [size for size in sizes if size["items"] == fewest]
    alike = defaultdict(list)
    for size in sizes:
        alike[size["interactions"]].append(size)
    same, by_items = max(alike.items(), key=lambda pair: len(pair[1]))
    seconds = {
        "an epoch": points(by_interactions, "interactions", "epoch_seconds"),
        "preparation": points(by_interactions, "interactions", "prepare_seconds"),
    }
    where = f"1,024 negatives, width 64\n{machine(record)}"
    step = {"a step": points(by_items, "items", "step_ms")}
    return [
        *width_panels(record),
        Curves(f"made-up data of {fewest:,} items, {where}", "interactions", "seconds",
               seconds, ticks=(1,)),
        Curves(f"{same:,} made-up interactions, {where}", "items", "ms of a training step", step),
    ]  # fmt: skip


def width_panels(record: Json) -> list[Panel]:
    """Seconds of an epoch in each precision; none where no width was measured."""
    rows = record.get("widths", [])
    if not rows:
        return []
    lines = {}
    for precision in ("float32", "bfloat16"):
        measured = [{"width": row["width"], **row[precision]} for row in rows if row[precision]]
        if measured:
            lines[precision] = points(measured, "width", "epoch_seconds")
    data = record["width_data"]
    title = f"{data['interactions']:,} made-up interactions, {data['items']:,} items"
    title += f", full cross-entropy\n{machine(record)}"
    return [Curves(title, "width", "seconds of an epoch", lines, ticks=(1, 2, 5))]


def points(rows: list[Json], across: str, up: str) -> list[tuple[int, float]]:
    return sorted((row[across], row[up]) for row in rows)
