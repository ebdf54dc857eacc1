"""Experiments: what is run and recorded.

In Python: `from experiments import load_run, train` (docs/python.md).  Both are imported when
they are asked for, so that the command line stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.runs.trained import TrainedRun, load_run
    from experiments.runs.training import train

__all__ = ["TrainedRun", "load_run", "train"]
PLACES = {
    "load_run": "experiments.runs.trained",
    "TrainedRun": "experiments.runs.trained",
    "train": "experiments.runs.training",
}


def __getattr__(name: str) -> Any:
    if name in PLACES:
        return getattr(import_module(PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
