"""Tables of the subjects that stand side by side, for a terminal."""

from __future__ import annotations

from experiments.bench.compare import seconds_per_target
from experiments.bench.subject import Measured


def figure_table(figures: dict[str, Measured]) -> str:
    """A row a subject: step, epoch, targets a second, evaluation, preparation, memory."""
    lines = [
        f"{'':<36}{'step ms':>9}{'epoch s':>9}{'targets/s':>11}{'evaluate s':>12}"
        f"{'prepare s':>11}{'peak MB':>9}"
    ]
    for name, m in figures.items():
        evaluate = "-" if m.evaluate_seconds is None else f"{m.evaluate_seconds:.1f}"
        lines.append(
            f"{name:<36}{m.step_seconds * 1e3:9.1f}{m.step_seconds * m.steps:9.1f}"
            f"{1 / seconds_per_target(m):11.0f}{evaluate:>12}{m.prepare_seconds:11.1f}"
            f"{m.peak_mb:9.0f}"
        )
    return "\n".join(lines)


def rate_table(figures: dict[str, Measured]) -> str:
    """A row for each of our subjects: what its products reach, and could reach."""
    lines = [f"{'':<36}{'in the step':>12}{'alone':>9}{'share of step':>15}"]
    for name, m in figures.items():
        if m.product_seconds:
            reached, alone = (
                m.product_flops / s / 1e9 for s in (m.step_seconds, m.product_seconds)
            )
            share = m.product_seconds / m.step_seconds
            lines.append(f"{name:<36}{reached:12.0f}{alone:9.0f}{share:15.0%}")
    return "\n".join(lines)


def share_table(figures: dict[str, Measured]) -> str:
    """A row for each of our subjects: where a step's time goes."""
    ours = {name: m for name, m in figures.items() if m.shares}
    parts = list(next(iter(ours.values())).shares)
    lines = [f"{'':<36}" + "".join(f"{part:>14}" for part in parts)]
    for name, m in ours.items():
        lines.append(f"{name:<36}" + "".join(f"{m.shares[part]:14.0%}" for part in parts))
    return "\n".join(lines)
