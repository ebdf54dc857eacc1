"""Which plots the results have the numbers for, and whom each tells apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from experiments.report.across import EACH, draw_across, numeric_axes, series
from experiments.report.compare import Table
from experiments.report.curves import (
    draw_curves,
    draw_scatter,
    leading,
    measured,
    tasks_measured,
    with_curves,
)
from experiments.report.dots import draw_dots
from experiments.report.gains import draw_gains, with_groups
from experiments.report.heat import draw_heat, grid
from experiments.report.palette import Palette, palette
from experiments.report.style import SERIES, Plot, styled

AXES = 8  # of one data set that get a plot of their own


def plots(table: Table, looks: Palette | None = None) -> list[Plot]:
    """Every plot of one study and data set that can be drawn.

    looks: of all tables of a page, so that a variant looks alike on it; this table's by default.
    """
    if not table.groups:
        return []
    looks = looks_of([table]) if looks is None else looks
    with styled():
        drawn = [draw_dots(table, looks)] if table.comparisons else []
        drawn += [] if (both := grid(table)) is None else [draw_heat(table, both)]
        drawn += [draw_across(table, axis, looks) for axis in numeric_axes(table)[:AXES]]
        drawn += [draw_curves(table, looks)] if with_curves(table) else []
        drawn += [draw_scatter(table, task, looks) for task in tasks_measured(table)]
        drawn += [draw_gains(table, looks)] if with_groups(table) else []
    return drawn


def looks_of(tables: Iterable[Table]) -> Palette:
    """One look for each variant, and for each series of a curve, of all these tables."""
    return palette(names for table in tables for names in told_apart(table))


def told_apart(table: Table) -> Iterator[list[str]]:
    """For each plot of a table, the names that it gives a colour, and its baselines' names."""
    bases = [group.variant for group in table.baselines][:SERIES]
    shown = [with_curves(table), with_groups(table)]
    for task in tasks_measured(table):
        shown.append([group for group, _, _ in measured(table, task)])
    for groups in shown:
        yield [*bases, *(group.variant for group in leading(table, groups))]
    for axis in numeric_axes(table)[:AXES]:
        yield [*bases, *(name for name in list(series(table, axis))[:SERIES] if name != EACH)]
