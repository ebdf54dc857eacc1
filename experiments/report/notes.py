"""What stands under a table: how to read it, and what is not in it."""

from __future__ import annotations

from experiments.evaluation.metric_names import VALID_NDCG10
from experiments.record.line import Line
from experiments.report.aggregate import tally
from experiments.report.compare import LEVEL, Table
from experiments.report.published import Published
from experiments.report.statistics import RESAMPLES
from experiments.training.device_name import is_cpu

BOLD = "Bold: the best mean of a column."
ERRORS = 5  # different errors that are listed


def notes(table: Table) -> list[str]:
    """Sentences, each of them true of this table."""
    lines = [line for group in table.groups for line in group.lines]
    return [
        *reading(table),
        *seen(lines),
        *origins(lines),
        *searched(table),
        *unfinished(table),
    ]


def published_notes(others: list[Published]) -> list[str]:
    """Under whose protocol the numbers of others stand."""
    if not others:
        return []
    sources = dict.fromkeys(f"{one.method} with {one.next_item}: {one.source}" for one in others)
    said = [
        "Published rows stand under the seen-item rule that they were measured with, and name "
        f"their next-item loss; they were not run again here. Sources: {'; '.join(sources)}."
    ]
    if any("score 0" in one.notes for one in others):
        said.append("score 0: seen items are not taken out of the ranking, but get the score 0.")
    return said


def reading(table: Table) -> list[str]:
    """How the numbers were made."""
    said = []
    if any(len(group.lines) > 1 for group in table.groups):
        said.append("Mean ± standard deviation over seeds.")
    if len(table.groups) > 1:
        said.append(BOLD)
    if table.comparisons:
        said.append(
            "Differences of test NDCG@10, seen items excluded, from the baseline of the same seed, "
            "with 95 % t-interval and Cohen's d_z over seeds; p: paired bootstrap over users "
            f"({RESAMPLES:,} resamples) of NDCG@10 averaged over seeds, corrected by Holm."
        )
        said.append(
            f"* marks a claim: the interval excludes 0, p < {LEVEL:.2f}, and both have the same "
            "next-item loss."
        )
    compared = list(table.comparisons.values())
    if any(one.interval is None for one in compared):
        said.append("One seed: no interval, and no claim is made.")
    if any(not one.loss for one in compared):
        said.append(
            "Other loss: variant and baseline do not learn with the same next-item loss; no claim."
        )
    fewer = [
        group
        for group in table.groups
        if (found := table.comparisons.get(group.variant)) is not None
        and len(found.seeds) < len(group.lines)
    ]
    if fewer:
        said.append(
            f"Variants with seeds that their baseline lacks: {len(fewer)}; differences are over "
            "the seeds that both have."
        )
    lost = [one for one in table.groups if one.baseline and one.variant not in table.comparisons]
    for name, count in tally(str(one.baseline) for one in lost):
        said.append(f"Variants without comparison: {count}, as {name} has none of their seeds.")
    return said


def seen(lines: list[Line]) -> list[str]:
    repeats = lines[0].number("targets_seen/test") if lines else None
    if not repeats:
        return []
    users = lines[0].number("users") or 0.0
    return [
        f"{repeats:,.0f} of {users:,.0f} test items were seen before: misses where seen items "
        "are excluded."
    ]


def origins(lines: list[Line]) -> list[str]:
    """Where not all lines were made by the same code, on the same machine."""
    said = []
    commits = tally(str(line.values.get("commit") or "unknown")[:7] for line in lines)
    if len(commits) > 1:
        parts = ", ".join(f"{name} ({count})" for name, count in commits)
        said.append(f"Trials of different versions of the code: {parts}.")
    dirty = sum(bool(line.values.get("dirty")) for line in lines)
    if dirty:
        said.append(f"Trials of code with changes that were not committed: {dirty}.")
    devices = tally(str(line.values.get("device") or "unknown") for line in lines)
    if len(devices) > 1:
        parts = ", ".join(f"{name} ({count})" for name, count in devices)
        said.append(f"Trained on different devices, whose seconds differ: {parts}.")
    if len({is_cpu(name) for name, _ in devices}) > 1:
        said.append(
            "Of the same seed a GPU draws other dropout and views than a CPU; initial weights and "
            "batches are the same. What the device itself adds to a difference is not separated."
        )
    return said


def searched(table: Table) -> list[str]:
    """A search chooses by validation; its trials have no row of their own."""
    found = [(one.number(VALID_NDCG10) or 0.0, one.variant) for one in table.searched]
    if not found:
        return []
    best, variant = max(found)
    return [
        f"Trials of a search, which looked at validation alone: {len(found)}; the best has "
        f"NDCG@10 {best:.4f} there ({variant})."
    ]


def unfinished(table: Table) -> list[str]:
    said = []
    if table.pruned:
        said.append(f"Pruned trials, which were stopped early, without test: {len(table.pruned)}.")
    if table.failed:
        errors = tally(str(line.values.get("error") or "no reason given") for line in table.failed)
        parts = [f"{error} ({count})" for error, count in errors[:ERRORS]]
        rest = len(errors) - len(parts)
        parts += [f"and {rest} other errors"] if rest > 0 else []
        said.append(f"Failed trials: {len(table.failed)}; {'; '.join(parts)}.")
    return said
