"""Make a line of the results from the folder of a run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.errors import one_line
from experiments.metric_names import RULES, SCORE0, VALID_NDCG10, flat
from experiments.record.hits import encode_counts, encode_hits
from experiments.record.line import COPIED, OWNERS, Values

if TYPE_CHECKING:
    from experiments.storage.run_folder import RunFolder


def finished_line(folder: RunFolder, about: Mapping[str, Any]) -> Values:
    """The line of a finished run.

    about: what the study knows of the trial: study, question, trial, variant, axes, baseline,
    command, dataset, model, seed.  Everything else is read from the run's result.json,
    history.jsonl, ranks.npz and config.yaml.  ValueError when there is no result.
    """
    result = folder.read_result()
    if result is None:
        raise ValueError(f"{folder.path}: the run is not finished")
    history = folder.read_history()
    line = {**about, "status": "finished"}
    line |= {key: result[key] for key in COPIED if key in result}
    for group in ("versions", "seconds", "targets_seen", "targets"):
        line |= {f"{group}/{name}": value for name, value in result.get(group, {}).items()}
    for split, rules in result["metrics"].items():
        line |= flat(split, rules)
    line |= best_of(history, result["best_epoch"]) | curve(history)
    line |= {f"groups/{name}": rows for name, rows in result.get("groups", {}).items()}
    if "test" in result["metrics"]:
        line |= hits(folder)
    return line | plugins(folder) | {"config": settings(folder), "finished": written(folder)}


def pruned_line(folder: RunFolder, about: Mapping[str, Any]) -> Values:
    """The line of a run that was stopped between two epochs: nothing of test.

    valid/* and best/* are those of its best epoch so far; data_sha256, features_sha256 and
    processes are those of state.pt.  ValueError when no epoch was validated.
    """
    from experiments.config.run_config import config_from_tree, config_sha256
    from experiments.storage.checkpoint import load_state
    from experiments.training.environment import commit, versions

    history = folder.read_history()
    validated = [record for record in history if VALID_NDCG10 in record]
    if not validated:
        raise ValueError(f"{folder.path}: no epoch was validated")
    state, config = load_state(folder.state), config_from_tree(folder.read_config())
    best = max(validated, key=lambda record: record[f"valid/{config.train.monitor}"])
    head, dirty = commit()
    line = {
        **about,
        "status": "pruned",
        "dataset": config.dataset,
        **{key: state[key] for key in ("data_sha256", "features_sha256", "processes")},
        "model": config.model,
        "seed": config.seed,
        "config_sha256": config_sha256(config),
        "commit": head,
        "dirty": dirty,
        "best_epoch": best["epoch"],
        "epochs": history[-1]["epoch"],
        **{f"versions/{name}": value for name, value in versions().items()},
        "seconds/train": round(sum(record["seconds"] for record in history), 3),
        **{key: value for key, value in best.items() if key.startswith("valid/")},
    }
    line |= best_of(history, best["epoch"]) | curve(history)
    return line | plugins(folder) | {"config": settings(folder), "finished": utc(time.time())}


def failed_line(about: Mapping[str, Any], error: BaseException | str) -> Values:
    """The line of a run that ended in an error: which one, and no metrics."""
    text = " ".join(str(error).split())
    if isinstance(error, BaseException):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return {**about, "status": "failed", "error": one_line(text), "finished": utc(time.time())}


def best_of(history: list[Values], epoch: int) -> Values:
    """best/<name>: what the history has of the epoch, but for validation and counters."""
    counters = ("epoch", "step", "seconds")
    return {
        f"best/{name}": rounded(value)
        for record in history
        if record["epoch"] == epoch
        for name, value in record.items()
        if name not in counters and not name.startswith("valid/")
    }


def curve(history: list[Values]) -> Values:
    """curve/*: lists with an entry for every epoch that was validated."""
    seconds = np.cumsum([record["seconds"] for record in history]).tolist()
    points = [pair for pair in zip(history, seconds, strict=True) if VALID_NDCG10 in pair[0]]
    return {
        "curve/epoch": [record["epoch"] for record, _ in points],
        "curve/seconds": [rounded(elapsed) for _, elapsed in points],
        "curve/train/loss": [rounded(record["train/loss"]) for record, _ in points],
        f"curve/{VALID_NDCG10}": [rounded(record[VALID_NDCG10]) for record, _ in points],
    }


def hits(folder: RunFolder) -> Values:
    """hits/excluded, hits/ranked and, where it was asked for, hits/score0, from ranks.npz; and
    whose they are, where a user has several."""
    with np.load(folder.ranks, allow_pickle=False) as ranks:
        rules = [rule for rule in (*RULES, SCORE0) if rule in ranks]
        users = ranks["user_ids"]
        begin = np.flatnonzero(np.append(True, users[1:] != users[:-1]))  # of each user's ranks
        counts = np.diff(begin, append=len(users))
        several = {OWNERS: encode_counts(counts)} if counts.max(initial=1) > 1 else {}
        return {f"hits/{rule}": encode_hits(ranks[rule]) for rule in rules} | several


def plugins(folder: RunFolder) -> Values:
    """The sha256 of each plug-in that the run needs, by file name; nothing where it needs none."""
    found = {Path(one["path"]).name: one["sha256"] for one in folder.read_plugins()}
    return {"plugins": found} if found else {}


def settings(folder: RunFolder) -> Values:
    """The run's configuration without where it read and reported."""
    from experiments.config.run_config import science

    return science(folder.read_config())


def rounded(value: float) -> float:
    """To six significant digits."""
    return float(f"{value:.6g}")


def written(folder: RunFolder) -> str:
    """When the run ended."""
    return utc(folder.result.stat().st_mtime)


def utc(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601, to the second."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
