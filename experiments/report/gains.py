"""Whom a variant helps: its gain by length of the history and by popularity of the item."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.metric_names import SELECTION
from experiments.report.aggregate import Group, Mean, mean_of
from experiments.report.compare import Table
from experiments.report.curves import leading
from experiments.report.pairs import paired
from experiments.report.palette import Palette
from experiments.report.style import OTHER, SERIES, Plot, finish, legend, panels

BY = {
    "groups/length": "items in the training history",
    "groups/popularity": "training interactions of the test item",
}
METRIC = f"excluded/{SELECTION}"


def bucket(group: dict[str, Any]) -> str:
    """ "1-4", "5", "21+"."""
    low, high = group["from"], group["to"]
    if high is None:
        return f"{low}+"
    return str(low) if low == high else f"{low}-{high}"


def gains(table: Table, group: Group, key: str) -> dict[str, Mean]:
    """{bucket: variant minus baseline over paired seeds}; empty where either has no groups."""
    base = table.group(table.comparisons[group.variant].baseline)
    assert base is not None
    differences: dict[str, list[float]] = {}
    for ours, theirs in paired(group, base):
        before = {bucket(row): row[METRIC] for row in theirs.values.get(key) or []}
        for row in ours.values.get(key) or []:
            if bucket(row) in before and row["users"]:
                differences.setdefault(bucket(row), []).append(row[METRIC] - before[bucket(row)])
    means = {name: mean_of(np.array(values)) for name, values in differences.items()}
    return {name: mean for name, mean in means.items() if mean is not None}


def with_groups(table: Table) -> list[Group]:
    compared = [group for group in table.groups if group.variant in table.comparisons]
    return [group for group in compared if any(group.lines[0].values.get(key) for key in BY)]


def draw_gains(table: Table, looks: Palette) -> Plot:
    """One panel a way of grouping."""
    groups = with_groups(table)
    shown = leading(table, groups)
    figure, both = panels(len(BY))
    said = []
    for panel, (key, label) in zip(both, BY.items(), strict=True):
        panel.axhline(0.0, color=OTHER, linewidth=1.2)
        for number, group in enumerate(shown):
            gain, look = gains(table, group, key), looks[group.variant]
            half = [mean.half_width for mean in gain.values()]
            where = np.arange(len(gain)) + 0.04 * (number - (len(shown) - 1) / 2)
            panel.errorbar(
                where, [mean.mean for mean in gain.values()], yerr=half,
                label=group.variant, color=look.colour, marker=look.marker,
                markersize=4.5, linestyle=look.line, linewidth=1.1,
            )  # fmt: skip
            if number == 0:
                panel.set_xticks(range(len(gain)), list(gain))
                parts = [f"{name}: {mean.mean:+.4f}" for name, mean in gain.items()]
                said.append(f"{group.variant} by {label}: {', '.join(parts)}")
        panel.set(xlabel=label, ylabel="NDCG@10 minus baseline's")
    legend(figure, both[0])
    caption = "Difference of test NDCG@10, seen excluded, from the baseline of the same seed; mean "
    caption += "over seeds with its 95 % t-interval where there are three or more."
    caption += f" The best {SERIES} of {len(groups)} variants." if len(groups) > SERIES else ""
    title = f"{table.dataset}: gain by length of history and by popularity of the item"
    return finish(figure, f"{table.dataset}-gains", title, caption, "; ".join(said) + ".")
