"""README's table of the made-up data, from its own record (experiments/planted)."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from experiments.errors import UsageError
from experiments.planted.verdict import SASREC, Outcome, Verdict, verdict
from experiments.report.sheet import number_text, signed

FILE = "planted.jsonl"
NAME = "planted"
WORLDS = {
    "noisy_clusters": "groups of users behind noisy histories",
    "longer_histories": "the same, longer histories",
    "attributes": "rare items whose attributes name their group",
}


def outcomes(path: Path) -> list[Outcome]:
    """The record without what made it.  UsageError that names file and line."""
    names = [one.name for one in fields(Outcome) if one.name != "environment"]
    found = []
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            try:
                line = json.loads(text)
                found.append(Outcome(**{name: line[name] for name in names}))
            except (KeyError, TypeError, ValueError) as error:
                raise UsageError(
                    f"{path.name}:{number}: not a line of this record ({error!r})"
                ) from None
    return found


def verdicts(found: list[Outcome]) -> list[Verdict]:
    """One for each task, in the order of the record, paired by seed."""
    made = []
    pairs = dict.fromkeys((one.world, one.task) for one in found if one.task != SASREC)
    for world, task in pairs:
        ours, base = (sorted((one for one in found if one.world == world and one.task == name),
                             key=lambda one: one.seed) for name in (task, SASREC))  # fmt: skip
        if [one.seed for one in ours] != [one.seed for one in base]:
            raise UsageError(f"{FILE}: {task} and {SASREC} have different seeds in {world}")
        made.append(verdict(task, world, base, ours))
    return made


def planted_block(path: Path) -> str:
    """A row a task."""
    lines = [
        "| task | what is planted | SASRec | with the task | difference | p |",
        "|---|---|---|---|---|---|",
    ]
    for one in verdicts(outcomes(path)):
        numbers = [number_text(one.sasrec), number_text(one.with_task), signed(one.difference)]
        cells = [f"`{one.task}`", WORLDS.get(one.world, one.world), *numbers, number_text(one.p)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
