"""Operators and tasks from a file outside the repository."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from augment import OPERATORS
from experiments.errors import UsageError
from models.tasks import TASKS

CATALOGUES: dict[str, dict[str, Any]] = {"OPERATORS": OPERATORS, "TASKS": TASKS}


def load_plugin(path: Path) -> None:
    """Run a Python file and add its OPERATORS and TASKS dicts to the catalogues.

    It runs with your rights: name only files you trust.  UsageError when it does not load,
    declares nothing, or takes a name that is taken.
    """
    module = load_module(path)
    found = {name: getattr(module, name) for name in CATALOGUES if hasattr(module, name)}
    if not found:
        raise UsageError(f"--plugin {path}: declares neither OPERATORS nor TASKS")
    for catalogue, entries in found.items():
        for name, cls in entries.items():
            taken = CATALOGUES[catalogue].setdefault(name, cls)
            if taken is not cls and taken.__module__ != cls.__module__:
                raise UsageError(f"--plugin {path}: {catalogue} has a {name!r} already")
            CATALOGUES[catalogue][name] = cls


def load_module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"plugin_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UsageError(f"--plugin {path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"--plugin {path}: {type(error).__name__}: {reason}") from error
    return module
