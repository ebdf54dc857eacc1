"""What was found with and without a task, as the results have it, and whether it differs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from experiments.aliases import current_task

SASREC = "sasrec"


@dataclass(frozen=True)
class Outcome:
    """One training: the test split, looked at once, by the epoch that validation picked.

    task: what was added to SASRec, with its fields; "sasrec" and none for SASRec itself.
    seed: of the world and of the training.
    """

    world: str
    task: str
    fields: dict[str, Any]
    seed: int
    ndcg: float
    hr: float
    best_epoch: int
    environment: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """Test NDCG@10 over the seeds, and the two-sided paired t-test of their differences."""

    task: str
    world: str
    sasrec: float
    with_task: float
    p: float

    @property
    def difference(self) -> float:
        return self.with_task - self.sasrec


def verdict(task: str, world: str, base: list[Outcome], ours: list[Outcome]) -> Verdict:
    """The pairs are those of one seed: same world, same initial weights, same order of data."""
    from scipy.stats import ttest_rel

    assert [outcome.seed for outcome in base] == [outcome.seed for outcome in ours]
    without, with_task = [outcome.ndcg for outcome in base], [outcome.ndcg for outcome in ours]
    p = float(ttest_rel(with_task, without).pvalue)
    return Verdict(task, world, float(np.mean(without)), float(np.mean(with_task)), p)


def table(verdicts: list[Verdict]) -> str:
    """A row a task."""
    lines = [f"{'task':<16}{'world':<16}{'SASRec':>8}{'with task':>11}{'difference':>12}{'p':>9}"]
    lines += [
        f"{v.task:<16}{v.world:<16}{v.sasrec:8.4f}{v.with_task:11.4f}{v.difference:+12.4f}{v.p:9.4f}"
        for v in verdicts
    ]
    return "\n".join(lines)


def outcome_of(line: dict[str, Any]) -> Outcome:
    """From a line of the results, without what made it; tasks and fields by their present names.

    Errors: KeyError, TypeError or ValueError for what is no such line.
    """
    names = [field.name for field in fields(Outcome) if field.name != "environment"]
    task = current_task({**line["fields"], "task": line["task"]})
    name = task.pop("task")
    return Outcome(**{**{key: line[key] for key in names}, "task": name, "fields": task})


def as_record(outcome: Outcome) -> dict[str, Any]:
    """One line of the results."""
    tree = asdict(outcome)
    return {**{key: tree[key] for key in tree if key != "environment"}, **outcome.environment}
