"""Item features from files, by item number."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from experiments.data.catalogue import DatasetSpec
from experiments.data.histories import Histories
from experiments.data.reading.layout import first_line, read_layout
from experiments.data.reading.source import Source
from experiments.data.vectors import FORMATS, ids_file, matched_vectors
from experiments.errors import UsageError
from experiments.storage.files import read_text
from experiments.storage.hashing import cached_file_sha256
from models.tasks import ItemFeatures

if TYPE_CHECKING:
    from experiments.data.bags import Bags

AUTO = ("{}_item2attributes.json", "{}.item")  # next to the data file, by its stem


def read_features(
    source: str, most: int, histories: Histories, spec: DatasetSpec, field: str
) -> ItemFeatures:
    """The features that a source names, for the items of a data set.

    source: auto, or a file: .npy or .safetensors (vectors), .json (item id -> list of
            attributes) or .item (texts).  A relative one is looked for in the current folder,
            then next to the data.
    most:   columns that a wider bag is reduced to.
    field:  what named the source, for messages.
    Errors: UsageError for a file that is missing or malformed, or knows no item of the data.
    """
    path = find(source, spec, field)
    ids = histories.item_ids[1:].tolist()
    if path.suffix in FORMATS:
        vectors = matched_vectors(path, ids)
    elif path.suffix in BAGS:
        from experiments.data.bags import bag_vectors  # scipy takes a tenth of a second

        vectors = bag_vectors(BAGS[path.suffix](path), ids, most)
    else:
        raise UsageError(f"{field}: {path} is none of {', '.join([*FORMATS, *BAGS])}")
    known = np.concatenate([[False], (vectors != 0).any(axis=1)])  # [num_items + 1]
    if not known.any():
        raise UsageError(f"{field}: {path} has no features of any item of {spec.name}")
    padding = np.zeros((1, vectors.shape[1]), np.float32)
    return ItemFeatures(torch.from_numpy(np.concatenate([padding, vectors])), torch.tensor(known))


def files_sha256(sources: Mapping[str, str], spec: DatasetSpec, group: str) -> str:
    """Of all that features are read from: of the files, not of the numbers that come of
    them, whose last digits depend on the machine and its number of threads.

    sources: field -> the source it names.  group: of these fields, for messages.
    Errors: UsageError for one that is not there.
    """
    digest = hashlib.sha256()
    for field, source in sources.items():
        path = find(source, spec, f"{group}.{field}")
        for file in (path, ids_file(path)) if path.suffix in FORMATS else (path,):
            if os.path.isfile(file):  # the ids may be left out
                digest.update(cached_file_sha256(file).encode())
    return digest.hexdigest()


def find(source: str, spec: DatasetSpec, field: str) -> Path:
    """The file of a source. Errors: UsageError that says what was looked for and where."""
    folder = spec.path.parent
    stem = spec.path.stem.removesuffix(".train")  # of data that come split
    names = [name.format(stem) for name in AUTO] if source == "auto" else [source]
    folders = [folder] if source == "auto" else [Path(), folder]
    for name in names:
        for where in folders:
            if os.path.isfile(where / name):
                return where / name
    if source == "auto":
        raise UsageError(
            f"{field}: {spec.name} brings no item features: {folder} has neither "
            f"{' nor '.join(names)}; name a file, such as --{field}=vectors.npy"
        )
    raise UsageError(f"{field}: there is no file {source}, neither here nor in {folder}")


def read_attributes(path: Path) -> Bags:
    """{"item id": [attribute, ...]}; attributes are numbers or texts."""
    try:
        tree = json.loads(read_text(path), object_pairs_hook=without_repeats)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON ({error})") from None
    if not isinstance(tree, dict) or not all(
        isinstance(attributes, list) for attributes in tree.values()
    ):
        raise UsageError(f'{path}: expected {{"item id": [attribute, ...], ...}}')
    for item, attributes in tree.items():
        if not all(isinstance(attribute, (str, int, float)) for attribute in attributes):
            raise UsageError(f"{path}: item {item!r} has an attribute that is no number or text")
    return {item: [str(attribute) for attribute in attributes] for item, attributes in tree.items()}


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; json itself keeps the last of equal keys, silently."""
    by_key = dict(pairs)
    if len(by_key) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice!r} is there twice")
    return by_key


def read_texts(path: Path) -> Bags:
    """The words of all columns of text, each marked by its column: drama as a genre is another
    word than in a title."""
    from experiments.data.bags import words
    from experiments.data.reading.titles import text_table  # loads pandas

    layout = read_layout(path)
    table = text_table(Source(path), layout)
    item = layout.position(path, "item_id", "item")
    header = first_line(path).split(layout.separator)
    texts = [n for n, name in enumerate(header) if n != item and ":float" not in name]
    bags: dict[str, list[str]] = {str(owner): [] for owner in table[item]}
    for column in texts:
        name = layout.names[column]
        for owner, text in zip(table[item], table[column], strict=True):
            bags[str(owner)] += [f"{name}:{word}" for word in words(str(text))]
    return bags


BAGS: dict[str, Callable[[Path], Bags]] = {".json": read_attributes, ".item": read_texts}
