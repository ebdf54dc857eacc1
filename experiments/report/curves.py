"""Validation while training, and what the representations look like at the best epoch."""

from __future__ import annotations

import re

from experiments.metric_names import TEST_NDCG10, VALID_NDCG10
from experiments.report.aggregate import Group
from experiments.report.compare import Table
from experiments.report.palette import Palette
from experiments.report.style import OTHER, SERIES, Plot, finish, legend, panels

SECONDS, VALID = "curve/seconds", f"curve/{VALID_NDCG10}"
ALIGNMENT = re.compile(r"best/contrast/(.+)/alignment")
OTHERS = 200  # unnamed points of a scatter


def leading(table: Table, groups: list[Group], most: int = SERIES) -> list[Group]:
    """The baseline and the best by test NDCG@10, at most so many."""
    bases = [group for group in table.baselines if group in groups][: most - 1]
    rest = [group for group in groups if group not in bases]
    rest.sort(key=lambda group: group.tested_mean(TEST_NDCG10).mean, reverse=True)
    return [*bases, *rest[: most - len(bases)]]


def with_curves(table: Table) -> list[Group]:
    return [group for group in table.groups if any(line.values.get(VALID) for line in group.lines)]


def draw_curves(table: Table, looks: Palette) -> Plot:
    """A line a seed; the seeds of a variant look alike."""
    groups = with_curves(table)
    shown = leading(table, groups)
    figure, (panel,) = panels(1, width=6.5, height=3.4)
    ends = []
    for group in shown:
        look = looks[group.variant]
        for first, line in enumerate(group.lines):
            values = line.values.get(VALID) or []
            label = None if first else group.variant
            panel.plot(line.values.get(SECONDS) or range(len(values)), values, label=label,
                       color=look.colour, linestyle=look.line, linewidth=1.1,
                       marker="." if len(values) == 1 else None)  # fmt: skip
            ends += [max(values)] if values else []
    panel.set(xlabel="seconds of training", ylabel="validation NDCG@10, seen excluded")
    legend(figure, panel)
    caption = "A line a seed."
    if len(shown) < len(groups):
        caption += f" The baseline and the best, {len(shown)} of {len(groups)} variants."
    text = f"{len(shown)} variants; validation NDCG@10 reaches {min(ends):.4f} to {max(ends):.4f}."
    title = f"{table.dataset}: validation while training"
    return finish(figure, f"{table.dataset}-curves", title, caption, text)


def tasks_measured(table: Table) -> list[str]:
    """Contrastive tasks with alignment and uniformity of two variants or more."""
    keys = dict.fromkeys(key for group in table.groups for key in group.lines[0].values)
    names = [match[1] for key in keys if (match := ALIGNMENT.fullmatch(key))]
    return [name for name in names if len(measured(table, name)) > 1]


def measured(table: Table, task: str) -> list[tuple[Group, float, float]]:
    """Each variant with its alignment and uniformity, averaged over seeds."""
    points = []
    for group in table.groups:
        parts = [group.mean(f"best/contrast/{task}/{name}") for name in ("alignment", "uniformity")]
        if parts[0] is not None and parts[1] is not None:
            points.append((group, parts[0].mean, parts[1].mean))
    return points


def draw_scatter(table: Table, task: str, looks: Palette) -> Plot:
    """Lower is better on both axes; the best variants are named."""
    points = measured(table, task)
    named = leading(table, [group for group, _, _ in points])
    figure, (panel,) = panels(1, width=6.5, height=3.4)
    rest = [point for point in points if point[0] not in named][:OTHERS]
    panel.scatter([x for _, x, _ in rest], [y for _, _, y in rest], s=8, color=OTHER, alpha=0.6)
    where = {group.variant: (x, y) for group, x, y in points}
    for group in named:
        look = looks[group.variant]
        x, y = where[group.variant]
        label = f"{group.variant} ({group.tested_mean(TEST_NDCG10).mean:.4f})"
        panel.scatter([x], [y], s=40, color=look.colour, marker=look.marker, label=label)
    panel.set(xlabel="alignment of positive pairs", ylabel="uniformity")
    legend(figure, panel)
    caption = f"Task {task}, at the best epoch, mean over seeds; test NDCG@10 in brackets."
    if rest:
        caption += f" Named: the best {len(named)} of {len(points)}; grey: {len(rest)} others."
    text = f"Alignment {min(x for _, x, _ in points):.3f} to {max(x for _, x, _ in points):.3f}, "
    text += f"uniformity {min(y for _, _, y in points):.3f} to {max(y for _, _, y in points):.3f}."
    title = f"{table.dataset}: alignment and uniformity of {task}"
    return finish(figure, f"{table.dataset}-{task}-alignment", title, caption, text)
