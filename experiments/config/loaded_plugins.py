"""The plug-ins of this process, and those that a run was trained with."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.errors import UsageError
from experiments.storage.hashing import file_sha256
from experiments.storage.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class LoadedPlugin:
    """name: as it was given.  path: its file.  What it added: classes, and names of data sets."""

    name: str
    path: Path
    sha256: str
    classes: frozenset[type]
    datasets: frozenset[str]


LOADED: dict[Path, LoadedPlugin] = {}


def is_file_name(name: str) -> bool:
    """Whether a plug-in is named by its file, not as a module."""
    return name.endswith(".py") or "/" in name


def note_loaded(name: str, path: Path, classes: Iterable[type], datasets: Iterable[str]) -> None:
    path = path.absolute()
    LOADED[path] = LoadedPlugin(
        name, path, file_sha256(path), frozenset(classes), frozenset(datasets)
    )


def used_by(config: Any) -> list[dict[str, str]]:
    """The plug-ins without which a run's configuration would not be understood."""
    kinds = {type(part) for part in parts(config)}
    return [
        {"name": plugin.name, "path": str(plugin.path), "sha256": plugin.sha256}
        for plugin in LOADED.values()
        if plugin.classes & kinds or config.dataset in plugin.datasets
    ]


def parts(value: Any) -> Iterator[Any]:
    """A dataclass and all that lie in it."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from parts(item)
    elif dataclasses.is_dataclass(value):
        yield value
        for field in dataclasses.fields(value):
            yield from parts(getattr(value, field.name))


def not_loaded(sha256s: Mapping[str, str]) -> list[str]:
    """Those of some plug-ins, {file name: sha256}, that are not loaded in that version."""
    loaded = {plugin.sha256 for plugin in LOADED.values()}
    return [name for name, sha256 in sha256s.items() if sha256 not in loaded]


def check_plugins(folder: RunFolder, unchanged: bool) -> None:
    """UsageError where a run's plug-in is not loaded.

    unchanged: also where it is another version of it; else one line of note.
    """
    for record in folder.read_plugins():
        name, path, sha256 = record["name"], Path(record["path"]), record["sha256"]
        if any(plugin.sha256 == sha256 for plugin in LOADED.values()):
            continue
        trained = f"{folder.path}: was trained with --plugin {name} (sha256 {sha256[:12]}...)"
        other = next((one for one in LOADED.values() if one.path.name == path.name), None)
        if other is None:
            kept = os.path.isfile(path) and file_sha256(path) == sha256
            given = path if is_file_name(name) else name
            where = f"add --plugin {given}" if kept else f"{path} is gone or has changed"
            raise UsageError(f"{trained}; {where}")
        told = f"{trained}, and this one is another version (sha256 {other.sha256[:12]}...)"
        if unchanged:
            raise UsageError(f"{told}; load that version, or start another run in another folder")
        print(f"note: {told}", file=sys.stderr)
