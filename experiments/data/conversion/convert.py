"""Bring a raw file into a data folder: read as a recipe says, filtered, counted and declared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.data.catalogue import check, check_name, fixed_file, registered, spec_of
from experiments.data.conversion.filters import core_name, repeats, to_core, without_repeats
from experiments.data.conversion.own_split import convert_parts, parts_of
from experiments.data.conversion.read_raw import read_raw
from experiments.data.conversion.register import (
    FREE,
    check_not_shadowed,
    how_made,
    train_on_it,
    with_declaration,
)
from experiments.data.conversion.ties import describe_ties
from experiments.data.conversion.write import write_inter, write_item
from experiments.data.declaration import Declaration
from experiments.data.interactions import SHORTEST, Counts, Interactions
from experiments.data.known import declared, families, is_known
from experiments.data.reading.layout import NoColumn
from experiments.data.reading.raw import CATEGORY, Raw
from experiments.data.reading.read import read_interactions
from experiments.data.reading.recipe import FILTERS, Recipe, recipe_of, unfiltered
from experiments.data.reading.source import Source, find_source
from experiments.data.reading.titles import read_titles, titles_beside
from experiments.errors import UsageError
from experiments.storage.hashing import file_sha256
from experiments.storage.new_files import copy_of, write_new


@dataclass(frozen=True)
class Plan:
    """What is read, how, and what it is written as."""

    name: str
    source: Source
    recipe: Recipe
    followed: str | None  # the name of the recipe
    raw: Raw | None
    declaration: Declaration | None  # of a known name: how to train on it


def convert(
    name: str,
    path: Path,
    data_dir: Path,
    options: Mapping[str, Any] | None = None,
    recipe: str | None = None,
) -> list[str]:
    """Put a data set into data_dir, and return the lines to print about it.

    A file that is known by its checksum is checked and copied. Anything else is read as the
    recipe of its name says, or the one that is named, with the options on top, is filtered, and
    is written as data_dir/NAME/NAME.inter, with titles (.item) and a declaration (.yaml).
    Errors: UsageError, and nothing is written; an existing data set is never replaced.
    """
    check_name(name)
    if name in families():
        raise UsageError(f"{name}: name a category in place of {CATEGORY}, as the raw file does")
    options = options or {}
    if is_known(name) and recipe is None:
        declaration = declared(name)
        if declaration.embedded:
            raise UsageError(
                f"{name} comes with the installation, nothing is to be converted: "
                f"python run.py train --dataset {name}"
            )
        if declaration.sha256 and not _is_raw(declaration, path):
            return _copied(name, path, data_dir, declaration, options)
        if declaration.sha256 and (there := fixed_file(data_dir, declaration)):
            raise UsageError(
                f"{there} is {name} already: choose another name, and say --recipe {name}"
            )
    elif is_known(name) and declared(name).raw is None:
        raise UsageError(f"{name} is the name of a data set with one fixed file: choose another")
    plan = planned(name, path, options, recipe)
    check_not_shadowed(name, plan.source.path, data_dir)
    if parts := parts_of(plan.source):
        _check_no_filters(plan.source, options)
        titles, found = _titles(plan)
        recipe_alone, like = unfiltered(plan.recipe), _trained_by(plan)
        return [
            *found,
            *convert_parts(name, parts, recipe_alone, data_dir, like, titles, plan.followed),
        ]
    return _registered(plan, data_dir)


def planned(name: str, path: Path, options: Mapping[str, Any], followed: str | None) -> Plan:
    """Find the recipe and the file. Errors: UsageError for one that is not there."""
    if followed is None and is_known(name):
        followed = name
    elif followed in families():
        raise UsageError(
            f"--recipe {followed}: name a category in place of {CATEGORY}, as the raw file does"
        )
    elif followed is not None and not is_known(followed):
        raise UsageError(f"--recipe {followed}: unknown; `run.py data --list` names them all")
    declaration = declared(followed) if followed else None
    raw = declaration.raw if declaration else None
    if followed and raw is None:
        raise UsageError(f"--recipe {followed}: has no recipe, but one fixed file")
    needs = f"; {followed} is read from {' or '.join(raw.files)}, see {raw.page}" if raw else ""
    source = find_source(path, raw.files if raw else [], needs)
    base = raw.form_of(source.name) if raw else Recipe()
    recipe = recipe_of(options, "data", base)
    return Plan(name, source, recipe, followed, raw, declaration)


def _check_no_filters(source: Source, options: Mapping[str, Any]) -> None:
    if filters := [name for name in FILTERS if name in options]:
        raise UsageError(
            f"{source}: comes with its own split, which {' and '.join(filters)} would change"
        )


def _is_raw(declaration: Declaration, path: Path) -> bool:
    """Whether a path is to the raw file of a data set that also has a fixed one."""
    suffix = Path(declaration.file).suffix
    return declaration.raw is not None and (path.is_dir() or path.suffix != suffix)


def _copied(
    name: str, source: Path, data_dir: Path, declaration: Declaration, options: Mapping[str, Any]
) -> list[str]:
    """Check a known data set's file and copy it."""
    if options:
        raise UsageError(
            f"{name} is a known data set with a fixed file: columns, filters and a k-core apply "
            "to other names only"
        )
    target = data_dir / declaration.file
    if converted := registered(name, data_dir):
        raise UsageError(
            f"{converted.path} is {name} already, converted from raw files: choose another folder"
        )
    if source.suffix != target.suffix:
        raise UsageError(f"{source}: {name} needs the file {declaration.file}, a {target.suffix}")
    interactions = read_interactions(source)
    check(interactions.histories(name), spec_of(name, source, declaration))
    files = {declaration.file: copy_of(source)}
    if interactions.titles:
        titles = target.with_suffix(".item").name
        files = {titles: copy_of(source.with_suffix(".item")), **files}
    write_new(data_dir, files, "remove it first if it is wrong")
    read = f"read {interactions.source}: {interactions.counts}"
    return [read, *_kept(interactions), *_written(name, target, data_dir)]


