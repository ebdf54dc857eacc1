"""How long a study's trials will take, from the results of similar ones."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from statistics import median

import torch

from experiments.aliases import current_tree
from experiments.record.line import Values, is_number
from experiments.record.results_file import read_lines, study_files
from experiments.study.plan import Trial
from experiments.training.device_name import is_cpu

Seconds = dict[str, tuple[float, float]]
"""By data set, model and examples: seconds an epoch, epochs of a training."""


def timings(results: Path, own: dict[str, Values]) -> Seconds:
    """Medians over the finished trials of all results in a folder, and of a study's own.

    A GPU's times tell nothing of a machine without one, and the other way round; nor do lines that
    lack what they are found by, or a time.
    """
    on_cpu = not torch.cuda.is_available()
    committed = [line for path in study_files(results).values() for line in read_lines(path)]
    by_key: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for line in [*own.values(), *(line.values for line in committed)]:
        examples = current_tree(line.get("config") or {}).get("examples")
        epochs, seconds = line.get("epochs"), line.get("seconds/total")
        if line["status"] != "finished" or is_cpu(str(line.get("device"))) != on_cpu:
            continue
        if is_number(epochs) and is_number(seconds):
            key = f"{line['dataset']} {line.get('model')} {examples}"
            by_key[key].append((seconds / max(epochs, 1), max(epochs, 1)))
    return {
        key: (median(seconds for seconds, _ in times), median(epochs for _, epochs in times))
        for key, times in by_key.items()
    }


def estimate(trial: Trial, known: Seconds) -> float | None:
    """Seconds; None where no similar run is known.

    Similar: same data set, model and examples.  As many epochs as these had, within the limit.
    """
    if trial.similar not in known:
        return None
    seconds, epochs = known[trial.similar]
    return seconds * min(epochs, trial.epochs)


def clock(seconds: float) -> str:
    """45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
