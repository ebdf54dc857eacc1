"""Refuse files of a run that are damaged, replaced, or of another run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.config.run_config import settings_sha256, tree_sha256
from experiments.errors import UsageError
from experiments.storage.checkpoint import load_state
from experiments.storage.hashing import file_sha256
from experiments.storage.run_folder import RunFolder


def finished_result(folder: RunFolder) -> dict[str, Any] | None:
    """result.json, if the run is finished with as many epochs as config.yaml says; else None.

    A run whose epochs were raised keeps the result of fewer until it has a new one.
    Errors: UsageError where result.json, or a file whose hash it has, is not what was written.
    """
    result = folder.read_result()
    if result is None:
        return None
    check_settings(folder, folder.result, result)
    if result["config_sha256"] != tree_sha256(folder.read_config()):
        return None
    for name, sha256 in result["files_sha256"].items():
        check_file(folder.path / name, sha256, folder.result)
    return result


def existing_result(folder: RunFolder) -> dict[str, Any]:
    """The same.  Errors: UsageError where there is none, or it is of fewer epochs."""
    result = finished_result(folder)
    if result is None:
        raise UsageError(f"{folder.path}: no result yet; finish the run with --resume")
    return result


def existing_ranks(folder: RunFolder) -> dict[str, NDArray[Any]]:
    """The arrays of ranks.npz, by name.

    Errors: as `existing_result`, which knows the file's hash; UsageError where there is none.
    """
    existing_result(folder)
    if not folder.ranks.is_file():
        raise UsageError(f"{folder.path}: has no ranks of test users (evaluate.test)")
    with np.load(folder.ranks, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def record_of(folder: RunFolder) -> tuple[Path, dict[str, Any]]:
    """What says which data and settings the weights are of: result.json, or state.pt before that.

    Errors: UsageError when there is neither, or when they or the weights are not as written.
    """
    result = finished_result(folder)
    if result is not None:
        return folder.result, result
    if not folder.state.is_file():
        raise UsageError(f"{folder.path}: no result yet; finish the run with --resume")
    state = load_state(folder.state)
    check_settings(folder, folder.state, state)
    check_file(folder.weights, state["progress"]["weights_sha256"], folder.state)
    return folder.state, state


def check_settings(folder: RunFolder, path: Path, record: dict[str, Any]) -> None:
    """UsageError when config.yaml is not what the file at `path` was made with."""
    if record.get("settings_sha256") != settings_sha256(folder.read_config()):
        raise UsageError(f"{folder.config}: not the configuration that {path.name} was made with")


def check_file(path: Path, sha256: str, record: Path) -> None:
    """UsageError when a file is not the one whose hash is recorded."""
    if not path.is_file():
        raise UsageError(f"{path}: is missing")
    if file_sha256(path) != sha256:
        raise UsageError(f"{path}: damaged or of another run ({record.name} has another sha256)")
