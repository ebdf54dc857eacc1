"""The record as it stands in experiments/results: a JSON object a line, a line a trial."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.errors import UsageError
from experiments.record.check import TEXTS, check_line
from experiments.storage.files import REPOSITORY

FloatArray = NDArray[np.float64]
RESULTS = REPOSITORY / "experiments" / "results"
UNLEARNT = ("popularity", "repeat-last")
SELECTED = "test/excluded/ndcg@10"


@dataclass(frozen=True)
class Line:
    """One trial.  values: everything that its line says."""

    study: str
    trial: str
    status: str
    variant: str
    dataset: str
    seed: int
    baseline: str | None
    axes: dict[str, Any]
    values: dict[str, Any]

    @property
    def tested(self) -> bool:
        """Has it looked at the test split?  Trials of a search have not."""
        return self.status == "finished" and SELECTED in self.values

    @property
    def loss(self) -> str | None:
        """The name of the next-item loss; None where the configuration does not say.

        A model that learns by none has one in its configuration all the same, unread; RecBole's
        models have theirs, cross-entropy unless they are told.
        """
        config = self.values.get("config") or {}
        model = str(config.get("model"))
        if model in UNLEARNT:
            return None
        if model.startswith("recbole:"):
            own = (config.get("recbole") or {}).get("loss_type", "CE")
            return "cross_entropy" if own == "CE" else f"recbole {own}"
        name = self.next_item.get("loss") or config.get("next_item")
        return name if isinstance(name, str) else None

    @property
    def next_item(self) -> dict[str, Any]:
        """The fields of the next-item loss in the configuration; none where it is a bare name."""
        part = (self.values.get("config") or {}).get("next_item")
        return part if isinstance(part, dict) else {}

    def number(self, key: str) -> float | None:
        value = self.values.get(key)
        return float(value) if isinstance(value, (int, float)) else None


def study_files(results: Path) -> dict[str, Path]:
    """{study: its record}, by the path below `results`; other records are left out."""
    paths = sorted(results.rglob("*.jsonl"), key=lambda path: (len(path.parts), path))
    named = {path.relative_to(results).with_suffix("").as_posix(): path for path in paths}
    return {name: path for name, path in named.items() if is_study(path)}


def is_study(path: Path) -> bool:
    """Do its lines name a study?  A first line that cannot be read is reported when it is read."""
    with path.open("rb") as file:
        first = file.readline()
    try:
        found = json.loads(first) if first.strip() else None
    except (ValueError, RecursionError):
        return True
    return isinstance(found, dict) and "study" in found


def read_record(path: Path) -> list[Line]:
    """Every whole line, in the order of the file.  UsageError that names file and line.

    A last line without its end, whose writer writes or was killed, is left out, aloud.
    """
    *texts, torn = path.read_bytes().split(b"\n")
    if torn:
        print(f"note: {path}: the last line has no end and is left out", file=sys.stderr)
    return [parse(text, f"{path.name}:{number}") for number, text in enumerate(texts, 1)]


def parse(text: str | bytes, where: str) -> Line:
    """One line of the record; `where` is named when it is not one."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not a JSON object ({error})") from None
    check_line(values, where)
    study, trial, status, variant, dataset = (values[key] for key in TEXTS)
    seed, baseline, axes = values["seed"], values.get("baseline"), values.get("axes") or {}
    return Line(study, trial, status, variant, dataset, seed, baseline, axes, values)
