"""The files of a run: who may write there, and what they are called."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from experiments.errors import UsageError
from experiments.storage.atomic import write_bytes, writing
from experiments.storage.files import REPOSITORY, plain_name
from experiments.storage.hashing import content_sha256, file_sha256
from experiments.storage.lock import NAME as LOCK
from experiments.storage.yaml_file import read_tree

PLUGIN_FIELDS = ("name", "path", "sha256")


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds one run: config, plug-ins, history, result, weights, state,
    ranks, curves, wandb."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def history(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def weights(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def state(self) -> Path:
        return self.path / "state.pt"

    @property
    def ranks(self) -> Path:
        return self.path / "ranks.npz"

    @property
    def plugins(self) -> Path:
        return self.path / "plugins.json"

    @property
    def curves(self) -> Path:
        return self.path / "curves.svg"

    def check_free(self) -> None:
        """UsageError when something is already there, but for what a killed start leaves."""
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise UsageError(f"--out {self.path}: is a file, and a run needs a folder")
        if any(map(counts, self.path.iterdir())):
            more = ", or add --resume to continue the run in it" if self.config.exists() else ""
            raise UsageError(
                f"--out {self.path}: is not empty; choose another folder or name{more}"
            )

    def claim(self, tree: dict[str, Any]) -> None:
        """Write config.yaml, which makes the folder a run's; UsageError where there is one.

        Hold the folder's lock: of two runs that try, one gets it.
        """
        if self.config.exists():
            raise UsageError(f"--out {self.path}: another run was started there")
        self.write_config(tree)

    def read_config(self) -> dict[str, Any]:
        return read_tree(self.config)

    def write_config(self, tree: dict[str, Any]) -> None:
        write_bytes(self.config, as_yaml(tree).encode())

    def write_plugins(self, records: list[dict[str, str]]) -> None:
        """Name, path and sha256 of each plug-in that the configuration needs; none, no file."""
        if records:
            write_bytes(self.plugins, (json.dumps(records, indent=1) + "\n").encode())

    def read_plugins(self) -> list[dict[str, str]]:
        """What was written.  Errors: UsageError for a file that holds something else."""
        if not self.plugins.is_file():
            return []
        try:
            records: list[dict[str, str]] = json.loads(self.plugins.read_bytes())
            if all(isinstance(one[key], str) for one in records for key in PLUGIN_FIELDS):
                return records
        except (ValueError, RecursionError, TypeError, KeyError):
            pass
        raise UsageError(f"{self.plugins}: damaged: not a list of plug-ins")

    def append_history(self, record: dict[str, Any]) -> None:
        """Add an epoch's line, and have it on disk before a state says that the epoch is done."""
        with writing(self.history), self.history.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def read_history(self) -> list[dict[str, Any]]:
        """One record an epoch; a last line that was cut off by a kill is left out.

        Errors: UsageError for a line that is none.
        """
        try:
            return [json.loads(line) for line in self.history_lines()]
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{self.history}: damaged ({error})") from None

    def history_lines(self) -> list[bytes]:
        """The complete lines."""
        if not self.history.exists():
            return []
        return self.history.read_bytes().split(b"\n")[:-1]

    def history_sha256(self) -> str | None:
        return file_sha256(self.history) if self.history.exists() else None

    def keep_history(self, epochs: int, sha256: str | None = None) -> None:
        """Drop the lines after this many epochs, of which the saved state does not know.

        sha256: of the lines that are kept, by the state; UsageError when they are others.
        """
        if not self.history.exists() and not epochs:
            return
        kept = b"".join(line + b"\n" for line in self.history_lines()[:epochs])
        if epochs and hashlib.sha256(kept).hexdigest() != sha256:
            raise UsageError(f"{self.history}: damaged, or not the history of {self.state.name}")
        write_bytes(self.history, kept)

    def read_result(self) -> dict[str, Any] | None:
        """result.json, or None when there is none yet.

        Errors: UsageError for one that was changed since, or that has no hash of itself.
        """
        if not self.result.exists():
            return None
        try:
            result: Any = json.loads(self.result.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            reason = type(error).__name__
            raise UsageError(f"{self.result}: not a result of a run ({reason})") from None
        if not isinstance(result, dict) or "sha256" not in result:
            raise UsageError(f"{self.result}: not a result of a run with a hash of itself")
        written = {key: value for key, value in result.items() if key != "sha256"}
        if result["sha256"] != content_sha256(written):
            raise UsageError(f"{self.result}: damaged (its contents are not those saved)")
        return result


def counts(path: Path) -> bool:
    """False for a lock and a half-written file, which a process that was killed leaves behind."""
    return path.name != LOCK and not (path.name.startswith(".") and path.suffix == ".tmp")


def as_yaml(tree: dict[str, Any]) -> str:
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def default_folder(dataset: str, model: str, seed: int, name: str | None = None) -> Path:
    """runs/NAME, or runs/<dataset>-<model>-seed<seed>-<time>, next to run.py and ignored by git.

    Errors: UsageError for a name that is no plain name of a folder.
    """
    if name is not None:
        if not plain_name(name):
            raise UsageError(f"--name {name!r}: use a plain name, without folders")
        return REPOSITORY / "runs" / name
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return REPOSITORY / "runs" / f"{dataset}-{re.sub('[:/]', '-', model)}-seed{seed}-{stamp}"


@contextmanager
def new_folder(path: Path) -> Iterator[RunFolder]:
    """Make this folder or, where it is there already, PATH-2, PATH-3, ...

    Of processes that ask at once each gets its own.  A folder that is still empty in the end, as
    where a run is refused, is removed, and so are those around it that it made.
    """
    folder, missing = path, [parent for parent in path.parents if not parent.exists()]
    for number in count(2):
        with writing(folder), suppress(FileExistsError):
            folder.mkdir(parents=True)
            break
        folder = path.with_name(f"{path.name}-{number}")
    try:
        yield RunFolder(folder)
    finally:
        with suppress(OSError):  # it is not empty
            for made in (folder, *missing):
                made.rmdir()


def existing_run(path: Path, advice: str = "") -> RunFolder:
    """The folder of a run that was started; UsageError for any other, which ends in the advice
    where the folder holds no run."""
    folder = RunFolder(path)
    if not path.is_dir():
        raise UsageError(f"{path}: there is no such folder")
    if not folder.config.is_file():
        raise UsageError(f"{path}: holds no run (there is no config.yaml){advice}")
    return folder
