"""Refuse files of a run that are damaged, replaced, or of another run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.checkpoint import content_sha256, file_sha256, load_state
from experiments.config import settings_sha256, tree_sha256
from experiments.errors import UsageError
from experiments.run_folder import RunFolder


def finished_result(folder: RunFolder) -> dict[str, Any] | None:
    """result.json, if the run is finished with as many epochs as config.yaml says; else None.

    A run whose epochs were raised keeps the result of fewer until it has a new one.
    Errors: UsageError where result.json, or a file whose hash it has, is not what was written.
    """
    if not folder.result.exists():
        return None
    result = read_result(folder.result)
    check_settings(folder, folder.result, result)
    if result["config_sha256"] != tree_sha256(folder.read_config()):
        return None
    for name, sha256 in result["files_sha256"].items():
        check_file(folder.path / name, sha256, folder.result)
    return result


def read_result(path: Path) -> dict[str, Any]:
    """A result.json; UsageError for one that was changed since, or that has no hash of itself."""
    try:
        result = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not a result of a run ({type(error).__name__})") from None
    if not isinstance(result, dict) or "sha256" not in result:
        raise UsageError(
            f"{path}: not a result of a run, or one of an older version without hashes"
        )
    written = {key: value for key, value in result.items() if key != "sha256"}
    if result["sha256"] != content_sha256(written):
        raise UsageError(f"{path}: damaged (its contents are not those that were saved)")
    return result


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
    """UsageError when config.yaml is not what the record at `path` was made with."""
    if record.get("settings_sha256") != settings_sha256(folder.read_config()):
        raise UsageError(f"{folder.config}: not the configuration that {path.name} was made with")


def check_file(path: Path, sha256: str, record: Path) -> None:
    """UsageError when a file is not the one that the record has the hash of."""
    if not path.is_file():
        raise UsageError(f"{path}: is missing")
    if file_sha256(path) != sha256:
        raise UsageError(f"{path}: damaged or of another run ({record.name} has another sha256)")
