"""Trials that were recorded before the configuration had all the fields it has today.

A field is added with a default that leaves everything as it was.  So what was recorded without it
is what today's code resolves with that default, under another id: the line gets that id, and its
trial is not trained again.
"""

from __future__ import annotations

from experiments.config import config_from_tree, config_sha256, config_tree, science
from experiments.errors import UsageError
from experiments.study.plan import Trial, identity
from experiments.study.record import Line, Record


def adopt(record: Record, trials: list[Trial]) -> int:
    """Bring the lines of planned trials up to date; returns how many."""
    lines = record.lines()
    planned = {trial.id for trial in trials}
    missing = planned - lines.keys()
    old = [line for trial, line in lines.items() if trial not in planned]
    renewed = {
        line["trial"]: new for line in old if (new := today(line)) and new["trial"] in missing
    }
    if renewed:
        record.replace(renewed)
    return len(renewed)


def today(line: Line) -> Line | None:
    """A line with today's configuration and id; None where its fields mean nothing any more."""
    if not line.get("config") or "data_sha256" not in line:
        return None
    try:
        config = config_from_tree(line["config"])
    except UsageError:
        return None
    sha256 = config_sha256(config)
    trial = identity(sha256, line["data_sha256"], line.get("features_sha256") or {})
    return {**line, "trial": trial, "config_sha256": sha256, "config": science(config_tree(config))}
