"""Weights to start from: those of another run, such as one that was pre-trained."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.errors import UsageError
from experiments.storage.hashing import file_sha256
from experiments.storage.run_folder import existing_run


@dataclass(frozen=True)
class InitFromConfig:
    """Start from the best weights of another run, instead of drawn ones.

    As in S3-Rec (arXiv:2008.07873), which is pre-trained without a next-item loss and then
    fine-tuned.  What is not taken starts as it would without.
    """

    run: str | None = None
    """Folder of the run; null: all weights are drawn from the seed."""
    parts: tuple[str, ...] = ("item_embedding.*", "encoder.*")
    """Names of the weights to take, where * stands for any text; both models have them in the same
    sizes.  "*" takes all that this model has."""
    sha256: str | None = None
    """Of the run's weights, filled in: it decides the result, where they lie does not."""

    def __post_init__(self) -> None:
        if self.run == "":
            raise ValueError("run must be the folder of a run, or null")
        if not self.parts:
            raise ValueError("parts must name at least one weight, such as encoder.*")
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(f"sha256 must be 64 hexadecimal digits, got {self.sha256!r}")


def with_weights(tree: dict[str, Any], asked: list[str]) -> dict[str, Any]:
    """The configuration's plain values with the sha256 of the weights that they start from.

    asked: the dotted fields that are set now.  A configuration that has the hash already keeps
    it, unless another run is named.  Errors: UsageError where there are no weights.
    """
    group = tree.get("init_from")
    if not isinstance(group, dict) or not isinstance(group.get("run"), str) or not group["run"]:
        return tree
    named = {"init_from", "init_from.run"} & set(asked)
    if group.get("sha256") is not None and not named:
        return tree
    folder = Path(group["run"]).absolute()
    try:
        weights = existing_run(folder).weights
    except UsageError as error:
        raise UsageError(f"init_from.run: {error}") from None
    if not weights.is_file():
        raise UsageError(f"init_from.run: {folder} has no model yet (there is no {weights.name})")
    group = {**group, "run": str(folder), "sha256": file_sha256(weights)}
    return {**tree, "init_from": group}
