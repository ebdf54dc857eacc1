"""Declare a data set that is written: its counts, its checksum, and how it was made."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from experiments.data.catalogue import DatasetSpec
from experiments.data.declaration import Declaration, read_declaration
from experiments.data.interactions import Counts
from experiments.data.reading.recipe import Recipe, plain_recipe
from experiments.errors import UsageError
from experiments.storage.hashing import file_sha256
from experiments.storage.new_files import Writer, copy_of, text_of

LONG = 50  # a mean length above this is trained on by windows
FREE = "choose another name, or remove that folder"


def with_declaration(
    target: Path,
    write: Writer,
    counts: Counts,
    mean_length: float,
    like: Declaration | None,
    recipe: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
) -> dict[str, Writer]:
    """What writes a data file, and the YAML beside it that declares it, by their names.

    like: the declaration of the known data set that it is, whose fields it is trained with.
    recipe: how it was made. A declaration that is there and says the same, as an older version
    put it, stays.
    """
    file = target.parent / f"{target.parent.name}.yaml"
    hashes: list[str] = []

    def data(path: Path) -> None:
        write(path)
        hashes.append(file_sha256(path))

    def declaration(path: Path) -> None:
        declared = Declaration(
            file=target.name,
            examples=like.examples if like else "windows" if mean_length > LONG else "prefixes",
            max_length=like.max_length if like else DatasetSpec.max_length,
            users=counts.users,
            items=counts.items,
            interactions=counts.interactions,
            sha256=hashes[-1],
            defaults={**(like.defaults if like else {}), **(defaults or {})},
            recipe={key: value for key, value in recipe.items() if value is not None},
        )
        if os.path.isfile(file) and read_declaration(file) == declared:
            copy_of(file)(path)
            return
        tree = asdict(declared)
        del tree["raw"]
        text_of(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))(path)

    return {target.name: data, file.name: declaration}


def how_made(followed: str | None, source: str, sha256: str, recipe: Recipe) -> dict[str, Any]:
    """What `declare` keeps of a conversion: the recipe's name and choices, and the raw file's
    name and hash."""
    return {"name": followed, "source": source, "sha256": sha256, **plain_recipe(recipe)}


def train_on_it(name: str, data_dir: Path) -> str:
    """The line that says how."""
    command = ["python", "run.py", "train", "--dataset", name, "--data-dir", str(data_dir)]
    return f"train on it: {shlex.join(command)}"


def check_not_shadowed(name: str, source: Path, data_dir: Path) -> None:
    """A registered data set comes before NAME.txt and NAME.inter: these must be its source."""
    for path in (data_dir / f"{name}.txt", data_dir / f"{name}.inter"):
        if os.path.exists(path) and not (os.path.exists(source) and path.samefile(source)):
            raise UsageError(
                f"{path} is already there and {source} is another file: choose another name"
            )
