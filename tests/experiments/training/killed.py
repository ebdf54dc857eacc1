"""Trainings that kill themselves at a chosen point, each in a process that was forked.

python -m tests.experiments.training.killed DATA FOLDER POINT,POINT,...,0 ...
Each list is a run on DATA/planted.txt, into FOLDER/0, FOLDER/1 and so on.  Each of its points is
a training, restarted as a user would, that is killed (SIGKILL) at that point; 0 is one that is
left alone, but lists its points.  Prints a line for each: where it ended, after how many points.
Forking from a process that has imported everything, but computed nothing, saves the imports.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch._dynamo  # torch's optimisers import it at their first use, for a second  # noqa: F401

import experiments.evaluation.ranking as evaluation
from experiments.cli.main import main
from experiments.data.batches import TrainingBatches
from experiments.storage.run_folder import RunFolder
from experiments.training import loop, resume, run
from experiments.training import train as training
from experiments.training.optimizer import Optimizer
from tests.experiments.small_data import FAST

FIELDS = ("--model=cl4srec", "--epochs=3", "--contrast.0.operators=[crop, mask]", *FAST)
WATCHED: list[tuple[Any, str]] = [
    (run, "load"),
    (run, "build_model"),
    (loop, "train_epoch"),
    (run, "evaluate"),
    (resume, "save_weights"),
    (resume, "save_state"),
    (training, "write_result"),
    (evaluation, "count_ranks"),
    (TrainingBatches, "epoch"),
    (Optimizer, "descend"),
    (RunFolder, "claim"),
    (RunFolder, "write_config"),
    (RunFolder, "append_history"),
    (RunFolder, "keep_history"),
    (os, "fsync"),
    (os, "replace"),
    (Path, "mkdir"),
    (Path, "unlink"),
    (Path, "write_bytes"),
]


class Points:
    """Counts points, and kills the process at the one that is `fatal`."""

    def __init__(self, fatal: int, report: int) -> None:
        self.fatal, self.report, self.passed = fatal, report, 0
        self.names: list[str] = []

    def reach(self, name: str, last: Callable[[], object] = lambda: None) -> None:
        """A point; `last` is what the process still does when it dies here."""
        self.passed += 1
        self.names.append(name)
        if self.passed == self.fatal:
            last()
            self.tell(name)
            os.kill(os.getpid(), signal.SIGKILL)

    def tell(self, name: str) -> None:
        names = [] if self.fatal else self.names
        os.write(self.report, f"{' '.join([name, str(self.passed), *names])}\n".encode())

    def watch(self, owner: Any, name: str) -> None:
        """Make a point before and after each call, and for writes one in their midst."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def watched(*arguments: Any, **options: Any) -> Any:
            self.reach(f"before:{name}")
            if name == "write_bytes":
                path, content = arguments
                self.reach("half:write_bytes", lambda: half_written(path, bytes(content)))
            if name == "append_history":
                history = arguments[0].history
                self.reach("half:append_history", lambda: half_appended(history))
            result = original(*arguments, **options)
            self.reach(f"after:{name}")
            return result

        setattr(owner, name, watched)


def half_written(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content[: len(content) // 2])


def half_appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'{"epoch": 1, "step"')


def trained(data: Path, out: Path, fatal: int) -> str:
    """The line that a forked training reports."""
    read, report = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        points = Points(fatal, report)
        for owner, name in WATCHED:
            points.watch(owner, name)
        place = ["--dataset", "planted", "--data-dir", str(data), "--out", str(out), *FIELDS]
        resume = (out / "config.yaml").exists()
        code = main(["train", "--out", str(out), "--resume"] if resume else ["train", *place])
        points.tell("finished" if code == 0 else f"failed-{code}")
        os._exit(code)
    os.close(report)
    with os.fdopen(read) as told:
        line = told.read().strip()
    os.waitpid(child, 0)
    return line


if __name__ == "__main__":
    for number, chain in enumerate(sys.argv[3:]):
        for point in chain.split(","):
            out = Path(sys.argv[2]) / str(number)
            print(number, trained(Path(sys.argv[1]), out, int(point)), flush=True)
