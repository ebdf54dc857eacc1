"""Raw data that come split: a file each for training, validation and test."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.data.conversion.read_raw import form_of, read_raw
from experiments.data.conversion.register import FREE, how_made, train_on_it, with_declaration
from experiments.data.conversion.write import timestamps, write_inter, write_item
from experiments.data.declaration import Declaration
from experiments.data.interactions import Interactions
from experiments.data.reading.recipe import Recipe, plain_recipe
from experiments.data.reading.source import Source
from experiments.data.splits.split_files import PARTS, check_apart, joined, read_split_files
from experiments.errors import UsageError
from experiments.storage.hashing import file_sha256
from experiments.storage.new_files import Writer, copy_of, write_new


class Part(NamedTuple):
    """One of the three files."""

    part: str
    source: Source


def parts_of(source: Source) -> list[Part] | None:
    """The three files of which a source is one: X.train.csv, X.valid.csv, X.test.csv.

    None for a file that has no such name. Errors: UsageError when one of the three is missing, or
    may be one of several files.
    """
    found = re.fullmatch(r"(.+\.)(train|valid|test)(\.\w+)", source.name)
    if found is None:
        return None
    parts = []
    for part in PARTS:
        name = f"{found[1]}{part}{found[3]}"
        there = source if part == found[2] else source.beside(name)
        if there is None:
            raise UsageError(
                f"{source} is one of three files of a split, and {name} is not beside it; "
                "rename it to convert it alone"
            )
        parts.append(Part(part, there))
    return parts


def convert_parts(
    name: str,
    parts: list[Part],
    recipe: Recipe,
    data_dir: Path,
    like: Declaration | None,
    titles: dict[str, str],
    followed: str | None,
) -> list[str]:
    """Write NAME.train.inter, NAME.valid.inter and NAME.test.inter, each what its file says.

    RecBole's own are taken as they are. recipe: without filters, which would change the split;
    followed: its name.
    Errors: UsageError for whatever is wrong with a file, and for files that overlap.
    """
    folder = data_dir / name
    names = [f"{name}.{part.part}.inter" for part in parts]
    if _are_atomic(parts, recipe):
        together = read_split_files(parts[0].source.path)
        lines = [f"read {', '.join(str(part.source) for part in parts)}"]
        writers = [copy_of(part.source.path) for part in parts]
    else:
        read = [read_raw(part.source, recipe) for part in parts]
        lines = [f"read {r.interactions.source}: {r.interactions.counts}" for r in read]
        lines += read[0].notes
        together = _together(parts, [r.interactions for r in read])
        writers = [partial(write_inter, interactions=found) for found in _apart(together)]
    files: dict[str, Writer] = dict(zip(names, writers, strict=True))
    first = parts[0].source
    made = how_made(followed, first.name, file_sha256(first.path), recipe)
    counts, mean = together.counts, float(together.lengths.mean())
    kept = {"split.kind": "files"}
    files |= with_declaration(folder / names[0], writers[0], counts, mean, like, made, kept)
    if titles:
        files = {f"{name}.item": partial(write_item, titles=titles), **files}
    write_new(folder, files, FREE)
    written = [file for file in files if not file.endswith(".yaml")]
    return [
        *lines,
        f"together: {counts}; the split of the files is kept",
        f"written: {', '.join(str(folder / file) for file in written)}",
        train_on_it(name, data_dir),
    ]


def _are_atomic(parts: list[Part], recipe: Recipe) -> bool:
    """Whether they are RecBole's own, unpacked, and nothing is asked of how they are read."""
    if plain_recipe(recipe).keys() - {"format"}:
        return False
    return all(
        form_of(source, recipe) == "inter" and source.name == source.path.name
        for _, source in parts
    )


def _together(parts: list[Part], read: list[Interactions]) -> Interactions:
    """All three, user after user; a time where there is none is the place in the whole history.

    Errors: UsageError where files share interactions, where an earlier file holds what is later
    in a user's time, and where only some of them have times.
    """
    timeless = [found.source for found in read if found.times is None]
    if timeless and len(timeless) < len(read):
        raise UsageError(
            f"{' and '.join(timeless)}: no times, which the other files of the split have"
        )
    together = joined(parts[0].source.path, [part.part for part in parts], read)
    if timeless:
        return replace(together, times=timestamps(together))
    check_apart({part.part: part.source.name for part in parts}, together)
    return together


def _apart(together: Interactions) -> list[Interactions]:
    """The interactions of each file."""
    assert together.parts is not None
    return [together.only(np.equal(together.parts, part)) for part in PARTS.values()]
