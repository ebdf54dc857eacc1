"""Beside W&B: a CSV file and TensorBoard's event files, in a run's folder."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from experiments.errors import UsageError

Record = Mapping[str, float]


class Logger(Protocol):
    """Told every epoch's record, those before a resume too, and then the test metrics."""

    def log(self, record: Record) -> None: ...

    def close(self) -> None: ...


class CsvLogger:
    """history.csv: a row an epoch, a column for each name that any epoch has."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "history.csv"
        self.rows: list[Record] = []

    def log(self, record: Record) -> None:
        """Written whole each time: an epoch may bring columns that none before it had."""
        if "epoch" not in record:  # the test metrics, of no epoch: they are in result.json
            return
        self.rows.append(record)
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        self.path.write_text(text.getvalue(), encoding="utf-8")

    def close(self) -> None:
        """Nothing is open."""


class TensorBoardLogger:
    """tensorboard/: every number of an epoch at its step, from the first epoch on."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        for before in (folder / "tensorboard").glob("events.out.tfevents*"):
            before.unlink()  # of what is told again
        self.writer: Any = SummaryWriter(str(folder / "tensorboard"))
        self.step = 0

    def log(self, record: Record) -> None:
        self.step = int(record.get("step", self.step))
        for name, value in record.items():
            if name not in ("epoch", "step"):
                self.writer.add_scalar(name, value, self.step)

    def close(self) -> None:
        self.writer.close()


class Loggers:
    """Several at once; one that fails says so once, and training goes on."""

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        made = {"csv": CsvLogger, "tensorboard": TensorBoardLogger}
        self.open: dict[str, Logger] = {}
        for name in names:
            self._attempt(name, lambda name=name: self.open.update({name: made[name](folder)}))

    def log(self, record: Record) -> None:
        for name, logger in list(self.open.items()):
            self._attempt(name, lambda logger=logger: logger.log(record))

    def close(self) -> None:
        for name, logger in list(self.open.items()):
            self._attempt(name, logger.close)
        self.open = {}

    def _attempt(self, name: str, call: Any) -> None:
        try:
            call()
        except Exception as error:
            self.open.pop(name, None)
            reason = " ".join(str(error).split())
            line = f"{name}: {type(error).__name__}: {reason}; the run itself goes on"
            print(line, file=sys.stderr)


def check_installed(names: Sequence[str]) -> None:
    """UsageError where a logger that is asked for needs a package that is not there."""
    if "tensorboard" in names and find_spec("tensorboard") is None:
        raise UsageError("track.also: tensorboard is not installed; pip install -e .[tensorboard]")
