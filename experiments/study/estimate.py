"""How long a study's trials will take, from the results of similar ones."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

import torch

from experiments.aliases import current_tree
from experiments.errors import UsageError
from experiments.record.line import Values, is_number, workload
from experiments.record.results_file import study_files
from experiments.study.plan import Trial
from experiments.training.device_name import is_cpu, without_threads
from experiments.training.environment import device_name

Seconds = dict[str, tuple[float, float]]
"""By `workload`: seconds an epoch, epochs of a training."""


def timings(results: Path, own: dict[str, Values]) -> Seconds:
    """Medians over the finished trials of all results in a folder, and of a study's own.

    A GPU's times tell nothing of a machine without one, and the other way round.  Incomplete and
    damaged lines are skipped; `run.py report` names them.
    """
    paths = study_files(results).values()
    texts = [text for path in paths for text in path.read_bytes().splitlines()]
    return medians([*own.values(), *map(json_object, texts)])


def json_object(text: bytes) -> Values:
    """A line's values, unchecked; none where it is damaged."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def medians(lines: Iterable[Values]) -> Seconds:
    """Of the finished ones that were trained on the kind of device that is here.

    Processors differ much: of a workload that this one has trained, only its own times count;
    of another, those of all.
    """
    on_cpu = not torch.cuda.is_available()
    here = without_threads(device_name(torch.device("cpu")))
    alike: dict[str, list[tuple[float, float]]] = defaultdict(list)
    same: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for line in lines:
        device = str(line.get("device"))
        epochs, seconds = line.get("epochs"), line.get("seconds/total")
        if line.get("status") != "finished" or is_cpu(device) != on_cpu:
            continue
        if is_number(epochs) and is_number(seconds):
            key, time = workload_of(line), (seconds / max(epochs, 1), max(epochs, 1))
            alike[key].append(time)
            if without_threads(device) == here:
                same[key].append(time)
    return {
        key: (median(seconds for seconds, _ in times), median(epochs for _, epochs in times))
        for key, times in {**alike, **same}.items()
    }


def workload_of(line: Values) -> str:
    """By the names that fields have now; None for a field that the line does not tell."""
    config = line.get("config")
    try:
        tree = current_tree(config if isinstance(config, dict) else {})
    except UsageError:  # it has both names of a field
        tree = {}
    encoder = tree.get("encoder")
    fields = encoder if isinstance(encoder, dict) else {}
    return workload(line.get("dataset"), line.get("model"), tree.get("examples"), fields)


def estimate(trial: Trial, known: Seconds) -> float | None:
    """Seconds; None where no similar run is known.

    Similar: same data set, model, examples, width and layers.  As many epochs as these had, within
    the limit.
    """
    if trial.similar not in known:
        return None
    seconds, epochs = known[trial.similar]
    return seconds * min(epochs, trial.epochs)


def time_left(
    left: list[Trial], own: Iterable[Values], elsewhere: Callable[[], Seconds]
) -> float | None:
    """Seconds that trials will take here, one after the other, once some are finished.

    A similar trial of this study tells best: it had this machine, and whoever else works on it.
    Then a similar one of the committed results, times what this machine has needed for theirs;
    then this study's own median.  None where nothing of this study is finished.
    elsewhere: gives the committed ones, where they are asked for.
    """
    here = medians(own)
    if not here:
        return None
    others = {trial.similar for trial in left} - here.keys()
    committed = elsewhere() if others else {}
    paces = [here[key][0] / committed[key][0] for key in here.keys() & committed.keys()]
    pace = median(paces) if paces else 1.0
    usual = median(seconds * epochs for seconds, epochs in here.values())
    total = 0.0
    for trial in left:
        known = estimate(trial, here)
        if known is None and (there := estimate(trial, committed)) is not None:
            known = there * pace
        total += usual if known is None else known
    return total
