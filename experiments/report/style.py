"""How plots look, and a figure as PNG and SVG from one drawing."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

INK, PAPER = "#1a1a1a", "#ffffff"
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07d00", "#7b61d1", "#7a8b00", "#9c6b4e",
    "#0f92ab", "#d6568f",
)  # fmt: skip
"""The first four of Okabe and Ito, which people who do not see all colours tell apart, then six of
other hues; each has a contrast of 3 or more with white and with the page's dark background."""
OTHER = "#8c8c8c"  # what has no colour of its own
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
SERIES = 7  # that a plot tells apart
FEW = 30  # points of a line: fewer are marked
LINE = 0.2  # inches, of a legend
SETTINGS = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "seqcontrast",  # the same ids every time
    "text.parse_math": False,  # a $ in a name is a $
    "font.size": 9,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "axes.titlecolor": INK,
    "xtick.color": INK, "ytick.color": INK, "legend.frameon": False,
    "figure.facecolor": PAPER, "axes.facecolor": PAPER, "savefig.facecolor": PAPER,
    "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.alpha": 0.25, "grid.color": "#808080",
}  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """name: of the files, without suffix.  text: what it shows, for those who do not see it."""

    name: str
    title: str
    caption: str
    text: str
    png: bytes
    svg: str


@contextmanager
def styled() -> Iterator[None]:
    with rc_context(SETTINGS):
        yield


def panels(
    count: int, width: float = 4.6, height: float = 3.0, columns: int | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` plots of `width` x `height` inches, side by side, or so many a row."""
    columns = min(columns or count, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(rows, columns, number + 1) for number in range(count)]


def headed(figure: Figure, text: str) -> None:
    """The heading of all panels."""
    figure.suptitle(text, x=0.01, ha="left", fontsize="medium", fontweight="bold")


def epochs_across(panel: Axes) -> None:
    """Whole numbers, of a single epoch too."""
    panel.set_xlabel("epoch")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def dots(points: int) -> dict[str, Any]:
    """How a line of few points is marked: a line of one would not be seen."""
    return {"marker": MARKERS[0], "markersize": 3.0} if points < FEW else {}


def legend(figure: Figure, axes: Axes) -> None:
    """Below the panels, once for all of them; the figure grows by as many lines as it has."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        columns = 1 if max(map(len, labels)) > 40 else 2
        figure.set_figheight(figure.get_figheight() + LINE * math.ceil(len(labels) / columns))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def finish(figure: Figure, name: str, title: str, caption: str, text: str) -> Plot:
    """Both forms, titled, without a date, so that the same results make the same files."""
    headed(figure, title)
    png, svg = io.BytesIO(), io.StringIO()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, for both
    figure.savefig(png, format="png", dpi=120, metadata={"Software": None})
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Plot(slug(name), title, caption, text, png.getvalue(), svg.getvalue())


def inline(svg: str, prefix: str) -> str:
    """For a page: ids begin with `prefix`, nothing is loaded, ink has the colour of the text."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>|<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r'\b(id="|href="#|url\(#)', rf"\1{prefix}", svg)
    svg = svg.replace(INK, "currentColor").replace(f"fill: {PAPER}", "fill: none")
    return compact(svg)


def compact(svg: str) -> str:
    """Hundredths of a point are enough to place a line; text is left as it is."""
    svg = re.sub(r">\s+<", "><", svg)
    svg = re.sub(r'style="[^"]*"', lambda part: re.sub(r"([:;]) ", r"\1", part[0]), svg)
    places = r'\b(?:d|x|y|transform|width|height)="[^"]*"'
    return re.sub(places, lambda part: re.sub(r"-?\d+\.\d+", hundredths, part[0]), svg)


def hundredths(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def slug(text: str) -> str:
    """As a file's name."""
    return re.sub(r"[\W_]+", "-", text).strip("-").lower()
