"""Variants side by side, where they differ in something that is no number."""

from __future__ import annotations

from dataclasses import replace

from experiments.metric_names import TEST_NDCG10
from experiments.report.across import axes_of, mean_of, numeric_axes
from experiments.report.compare import Table
from experiments.report.style import COLOURS, INK, LINES, Plot, finish, legend, panels

BARS = 30


def has_bars(table: Table) -> bool:
    """Does anything but numbers tell the variants apart that are compared with a baseline?"""
    bases = {group.variant for group in table.baselines}
    rest = tuple(group for group in table.groups if group.variant not in bases)
    others = replace(table, groups=rest)
    return len(axes_of(others)) > len(numeric_axes(others))


def draw_bars(table: Table) -> Plot:
    """The best at the top, the baseline as a line."""
    bases = {group.variant for group in table.baselines}
    groups = [group for group in table.groups if group.variant not in bases]
    groups = sorted(groups, key=lambda group: mean_of(group, TEST_NDCG10).mean, reverse=True)
    shown = groups[:BARS]
    figure, (panel,) = panels(1, width=7.5, height=1.0 + 0.24 * len(shown))
    means = [mean_of(group, TEST_NDCG10) for group in shown]
    half = [0.0 if mean.low is None else mean.mean - mean.low for mean in means]
    place = range(len(shown), 0, -1)
    panel.barh(list(place), [mean.mean for mean in means], xerr=half, color=COLOURS[0], alpha=0.75,
               error_kw={"ecolor": INK, "capsize": 2})  # fmt: skip
    panel.set_yticks(list(place), [group.variant for group in shown])
    for group, line in zip(table.baselines, LINES, strict=False):
        base, label = mean_of(group, TEST_NDCG10).mean, f"baseline: {group.variant}"
        panel.axvline(base, color=COLOURS[1], linestyle=line, label=label)
    panel.set(xlabel="test NDCG@10, seen excluded")
    legend(figure, panel)
    caption = "Mean over seeds with its 95 % t-interval where there are three seeds or more."
    caption += f" The best {BARS} of {len(groups)}." if len(groups) > BARS else ""
    best = f"{shown[0].variant} is the best with {means[0].mean:.4f}"
    text = f"{best}, {shown[-1].variant} the last of those shown with {means[-1].mean:.4f}."
    title = f"{table.dataset}: test NDCG@10 of each variant"
    return finish(figure, f"{table.dataset}-variants", title, caption, text)
