"""Trials that need not be trained, as their results exist: under an older id, or in another study.

A field is added with a default that leaves everything as it was.  So what was recorded without it
is what today's code resolves with that default, under another id: the line gets that id.  And a
trial's id is that of its configuration and data: what one study has trained, its baseline most of
all, is what another one would train.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from experiments.config.loaded_plugins import not_loaded
from experiments.config.run_config import config_from_tree, config_sha256, config_tree, science
from experiments.errors import UsageError
from experiments.record.line import Values
from experiments.record.results_file import ResultsFile
from experiments.study.plan import Trial, about, identity
from experiments.study.spec import Study


def adopt(results: ResultsFile, trials: list[Trial], search: bool = False) -> int:
    """Bring the lines of planned trials up to today's fields; returns how many.

    search: and all others, as what a search has suggested is known from its lines alone.
    """
    renewed = renewable(results.lines(), trials, search)
    if renewed:
        results.replace(renewed)
    return len(renewed)


def relabel(results: ResultsFile, trials: list[Trial]) -> int:
    """Have the lines of planned trials, and of their other seeds, say what the study says of them
    now; returns how many."""
    lines = results.lines()
    renewed = relabelled(lines, [*trials, *other_seeds(lines, trials)])
    if renewed:
        results.replace(renewed)
    return len(renewed)


def renewable(
    lines: Mapping[str, Values], trials: list[Trial], search: bool = False
) -> dict[str, Values]:
    """{an older id: its line as of today} of all that `adopt` brings up to date."""
    planned = {trial.id for trial in trials}
    missing = planned - lines.keys()
    old = [line for trial, line in lines.items() if trial not in planned]
    return {
        line["trial"]: new
        for line in old
        if (new := today(line)) is not None
        and (new["trial"] in missing or (search and new["trial"] not in lines))
    }


def relabelled(lines: Mapping[str, Values], trials: list[Trial]) -> dict[str, Values]:
    """Lines whose variant has another label, other axes or another baseline by now.

    A study that gets a baseline, or varies one more field, trains the same trials as before.
    """
    renewed = {}
    for trial in trials:
        if (line := lines.get(trial.id)) is not None:
            now = about(line["study"], line.get("question") or "", trial)
            if any(line.get(key) != now[key] for key in ("variant", "axes", "baseline")):
                renewed[trial.id] = {**line, **now}
    return renewed


def other_seeds(lines: Mapping[str, Values], trials: list[Trial]) -> list[Trial]:
    """The trials of lines that differ from planned ones in the seed alone, which the study had."""
    planned, seeds = {trial.id: trial for trial in trials}, {trial.seed for trial in trials}
    found = []
    for name, line in lines.items():
        repeated = [today(line, seed) for seed in seeds] if name not in planned else []
        twins = (planned.get(new["trial"]) for new in repeated if new is not None)
        if twin := next(filter(None, twins), None):
            sha256 = line.get("config_sha256", twin.config_sha256)
            found.append(replace(twin, id=name, seed=line["seed"], config_sha256=sha256))
    return found


def reuse_trials(
    results: ResultsFile, study: Study, trials: list[Trial], others: Iterable[Path]
) -> int:
    """Add planned trials that other studies have finished; returns how many.

    others: their results.  Such a line says in `of` which study trained it.  Those of a plug-in
    are of the version that is loaded.
    """
    missing = {trial.id: trial for trial in trials if trial.id not in results.lines()}
    finished = finished_elsewhere(missing, others)
    return sum(
        results.append({**line, **about(study.name, study.question, missing[trial])})
        for trial, line in finished.items()
    )


def finished_elsewhere(trials: Iterable[str], others: Iterable[Path]) -> dict[str, Values]:
    """The lines of these trials in other studies, as of today."""
    missing = set(trials)
    finished = {}
    for path in others if missing else ():
        for line in ResultsFile(path).lines().values():
            own = line["status"] == "finished" and not not_loaded(line.get("plugins", {}))
            new = today(line) if own else None
            if new is not None and new["trial"] in missing:
                missing.remove(new["trial"])
                finished[new["trial"]] = {"of": line["study"], **new}
    return finished


def today(line: Values, seed: int | None = None) -> Values | None:
    """A line with today's configuration and id; None where its fields mean nothing any more.

    seed: in the place of its own.
    """
    if not line.get("config") or "data_sha256" not in line:
        return None
    try:
        config = config_from_tree(line["config"])
    except UsageError:
        return None
    config = config if seed is None else replace(config, seed=seed)
    sha256 = config_sha256(config)
    trial = identity(sha256, line["data_sha256"], line.get("features_sha256") or {})
    return {**line, "trial": trial, "config_sha256": sha256, "config": science(config_tree(config))}
