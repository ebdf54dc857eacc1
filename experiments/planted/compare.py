"""SASRec and SASRec with one task, trained on the same made-up data from the same seeds."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from experiments.config.run_config import config_from_tree
from experiments.data.catalogue import locate
from experiments.metric_names import SELECTION
from experiments.planted.cases import CASES, SETTINGS
from experiments.planted.verdict import SASREC, Outcome, Verdict, verdict
from experiments.planted.worlds import WORLDS
from experiments.storage.run_folder import RunFolder
from experiments.training.train import train


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
    verdicts = []
    for task, case in cases.items():
        if case.world not in base:
            base[case.world] = trained(case.world, SASREC, {}, seeds, report)
        ours = trained(case.world, task, case.fields, seeds, report)
        verdicts.append(verdict(task, case.world, base[case.world], ours))
    return verdicts


def trained(
    world: str,
    task: str,
    fields: dict[str, Any],
    seeds: list[int],
    report: Callable[[Outcome], None],
) -> list[Outcome]:
    """One outcome for each seed."""
    outcomes = []
    for seed in seeds:
        outcomes.append(outcome(world, task, fields, seed))
        report(outcomes[-1])
    return outcomes