def _registered(plan: Plan, data_dir: Path) -> list[str]:
    """Read, filter and write a data set, and its declaration."""
    read = read_raw(plan.source, plan.recipe)
    interactions = read.interactions
    lines = [f"read {interactions.source}: {interactions.counts}", *read.notes]
    lines += _published(plan, interactions.counts)
    alive = np.ones(len(interactions.items), dtype=np.bool_)
    whole = interactions
    for label, passed in read.kept:
        alive &= passed
        interactions = whole.only(alive)
        lines.append(f"{label}: {interactions.counts} left")
        if not alive.any():
            raise UsageError(f"{whole.source}: nothing is left of it ({'; '.join(lines)})")
    del whole, alive, read
    interactions, told = _filtered(interactions, plan.recipe)
    titles, found = _titles(plan)
    lines += [*told, *found, *_kept(interactions)]
    interactions = interactions.trainable()
    lines += describe_ties(interactions)
    target = data_dir / plan.name / f"{plan.name}.inter"
    mine = {item: titles[item] for item in interactions.item_ids.tolist() if item in titles}
    if target.with_suffix(".item").exists() and not mine:
        raise UsageError(
            f"{target.with_suffix('.item')} is already there, and the source has no titles: {FREE}"
        )
    files = with_declaration(
        target,
        partial(write_inter, interactions=interactions),
        interactions.counts,
        interactions.lengths.mean(),
        _trained_by(plan),
        how_made(plan.followed, plan.source.name, interactions.sha256, plan.recipe),
    )
    if mine:
        titles_file = target.with_suffix(".item").name
        files = {titles_file: partial(write_item, titles=mine), **files}
    write_new(target.parent, files, FREE)
    return [*lines, *_written(plan.name, target, data_dir)]


def _trained_by(plan: Plan) -> Declaration | None:
    """How to train on it: as on the data set of its name."""
    return plan.declaration if plan.followed == plan.name else None


def _published(plan: Plan, counts: Counts) -> list[str]:
    """How the counts of the raw file compare with those of its page."""
    published = plan.raw.published if plan.raw else {}
    if not published:
        return []
    told = ", ".join(f"{count:,} {what}" for what, count in published.items())
    same = all(getattr(counts, what) == count for what, count in published.items())
    return [f"published: {told}; {'the same' if same else 'this file is another version or part'}"]


def _filtered(interactions: Interactions, recipe: Recipe) -> tuple[Interactions, list[str]]:
    """Repeats, then the core."""
    found = repeats(interactions)
    again, exact = int(found.again.sum()), int(found.exact.sum())
    told = f", {exact:,} of them at the same time" if interactions.times is not None else ""
    before = f"{again:,} interactions with an item that the user had before{told}"
    lines = [f"duplicates: {before if again else 'none'}"]
    if again and recipe.duplicates == "keep":
        lines[0] += "; all kept (--duplicates exact, first or last leaves some out)"
    interactions = without_repeats(interactions, found, recipe.duplicates)
    if recipe.duplicates != "keep":
        lines.append(f"--duplicates {recipe.duplicates}: {interactions.counts} left")
    if max(recipe.user_core, recipe.item_core) > 1:
        interactions, rounds = to_core(interactions, recipe.user_core, recipe.item_core)
        core = core_name(recipe.user_core, recipe.item_core)
        lines += [f"{core}, round {i}: {left} left" for i, left in enumerate(rounds, start=1)]
        lines += [] if rounds else [f"{core}: nothing to remove"]
    return interactions, lines


def _titles(plan: Plan) -> tuple[dict[str, str], list[str]]:
    """Item -> title, and where they were, or why there are none."""
    if plan.source.suffix == ".inter":
        stem = re.sub(r"(\.(train|valid|test))?\.inter$", "", plan.source.name)
        beside = plan.source.beside(f"{stem}.item")
        return read_titles(beside) if beside else {}, []
    try:
        found = titles_beside(plan.source, plan.recipe.titles) if plan.recipe.titles else None
    except NoColumn as error:
        return {}, [f"titles: none; {error}"]
    if found is None:
        return {}, []
    return found[1], [f"titles: {len(found[1]):,} in {found[0]}"]


def _kept(interactions: Interactions) -> list[str]:
    kept = interactions.trainable()
    lengths = kept.lengths
    return [
        f"kept: {kept.counts}",
        f"users left out (fewer than {SHORTEST} interactions): "
        f"{len(interactions.user_ids) - len(kept.user_ids):,}",
        f"history length: mean {lengths.mean():.2f}, median {np.median(lengths):g}, "
        f"max {lengths.max():,}",
    ]


def _written(name: str, target: Path, data_dir: Path) -> list[str]:
    return [
        f"sha256: {file_sha256(target)}",
        f"written: {target}",
        train_on_it(name, data_dir),
    ]
