"""Counted neighbours, kept from one run to the next."""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

from augment.correlation import Counted, counted_neighbours
from augment.neighbours import Neighbours
from augment.sequences import TrainHistories
from experiments.errors import RunFailed
from experiments.storage.atomic import NotWritable, write_atomically
from experiments.storage.files import REPOSITORY

FOLDER = REPOSITORY / ".cache"
VERSION = b"1"  # of what is counted, and how: another one finds none of the older files
NAMES = tuple(field.name for field in fields(Neighbours))


def cached_neighbours(train: TrainHistories, k: int, counted: Counted) -> Neighbours:
    """counted_neighbours, read from .cache/ where the same training split was counted before.

    The file's name is a hash of the training split and of what was asked, so no other data can
    be mistaken for it.  A file that cannot be read is counted again, and where nothing can be
    written nothing is kept: the result is the same.
    """
    path = FOLDER / f"neighbours-{key(train, k, counted)}.npz"
    try:
        with np.load(path, allow_pickle=False) as kept:
            return Neighbours(*(torch.from_numpy(kept[name]) for name in NAMES))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        found = counted_neighbours(train, k, counted)
    keep(path, found)
    return found


def key(train: TrainHistories, k: int, counted: Counted) -> str:
    """Hash of the training split and of what is counted in it."""
    digest = hashlib.sha256(VERSION)
    digest.update(f"{train.num_items} {k} {counted} ".encode())
    for array in (train.offsets, train.items):
        digest.update(array.cpu().numpy().tobytes())
    return digest.hexdigest()[:32]


def keep(path: Path, found: Neighbours) -> None:
    """Write the file whole or not at all."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, **{name: getattr(found, name).numpy() for name in NAMES})

    with contextlib.suppress(OSError, NotWritable, RunFailed):
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, write)
