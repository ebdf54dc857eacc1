"""Which plots the results have the numbers for."""

from __future__ import annotations

from experiments.report.across import draw_across, numeric_axes
from experiments.report.bars import draw_bars, has_bars
from experiments.report.compare import Table
from experiments.report.curves import draw_curves, draw_scatter, tasks_measured, with_curves
from experiments.report.gains import draw_gains, with_groups
from experiments.report.style import Plot, styled

AXES = 8  # of one data set that get a plot of their own


def plots(table: Table) -> list[Plot]:
    """Every plot of one study and data set that can be drawn."""
    if not table.groups:
        return []
    with styled():
        drawn = [draw_across(table, axis) for axis in numeric_axes(table)[:AXES]]
        drawn += [draw_bars(table)] if has_bars(table) else []
        drawn += [draw_curves(table)] if with_curves(table) else []
        drawn += [draw_scatter(table, task) for task in tasks_measured(table)]
        drawn += [draw_gains(table)] if with_groups(table) else []
    return drawn
