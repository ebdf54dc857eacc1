"""Bring a source file into a data folder: checked where it is known, registered where not."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from experiments.data.catalogue import DatasetSpec, check, check_name, declared, known, spec_of
from experiments.data.declaration import Declaration, read_declaration
from experiments.data.histories import Histories
from experiments.data.interactions import SHORTEST, Counts, Interactions, to_k_core
from experiments.data.layout import Columns
from experiments.data.read import read_interactions
from experiments.data.write import write_inter, write_item
from experiments.errors import UsageError
from experiments.storage.hashing import file_sha256
from experiments.storage.new_files import copy_of, text_of, write_new

LONG = 50  # a mean length above this is trained on by whole sequences


def convert(
    name: str,
    source: Path,
    data_dir: Path,
    user_column: str | None = None,
    item_column: str | None = None,
    time_column: str | None = None,
    k_core: int | None = None,
) -> list[str]:
    """Put a data set into data_dir, and return the lines to print about it.

    A known name: the source must be its very file (counts, sha256), and is copied. Any other
    name: the source may have any of the three forms, is filtered to its k-core if asked, and
    is written as data_dir/NAME/NAME.inter, with titles (.item) and a declaration (.yaml).
    Errors: UsageError, and nothing is written; an existing data set is never replaced.
    """
    check_name(name)
    named = {"user": user_column, "item": item_column, "time": time_column}
    given = {role: column for role, column in named.items() if column is not None}
    if name not in known():
        columns = Columns(**given) if given else None
        return _register(name, source, data_dir, columns, k_core)
    if given or k_core is not None:
        raise UsageError(
            f"{name} is a known data set with a fixed file: columns and a k-core apply to "
            "other names only"
        )
    return _copy(name, source, data_dir)


def _copy(name: str, source: Path, data_dir: Path) -> list[str]:
    """Check a known data set's file and copy it."""
    declaration = declared(name)
    if declaration.embedded:
        raise UsageError(
            f"{name} comes with the installation, nothing is to be converted: "
            f"python run.py train --dataset {name}"
        )
    target = data_dir / declaration.file
    if source.suffix != target.suffix:
        raise UsageError(f"{source}: {name} needs the file {declaration.file}, a {target.suffix}")
    interactions = read_interactions(source)
    histories = interactions.histories(name)
    check(histories, spec_of(name, source, declaration))
    files = {declaration.file: copy_of(source)}
    if interactions.titles:
        titles = target.with_suffix(".item").name
        files = {titles: copy_of(source.with_suffix(".item")), **files}
    write_new(data_dir, files, "remove it first if it is wrong")
    return [_read(interactions), *_kept(histories), *_written(name, target, data_dir)]


def _register(
    name: str, source: Path, data_dir: Path, columns: Columns | None, k: int | None
) -> list[str]:
    """Write a data set that is not known, and its declaration."""
    _check_not_shadowed(name, source, data_dir)
    interactions = read_interactions(source, columns)
    lines = [_read(interactions)]
    if k is not None:
        interactions, rounds = to_k_core(interactions, k)
        lines += [f"{k}-core, round {i}: {left} left" for i, left in enumerate(rounds, start=1)]
        lines += [] if rounds else [f"{k}-core: nothing to remove"]
    histories = interactions.histories(name)
    target = data_dir / name / f"{name}.inter"
    _write(target, interactions.trainable(), histories)
    return [*lines, *_kept(histories), *_written(name, target, data_dir)]


def _write(target: Path, interactions: Interactions, histories: Histories) -> None:
    """The interactions and titles, and last the declaration that makes them count."""
    folder, titles = target.parent, target.with_suffix(".item")
    free = "choose another name, or remove that folder"
    if titles.exists() and not histories.titles:
        raise UsageError(f"{titles} is already there, and the source has no titles: {free}")
    files = {target.name: partial(write_inter, interactions=interactions)}
    if histories.titles:
        files[titles.name] = partial(write_item, titles=histories.titles)
    write_new(folder, files, free)
    text = _declaration(target, histories)
    declared = folder / f"{target.stem}.yaml"
    if os.path.isfile(declared) and read_declaration(declared) == _declared(target, histories):
        return  # the same, in the words of an older version
    write_new(folder, {declared.name: text_of(text)}, free)


def _declaration(target: Path, histories: Histories) -> str:
    """The YAML that registers a written data set."""
    return yaml.safe_dump(asdict(_declared(target, histories)), sort_keys=False)


def _declared(target: Path, histories: Histories) -> Declaration:
    return Declaration(
        file=target.name,
        examples="windows" if histories.lengths.mean() > LONG else "prefixes",
        max_length=DatasetSpec.max_length,
        users=histories.num_users,
        items=histories.num_items,
        interactions=len(histories.items),
        sha256=file_sha256(target),
    )


def _check_not_shadowed(name: str, source: Path, data_dir: Path) -> None:
    """A registered data set comes before NAME.txt and NAME.inter: these must be its source."""
    for path in (data_dir / f"{name}.txt", data_dir / f"{name}.inter"):
        if os.path.exists(path) and not (os.path.exists(source) and path.samefile(source)):
            raise UsageError(
                f"{path} is already there and {source} is another file: choose another name"
            )


def _read(interactions: Interactions) -> str:
    return f"read {interactions.source}: {interactions.counts}"


def _kept(histories: Histories) -> list[str]:
    lengths = histories.lengths
    counts = Counts(histories.num_users, histories.num_items, len(histories.items))
    return [
        f"kept: {counts}",
        f"users left out (fewer than {SHORTEST} interactions): {histories.users_left_out:,}",
        f"history length: mean {lengths.mean():.2f}, median {np.median(lengths):g}, "
        f"max {lengths.max():,}",
    ]


def _written(name: str, target: Path, data_dir: Path) -> list[str]:
    command = ["python", "run.py", "train", "--dataset", name, "--data-dir", str(data_dir)]
    return [
        f"sha256: {file_sha256(target)}",
        f"written: {target}",
        f"train on it: {shlex.join(command)}",
    ]
