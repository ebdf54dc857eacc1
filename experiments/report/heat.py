"""A grid of two fields as a heat map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import nan
from typing import TYPE_CHECKING, Any

from experiments.metric_names import TEST_NDCG10
from experiments.record.labels import short_names, shown
from experiments.record.line import is_number
from experiments.report.across import axes_of, values_of
from experiments.report.compare import Table
from experiments.report.numbers import number_text
from experiments.report.style import Plot, finish, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 12  # rows or columns
COLOURS = "cividis"
DARK, LIGHT = "#101010", "#fdfdfd"  # letters in a cell, whatever the page's own ink is


@dataclass(frozen=True)
class Grid:
    """Mean test NDCG@10 of each pair of values of two fields.

    across, down: the field and its values, in order.  cells: by (column, row).
    """

    across: tuple[str, list[Any]]
    down: tuple[str, list[Any]]
    cells: dict[tuple[int, int], float]


def grid(table: Table) -> Grid | None:
    """None where the variants that are compared do not vary in exactly two fields, or have less
    than half of the pairs of their values."""
    bases = {group.variant for group in table.baselines}
    rest = replace(table, groups=tuple(g for g in table.groups if g.variant not in bases))
    axes = axes_of(rest)
    if table.searched or len(axes) != 2:
        return None
    values = {axis: distinct(values_of(rest, axis)) for axis in axes}
    down, across = sorted(axes, key=lambda axis: len(values[axis]))  # the longer one lies
    cells = {}
    for group in rest.groups:
        own = group.lines[0].axes
        if not {across, down} <= own.keys():
            return None
        place = (values[across].index(own[across]), values[down].index(own[down]))
        if place in cells:
            return None
        cells[place] = group.tested_mean(TEST_NDCG10).mean
    whole = len(values[across]) * len(values[down])
    if 2 * len(cells) < whole or len(values[across]) > MOST:
        return None
    return Grid((across, values[across]), (down, values[down]), cells)


def distinct(values: list[Any]) -> list[Any]:
    """Each once, numbers by size, others in the order of the study."""
    found = [value for number, value in enumerate(values) if value not in values[:number]]
    return sorted(found) if all(map(is_number, found)) else found


def draw_heat(table: Table, grid: Grid) -> Plot:
    """Each cell with its number."""
    names = short_names([grid.across[0], grid.down[0]])
    columns, rows = ([shown(value) for value in side[1]] for side in (grid.across, grid.down))
    wide = max(map(len, columns))
    figure, (panel,) = panels(1, width=max(6.0, 0.9 * len(columns) + 2.0),
                              height=1.4 + 0.35 * len(rows) + 0.05 * min(wide, 30))  # fmt: skip
    field = [[grid.cells.get((x, y), nan) for x in range(len(columns))] for y in range(len(rows))]
    mesh = panel.pcolormesh(field, cmap=COLOURS, edgecolors="none")
    panel.set_xticks([x + 0.5 for x in range(len(columns))], columns)
    if wide > 12:
        panel.tick_params("x", labelrotation=20)
    panel.set_yticks([y + 0.5 for y in range(len(rows))], rows)
    panel.grid(visible=False)
    panel.invert_yaxis()
    panel.set(xlabel=names[grid.across[0]], ylabel=names[grid.down[0]])
    label(panel, grid, mesh.norm.vmin, mesh.norm.vmax)
    (bx, by), best = max(grid.cells.items(), key=lambda cell: cell[1])
    (wx, wy), worst = min(grid.cells.items(), key=lambda cell: cell[1])
    text = f"Highest, {best:.4f}, at {columns[bx]} and {rows[by]}; "
    text += f"lowest, {worst:.4f}, at {columns[wx]} and {rows[wy]}"
    bases = "; ".join(
        f"baseline {group.variant} {group.tested_mean(TEST_NDCG10).mean:.4f}"
        for group in table.baselines
    )
    caption = f"Mean over seeds{f'; {bases}' if bases else ''}. Bright is high."
    title = f"{table.dataset}: test NDCG@10, seen items excluded"
    return finish(figure, f"{table.dataset}-grid", title, caption, f"{text}.")


def label(panel: Axes, grid: Grid, low: float | None, high: float | None) -> None:
    """The number of each cell, in letters that can be read on its colour."""
    middle = ((low or 0.0) + (high or 0.0)) / 2
    for (x, y), value in grid.cells.items():
        color = DARK if value > middle else LIGHT
        panel.text(x + 0.5, y + 0.5, number_text(value), ha="center", va="center", color=color)
