"""What every preset costs: its epoch as a multiple of SASRec's."""

from __future__ import annotations

from statistics import median

from experiments.bench.subject import Measured, Subject

BASE = "sasrec"


def preset_subjects(names: list[str]) -> dict[str, Subject]:
    """Every preset on the same examples, SASRec first."""
    ordered = [BASE, *(name for name in names if name != BASE)]
    return {name: Subject(name, "prefixes", evaluate=False) for name in ordered}


def epoch_seconds(measured: Measured) -> float:
    """An epoch with what is mined as it starts."""
    return measured.start_seconds + measured.step_seconds * measured.steps


def multiples(measured: dict[str, list[Measured]]) -> dict[str, float]:
    """Each preset's epoch over SASRec's of the same round: the median over the rounds."""
    base = [epoch_seconds(measured) for measured in measured[BASE]]
    return {name: round(median(ratios_to(base, rounds)), 2) for name, rounds in measured.items()}


def ratios_to(base: list[float], rounds: list[Measured]) -> list[float]:
    """Round by round."""
    return [epoch_seconds(m) / seconds for m, seconds in zip(rounds, base, strict=True)]


def preset_table(measured: dict[str, list[Measured]]) -> str:
    """A row a preset."""
    lines = [f"{'':<16}{'step ms':>9}{'mine s':>8}{'epoch s':>9}{'x SASRec':>10}"]
    times = multiples(measured)
    for name, rounds in measured.items():
        step = median(m.step_seconds for m in rounds) * 1e3
        start = median(m.start_seconds for m in rounds)
        epoch = median(epoch_seconds(m) for m in rounds)
        lines.append(f"{name:<16}{step:9.1f}{start:8.1f}{epoch:9.1f}{times[name]:10.2f}")
    return "\n".join(lines)
