"""`run.py study --again`: does a line of the results come out once more?"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from experiments.errors import RunFailed, UsageError
from experiments.metric_names import SELECTION, TEST_NDCG10, VALID_NDCG10, metric_key
from experiments.record.from_run import finished_line
from experiments.record.line import Values
from experiments.storage.files import REPOSITORY
from experiments.storage.run_folder import RunFolder, as_yaml
from experiments.study.launch import pinned

RANDOM = ""
SAME = ("valid/", "test/", "hits/", "best_epoch", "epochs", "curve/valid/", "curve/epoch")
"""What a training must give again: metrics, ranks and the whole course of validation."""


def again(lines: Iterable[Values], trial: str, options: list[str], threads: int) -> None:
    """Train a trial of the results from its own configuration, and compare.

    trial: its id, or RANDOM for any that was tested.  options: of `train`, for the place of the
    data and plug-ins.  Errors: UsageError for a trial that is not
    among the lines, RunFailed where something is not the same.
    """
    line = chosen([line for line in lines if TEST_NDCG10 in line], trial)
    print(
        f"{line['trial']}: {line['variant']} on {line['dataset']}, seed {line['seed']}", flush=True
    )
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        file = Path(folder) / "config.yaml"
        file.write_text(as_yaml(line["config"]), encoding="utf-8")
        train(["--config", str(file), "--out", str(run.path), *options], threads)
        new = finished_line(run, {})
    different = differences(line, new)
    if different:
        raise RunFailed(
            f"{line['trial']}: not the same: {'; '.join(different)}{elsewhere(line, new)}"
        )
    print(f"the same: {', '.join(told(line))}, and {line['users']:,} users' ranks")


def chosen(lines: list[Values], trial: str) -> Values:
    matching = [line for line in lines if trial in (RANDOM, line["trial"])]
    if not matching:
        what = "no finished trial" if trial == RANDOM else f"no finished trial {trial!r}"
        raise UsageError(f"--again: {what} is in the results")
    return random.choice(matching)


def train(options: list[str], threads: int) -> None:
    """As anybody would, in a process of its own."""
    command = [sys.executable, str(REPOSITORY / "run.py"), "train", *options]
    command.append("--track.mode=disabled")
    if subprocess.run(command, env={**os.environ, **pinned(threads)}).returncode:
        raise RunFailed("the training failed; what it said is above")


def differences(line: Values, new: Values) -> list[str]:
    """Each figure that is not the same, with both values."""
    keys = [key for key in line if key.startswith(SAME)]
    return [
        f"{key} was {short(line[key])}, is {short(new.get(key))}"
        for key in keys
        if line[key] != new.get(key)
    ]


def elsewhere(line: Values, new: Values) -> str:
    """Where the line was made, if that is why it does not come out."""
    if line["device"] == new["device"]:
        return ""
    return f"; made on {line['device']}, this is {new['device']}: they need not agree"


def short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def told(line: Values) -> list[str]:
    names = (VALID_NDCG10, TEST_NDCG10, metric_key("test", "ranked", SELECTION))
    return [f"{name} {line[name]:.6f}" for name in names if name in line]
