"""How far each variant is from its baseline: a row each, a dot a seed."""

from __future__ import annotations

import textwrap

from experiments.metric_names import TEST_NDCG10
from experiments.report.aggregate import Group
from experiments.report.compare import Comparison, Table
from experiments.report.pairs import paired
from experiments.report.palette import REST, Palette
from experiments.report.style import OTHER, Plot, finish, panels

ROWS = 30
NAME = 30  # letters of a name on one line


def of_seeds(table: Table, group: Group) -> list[float]:
    """Test NDCG@10, variant minus baseline, of each seed that both have."""
    base = table.group(table.comparisons[group.variant].baseline)
    assert base is not None
    both = [[line.values[TEST_NDCG10] for line in pair] for pair in paired(group, base)]
    return [ours - theirs for ours, theirs in both]


def draw_dots(table: Table, looks: Palette) -> Plot:
    """A diamond is the mean, a line its interval, the vertical line the baseline."""
    pairs, alike = table.ranked, table.alike
    shown = alike[:ROWS]
    names = [textwrap.fill(named(*pair), NAME) for pair in shown]
    tall = max(name.count("\n") for name in names)
    figure, (panel,) = panels(1, width=7.5, height=1.1 + (0.24 + 0.13 * tall) * len(shown))
    panel.axvline(0.0, color=OTHER, linewidth=1.2)
    for place, (group, comparison) in enumerate(shown):
        colour = looks.get(group.variant, REST).colour
        if comparison.interval is not None:
            panel.plot(comparison.interval, [-place] * 2, color=colour, linewidth=1.6)
        seeds = of_seeds(table, group)
        panel.plot(seeds, [-place] * len(seeds), color=colour, marker="o", markersize=3.5,
                   linestyle="none", alpha=0.6)  # fmt: skip
        panel.plot([comparison.difference], [-place], color=colour, marker="D", markersize=6)
    panel.set_yticks(range(0, -len(shown), -1), names)
    panel.set_ylim(-len(shown) + 0.4, 0.6)
    bases = list(dict.fromkeys(comparison.baseline for _, comparison in pairs))
    against = bases[0] if len(bases) == 1 else "the baseline"
    panel.set(xlabel=f"test NDCG@10 minus that of {against}, seen items excluded")
    caption = "Diamond: mean; dot: a seed minus the baseline's of that seed; line: 95 % "
    caption += "t-interval where there are three seeds or more; *: significant."
    caption += f" The best {ROWS} of {len(alike)}." if len(alike) > ROWS else ""
    if others := [group.variant for group, _ in pairs if group not in (one for one, _ in alike)]:
        caption += f" Not drawn, as they have another next-item loss: {', '.join(others)}."
    (best, most), (last, least) = shown[0], shown[-1]
    text = f"{best.variant} has the highest difference, {most.difference:+.4f}"
    text += f", {last.variant} the lowest of those shown, {least.difference:+.4f}."
    title = f"{table.dataset}: difference of test NDCG@10 from {against}"
    return finish(figure, f"{table.dataset}-differences", title, caption, text)


def named(group: Group, comparison: Comparison) -> str:
    other = "" if comparison.loss else " (other loss)"
    return f"{group.variant}{other}{' *' if comparison.significant else ''}"
