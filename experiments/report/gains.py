"""Whom a variant helps: its gain by length of the history and by popularity of the item."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.evaluation.metric_names import SELECTION
from experiments.report.aggregate import Group, Mean, mean_of
from experiments.report.compare import Table, paired
from experiments.report.curves import leading
from experiments.report.style import COLOURS, LINES, MARKERS, SERIES, Plot, finish, legend, panels

BY = {
    "groups/length": "items in the training history",
    "groups/popularity": "training interactions of the test item",
}
METRIC = f"excluded/{SELECTION}"


def bucket(one: dict[str, Any]) -> str:
    """ "1-4", "5", "21+"."""
    low, high = one["from"], one["to"]
    if high is None:
        return f"{low}+"
    return str(low) if low == high else f"{low}-{high}"


def gains(table: Table, group: Group, key: str) -> dict[str, Mean]:
    """{bucket: variant minus baseline over paired seeds}; empty where either has no groups."""
    base = table.group(table.comparisons[group.variant].baseline)
    assert base is not None
    found: dict[str, list[float]] = {}
    for ours, theirs in paired(group, base):
        before = {bucket(one): one[METRIC] for one in theirs.values.get(key) or []}
        for one in ours.values.get(key) or []:
            if bucket(one) in before and one["users"]:
                found.setdefault(bucket(one), []).append(one[METRIC] - before[bucket(one)])
    return {name: mean for name, some in found.items() if (mean := mean_of(np.array(some)))}


def with_groups(table: Table) -> list[Group]:
    compared = [group for group in table.groups if group.variant in table.comparisons]
    return [group for group in compared if any(group.lines[0].values.get(key) for key in BY)]


def draw_gains(table: Table) -> Plot:
    """One panel a way of grouping."""
    groups = with_groups(table)
    shown = leading(table, groups)
    figure, both = panels(len(BY))
    said = []
    for panel, (key, label) in zip(both, BY.items(), strict=True):
        panel.axhline(0.0, color="#8c8c8c", linewidth=1.2)
        for number, group in enumerate(shown):
            found = gains(table, group, key)
            half = [0.0 if one.low is None else one.mean - one.low for one in found.values()]
            where = np.arange(len(found)) + 0.04 * (number - (len(shown) - 1) / 2)
            panel.errorbar(
                where, [one.mean for one in found.values()], yerr=half, capsize=2,
                label=group.variant, color=COLOURS[number], marker=MARKERS[number],
                markersize=4.5, linestyle=LINES[number],
            )  # fmt: skip
            if number == 0:
                panel.set_xticks(range(len(found)), list(found))
                parts = [f"{name}: {one.mean:+.4f}" for name, one in found.items()]
                said.append(f"{group.variant} by {label}: {', '.join(parts)}")
        panel.set(xlabel=label, ylabel="NDCG@10 minus baseline's")
    legend(figure, both[0])
    caption = "Difference of test NDCG@10, seen excluded, from the baseline of the same seed; mean "
    caption += "over seeds with its 95 % t-interval where there are two or more."
    caption += f" The best {SERIES} of {len(groups)} variants." if len(groups) > SERIES else ""
    title = f"{table.dataset}: gain by length of history and by popularity of the item"
    return finish(figure, f"{table.dataset}-gains", title, caption, "; ".join(said) + ".")
