"""SASRec and SASRec with one task, trained on the same made-up data from the same seeds."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import ttest_rel

from experiments.config import config_from_tree
from experiments.data.catalogue import locate
from experiments.planted.cases import CASES, SETTINGS, Case
from experiments.planted.worlds import WORLDS
from experiments.run_folder import RunFolder
from experiments.train import SELECTION, train

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


def outcome(world: str, task: str, fields: dict[str, Any], seed: int) -> Outcome:
    """Train once, in a folder that is gone afterwards."""
    contrast = [] if task == SASREC else [{"task": task, **fields}]
    config = config_from_tree({**SETTINGS, "dataset": world, "seed": seed, "contrast": contrast})
    with tempfile.TemporaryDirectory() as name, redirect_stdout(io.StringIO()):
        folder = Path(name)
        WORLDS[world](seed).write(folder, world)
        result = train(config, locate(world, folder), RunFolder(folder / "run"), resume=False)
    test = result["metrics"]["test"]["excluded"]
    kept = ("commit", "dirty", "versions", "device", "config_sha256", "data_sha256")
    environment = {key: result[key] for key in kept}
    epoch = int(result["best_epoch"])
    return Outcome(world, task, fields, seed, test[SELECTION], test["hr@10"], epoch, environment)


def compare(
    tasks: Iterable[str], seeds: Iterable[int], report: Callable[[Outcome], None]
) -> list[Verdict]:
    """A verdict for each task; SASRec is trained once for each world and seed.

    report: told every outcome as it comes.
    """
    seeds = list(seeds)
    cases = {task: CASES[task] for task in tasks}
    base: dict[str, list[Outcome]] = {}
    found = []
    for task, case in cases.items():
        if case.world not in base:
            base[case.world] = trained(case.world, SASREC, {}, seeds, report)
        ours = trained(case.world, task, case.fields, seeds, report)
        found.append(verdict(task, case, base[case.world], ours))
    return found


def trained(
    world: str,
    task: str,
    fields: dict[str, Any],
    seeds: list[int],
    report: Callable[[Outcome], None],
) -> list[Outcome]:
    """One outcome for each seed."""
    found = []
    for seed in seeds:
        found.append(outcome(world, task, fields, seed))
        report(found[-1])
    return found


def verdict(task: str, case: Case, base: list[Outcome], ours: list[Outcome]) -> Verdict:
    """The pairs are those of one seed: same world, same initial weights, same order of data."""
    assert [one.seed for one in base] == [one.seed for one in ours]
    without, with_task = [one.ndcg for one in base], [one.ndcg for one in ours]
    p = float(ttest_rel(with_task, without).pvalue)
    return Verdict(task, case.world, float(np.mean(without)), float(np.mean(with_task)), p)


def table(verdicts: list[Verdict]) -> str:
    """A row a task."""
    lines = [f"{'task':<16}{'world':<16}{'SASRec':>8}{'with task':>11}{'difference':>12}{'p':>9}"]
    lines += [
        f"{v.task:<16}{v.world:<16}{v.sasrec:8.4f}{v.with_task:11.4f}{v.difference:+12.4f}{v.p:9.4f}"
        for v in verdicts
    ]
    return "\n".join(lines)


def as_record(one: Outcome) -> dict[str, Any]:
    """One line of the record."""
    tree = asdict(one)
    return {**{key: tree[key] for key in tree if key != "environment"}, **one.environment}
