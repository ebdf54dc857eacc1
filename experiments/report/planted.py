"""The table of the made-up data, from its own results (experiments/planted)."""

from __future__ import annotations

import json
from pathlib import Path

from experiments.errors import UsageError
from experiments.planted.verdict import SASREC, Outcome, Verdict, outcome_of, verdict
from experiments.report.numbers import number_text, signed
from experiments.report.pipe_table import pipe_table

FILE = "planted.jsonl"
NAME = "planted"
COLUMNS = ("task", "what is planted", "SASRec", "with the task", "difference", "p")
WORLDS = {
    "noisy_clusters": "groups of users behind noisy histories",
    "longer_histories": "the same, longer histories",
    "attributes": "rare items whose attributes name their group",
}


def outcomes(path: Path) -> list[Outcome]:
    """The lines without what made them.  UsageError that names file and line."""
    read = []
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            try:
                line = json.loads(text)
                read.append(outcome_of(line))
            except (KeyError, TypeError, ValueError) as error:
                raise UsageError(
                    f"{path.name}:{number}: not a line of these results ({error!r})"
                ) from None
    return read


def verdicts(read: list[Outcome]) -> list[Verdict]:
    """One for each task, in the order of the lines, paired by seed."""
    made = []
    pairs = dict.fromkeys(
        (outcome.world, outcome.task) for outcome in read if outcome.task != SASREC
    )
    for world, task in pairs:
        ours, base = (of_task(read, world, name) for name in (task, SASREC))
        if [outcome.seed for outcome in ours] != [outcome.seed for outcome in base]:
            raise UsageError(f"{FILE}: {task} and {SASREC} have different seeds in {world}")
        made.append(verdict(task, world, base, ours))
    return made


def of_task(read: list[Outcome], world: str, task: str) -> list[Outcome]:
    """By seed."""
    chosen = [outcome for outcome in read if (outcome.world, outcome.task) == (world, task)]
    return sorted(chosen, key=lambda outcome: outcome.seed)


def planted_block(path: Path) -> str:
    """A row a task."""
    return pipe_table(COLUMNS, map(cells, verdicts(outcomes(path))))


def cells(row: Verdict) -> list[str]:
    numbers = [number_text(row.sasrec), number_text(row.with_task), signed(row.difference)]
    return [f"`{row.task}`", WORLDS.get(row.world, row.world), *numbers, number_text(row.p)]
