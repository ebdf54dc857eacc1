"""The files of a run: who may write there, and what they are called."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from experiments.checkpoint import write_atomically
from experiments.errors import UsageError
from experiments.yaml_file import read_tree

REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds one run: config, history, result, weights, state, ranks, wandb."""

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

    def check_free(self) -> None:
        """UsageError when something is already there."""
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise UsageError(
                f"--out {self.path}: is not empty; choose another folder, or add --resume to "
                "continue the run in it"
            )

    def claim(self, tree: dict[str, Any]) -> None:
        """Create the folder and its config.yaml; of two runs that try, one gets it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with self.config.open("x", encoding="utf-8") as file:
                file.write(as_yaml(tree))
        except FileExistsError:
            raise UsageError(f"--out {self.path}: another run was started there") from None
        except OSError as error:
            raise UsageError(f"--out {self.path}: cannot be written ({error.strerror})") from None

    def read_config(self) -> dict[str, Any]:
        return read_tree(self.config)

    def write_config(self, tree: dict[str, Any]) -> None:
        text = as_yaml(tree)
        write_atomically(self.config, lambda path: path.write_text(text, encoding="utf-8"))

    def append_history(self, record: dict[str, Any]) -> None:
        with self.history.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def read_history(self) -> list[dict[str, Any]]:
        """One record an epoch; a last line that was cut off by a kill is left out."""
        if not self.history.exists():
            return []
        lines = self.history.read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines[:-1] if line]

    def keep_history(self, epochs: int) -> None:
        """Drop records of epochs that the saved state does not know."""
        kept = [json.dumps(r) + "\n" for r in self.read_history() if r["epoch"] <= epochs]
        write_atomically(
            self.history, lambda path: path.write_text("".join(kept), encoding="utf-8")
        )

    def read_result(self) -> dict[str, Any] | None:
        if not self.result.exists():
            return None
        result: dict[str, Any] = json.loads(self.result.read_text(encoding="utf-8"))
        return result


def as_yaml(tree: dict[str, Any]) -> str:
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def default_folder(dataset: str, model: str, seed: int) -> Path:
    """runs/<dataset>-<model>-seed<seed>-<time>, next to run.py and ignored by git."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    stem = f"{dataset}-{model.replace(':', '-')}-seed{seed}-{stamp}"
    folder = REPOSITORY / "runs" / stem
    number = 2
    while folder.exists():
        folder = REPOSITORY / "runs" / f"{stem}-{number}"
        number += 1
    return folder


def existing_run(path: Path) -> RunFolder:
    """The folder of a run that was started; UsageError for any other."""
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise UsageError(f"{path}: holds no run (there is no config.yaml)")
    return folder
