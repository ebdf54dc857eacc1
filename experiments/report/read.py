"""The record as it stands in experiments/results: a JSON object a line, a line a trial."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.errors import UsageError
from experiments.report.shape import misshapen

FloatArray = NDArray[np.float64]
REPOSITORY = Path(__file__).parents[2]
RESULTS = REPOSITORY / "experiments" / "results"
TEXTS = ("study", "trial", "status", "variant", "dataset")
STATUSES = ("finished", "pruned", "failed")
MEASURED = ("valid/", "test/")
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
        part = config.get("next_item")
        name = part.get("loss") if isinstance(part, dict) else part
        return name if isinstance(name, str) else None

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
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    try:
        found = json.loads(first) if first.strip() else None
    except ValueError:
        return True
    return isinstance(found, dict) and "study" in found


def read_record(path: Path) -> list[Line]:
    """Every line, in the order of the file.  UsageError that names file and line."""
    lines = []
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            lines.append(parse(text, f"{path.name}:{number}"))
    return lines


def parse(text: str | bytes, where: str) -> Line:
    """One line of the record; `where` is named when it is not one."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{where}: not a JSON object ({error})") from None
    if not isinstance(values, dict):
        raise UsageError(f"{where}: not a JSON object, but {type(values).__name__}")
    for key in TEXTS:
        if not isinstance(values.get(key), str):
            raise UsageError(f"{where}: {key!r} has to be a text, got {values.get(key)!r}")
    if type(values.get("seed")) is not int:
        raise UsageError(f"{where}: 'seed' has to be an integer, got {values.get('seed')!r}")
    if values["status"] not in STATUSES:
        raise UsageError(f"{where}: 'status' is {values['status']!r}; known: {', '.join(STATUSES)}")
    for key, value in values.items():
        if key.startswith(MEASURED) and not is_measured(value):
            raise UsageError(f"{where}: {key!r} has to be a finite number, got {value!r}")
    if problem := misshapen(values):
        raise UsageError(f"{where}: {problem}")
    study, trial, status, variant, dataset = (values[key] for key in TEXTS)
    seed, baseline, axes = values["seed"], values.get("baseline"), values.get("axes") or {}
    return Line(study, trial, status, variant, dataset, seed, baseline, axes, values)


def is_measured(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
