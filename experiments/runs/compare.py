"""Trained runs beside each other: how they differ in fields, in metrics, and user by user."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.aliases import current_tree, without_added
from experiments.config.resolve import reads
from experiments.config.run_config import science
from experiments.dotted import flattened
from experiments.errors import UsageError
from experiments.metric_names import SELECTION
from experiments.record.hits import FloatArray
from experiments.report.numbers import number_text, p_text, signed
from experiments.report.pairs import gain_of
from experiments.report.statistics import RESAMPLES, holm, resampled, two_sided
from experiments.storage.run_folder import RunFolder, existing_run
from experiments.training.integrity import existing_ranks, existing_result

ABSENT = "-"
TRIAL = re.compile(r"[0-9a-f]{16}")  # what a study calls the folder of a run
TASK = re.compile(r"(contrast\.\d+)\.")


@dataclass(frozen=True)
class Difference:
    """NDCG@10 of one run minus that of the first, over test users; seen items are excluded.

    low, high: the 95 % interval of the mean under resampling of users, for this run alone.  p:
    two-sided; how often the sum changes its sign.  p_holm: p after Holm's correction for all runs
    that are compared with the first; p where there is one.
    """

    run: str
    mean: float
    low: float
    high: float
    p: float
    p_holm: float


@dataclass(frozen=True)
class Compared:
    """What a run recorded.  name: of its folder, after its model where a study named the folder;
    the whole path where two have the same."""

    name: str
    folder: RunFolder

    @cached_property
    def tree(self) -> dict[str, Any]:
        """Its configuration, by the names that fields have now."""
        return current_tree(self.folder.read_config())

    @cached_property
    def written(self) -> dict[str, Any]:
        """Dotted fields of its configuration, as its version of the code had them."""
        return comparable_fields(self.tree)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """Those that do something: without what came later and changes nothing."""
        return comparable_fields(without_added(self.tree))

    def value(self, name: str) -> Any:
        """Of a dotted field; ABSENT where it has none or its model does not read it."""
        if not self.reads(name):
            return ABSENT
        return self.fields.get(name, self.written.get(name, ABSENT))

    def reads(self, name: str) -> bool:
        """Whether its model makes use of a dotted field."""
        return reads(self.fields["model"], name)

    @property
    def dataset(self) -> str:
        return str(self.fields["dataset"])

    @cached_property
    def result(self) -> dict[str, Any]:
        return existing_result(self.folder)

    @cached_property
    def gains(self) -> pd.Series:
        """NDCG@10 of each test user, by id: as `gains_of_users`."""
        ranks = existing_ranks(self.folder)
        return gains_of_users(ranks["user_ids"], ranks["excluded"])

    def targets(self) -> dict[str, Any]:
        """What decides whom and what it is evaluated on."""
        split = {k: v for k, v in self.fields.items() if k.split(".")[0] in ("split", "ties")}
        return {"data": self.result["data_sha256"], **split}


def gains_of_users(users: NDArray[np.str_], ranks: FloatArray) -> pd.Series:
    """NDCG@10 of each user, by id, of the ranks of targets [T] and whose they are [T].

    Where users have several targets, each user's is the sum over them, scaled so that the mean
    over users is the metric, which is the mean over targets.
    """
    of_target = gain_of(ranks)
    of_user = pd.Series(of_target, index=users).groupby(level=0, sort=True).sum()
    return of_user * (len(of_user) / len(of_target))


def comparable_fields(tree: dict[str, Any]) -> dict[str, Any]:
    """The fields of a configuration that can be compared, by their dotted names."""
    return dict(flattened(science(tree)))


def name_of(folder: RunFolder) -> str:
    """Its folder's name; a study's trial has a hash there, and is called by its model, too."""
    name = folder.path.resolve().name
    if not TRIAL.fullmatch(name):
        return name
    return f"{folder.read_config()['model']} {name[:6]}"


def opened(runs_at: Sequence[str | os.PathLike[str]]) -> list[Compared]:
    """Finished runs on the same targets, from their folders.

    Errors: UsageError for fewer than two, one that is named twice or not finished, and others'
    targets.
    """
    paths = [Path(path) for path in runs_at]
    if len(paths) < 2:
        raise UsageError("compare: name at least two runs")
    folders = [existing_run(path) for path in paths]
    places = [path.resolve() for path in paths]
    for path, place in zip(paths, places, strict=True):
        if places.count(place) > 1:
            raise UsageError(f"compare: {path} is named twice; name different runs")
    names = [name_of(folder) for folder in folders]
    runs = [
        Compared(name if names.count(name) == 1 else str(path), folder)
        for name, path, folder in zip(names, paths, folders, strict=True)
    ]
    first = runs[0]
    for run in runs[1:]:
        if run.targets() != first.targets():
            raise UsageError(
                f"{run.folder.path}: is evaluated on other targets than {first.folder.path} "
                "(another data set, version of it, split or order of ties)"
            )
    return runs


def differing_fields(runs: Sequence[Compared]) -> pd.DataFrame:
    """A row for each field that is not the same in all whose models read it, a column a run; "-"
    where there is none.

    A task that some run does not have is one row, with its kind, and one for each field in which
    the runs that have it differ.
    """
    tasks = {match[1] for run in runs for name in run.fields if (match := TASK.match(name))}
    rows: dict[str, list[Any]] = {}
    for name in dict.fromkeys(name for run in runs for name in run.fields):
        match = TASK.match(name)
        values = [run.value(name) for run in runs]
        kinds = [run.value(f"{match[1]}.task") for run in runs] if match else []
        if match and ABSENT in kinds:
            rows[match[1]] = kinds
            own = [value for value, kind in zip(values, kinds, strict=True) if kind != ABSENT]
            if name != f"{match[1]}.task" and any(value != own[0] for value in own):
                rows[name] = values
        elif name != "contrast" or not tasks:
            rows[name] = values
    return table({name: row for name, row in rows.items() if differ(name, row, runs)}, runs)


def differ(name: str, values: Sequence[Any], runs: Sequence[Compared]) -> bool:
    """Whether runs whose models read a field have several values of it."""
    read = [value for value, run in zip(values, runs, strict=True) if run.reads(name)]
    return any(value != read[0] for value in read)


def metrics(runs: Sequence[Compared]) -> pd.DataFrame:
    """A row for each metric that all have, a column a run: of test, or of validation where a run
    has not looked at test."""
    split = "test" if all("test" in run.result["metrics"] for run in runs) else "valid"
    by_run = [run.result["metrics"][split] for run in runs]
    rows = {
        f"{split}/{rule}/{name}": [values[rule][name] for values in by_run]
        for rule in by_run[0]
        for name in by_run[0][rule]
        if all(name in values.get(rule, {}) for values in by_run)
    }
    for name in ("best_epoch", "parameters"):
        rows[name] = [run.result[name] for run in runs]
    rows["seconds"] = [run.result["seconds"]["total"] for run in runs]
    return table(rows, runs)


def table(rows: dict[str, list[Any]], runs: Sequence[Compared]) -> pd.DataFrame:
    names = [run.name for run in runs]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names, dtype=object)


def differences(runs: Sequence[Compared]) -> list[Difference]:
    """Each run against the first, user by user, by a paired bootstrap; none without test ranks.

    Several runs are several tests: p_holm allows for it.
    """
    if not all("test" in run.result["metrics"] for run in runs):
        return []
    first = runs[0].gains
    found = []
    for run in runs[1:]:
        if not run.gains.index.equals(first.index):
            raise UsageError(f"{run.folder.path}: its test users are not those of {runs[0].name}")
        found.append(paired_bootstrap((run.gains - first).to_numpy()))
    corrected = holm(np.array([p for *_, p in found]))
    return [
        Difference(run.name, *one, float(p))
        for run, one, p in zip(runs[1:], found, corrected, strict=True)
    ]


def paired_bootstrap(of_user: FloatArray) -> tuple[float, float, float, float]:
    """Mean, 95 % interval and two-sided p of differences [U], by resampling users."""
    users, moved = len(of_user), np.flatnonzero(of_user)
    if not len(moved):
        return 0.0, 0.0, 0.0, 1.0
    blocks = resampled(users, len(moved), RESAMPLES, np.random.default_rng(0))
    sums = np.concatenate([counts @ of_user[moved] for counts in blocks])
    low, high = np.quantile(sums, [0.025, 0.975]) / users
    return float(of_user.mean()), float(low), float(high), float(two_sided([sums]))


def as_lines(runs: Sequence[Compared]) -> list[str]:
    """Fields, metrics and differences, as lines of text."""
    fields, values = differing_fields(runs), metrics(runs)
    shown = values.apply(lambda row: row.map(lambda value: cell(str(row.name), value)), axis=1)
    lines = ["the same fields"]
    if len(fields):
        lines = ["fields that differ:", *text_table(fields.map(str))]
    lines += ["", *text_table(shown)]
    tested = differences(runs)
    if tested:
        lines += [
            "",
            f"{SELECTION.upper()} against {runs[0].name}, by a paired bootstrap over users:",
        ]
    for one in tested:
        interval = f"[{signed(one.low)}, {signed(one.high)}]"
        lines.append(f"  {one.run}  {signed(one.mean)}  95 % {interval}  p {p_text(one.p_holm)}")
    if len(tested) > 1:
        lines.append(
            f"p: after Holm's correction for {len(tested)} comparisons; each interval is of its own"
        )
    if tested:
        lines.append("this compares trained models; methods need several seeds: `run.py study`")
    return lines


def text_table(frame: pd.DataFrame) -> list[str]:
    texts: list[str] = frame.to_string().splitlines()
    return [f"  {line.rstrip()}" for line in texts]


def cell(name: str, value: Any) -> str:
    """Of a row of metrics: four digits, of seconds one."""
    if name == "seconds":
        return f"{value:.1f}"
    return number_text(value) if isinstance(value, float) else str(value)


def as_json(runs: Sequence[Compared]) -> dict[str, Any]:
    """The same, for programs."""
    return {
        "runs": [str(run.folder.path) for run in runs],
        "fields": differing_fields(runs).to_dict(orient="index"),
        "metrics": metrics(runs).to_dict(orient="index"),
        "ndcg@10 against the first": [asdict(one) for one in differences(runs)],
    }
