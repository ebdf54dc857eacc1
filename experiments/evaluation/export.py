"""Embeddings of items, or states of users, for use outside."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from experiments.data.histories import Histories, IntArray
from experiments.data.splits.held_out import Read, read_split
from experiments.data.vectors import Vectors, ids_file
from experiments.errors import UsageError
from experiments.evaluation.ranking import Scorer
from experiments.storage.new_files import Writer, text_of, write_new
from models.recbole_plug import SASRec
from models.snapshot import Snapshot

What = Literal["items", "users"]


def export(
    model: Scorer, histories: Histories, what: What, read: Read, max_length: int, path: Path
) -> str:
    """Write a float32 matrix to FILE.npy and the id of each row to FILE.ids.txt; says what.

    items: the embedding of every item, the one that scores are computed with.
    users: the state after a user's history, of which `read` says how much: `all` of it, the
           held-out items too, as a deployed model would; or what the evaluation of a split
           reads before its first target: under leave-one-out `test` all but the last item,
           `valid` all but the last two (the training split).  The latest max_length items of
           that are read.  A score is the dot product of a user's row with an item's.
    Both files are there completely or not at all.  Nothing is overwritten: files with the very
    same content stay, others are an error.
    Errors: UsageError for that, for another name than .npy, and for a model without embeddings.
    """
    check_name(path)
    if not isinstance(model, SASRec):
        raise UsageError("export: only this repository's own models have embeddings to export")
    model.eval()
    if what == "items":
        vectors, ids = item_vectors(model), histories.item_ids[1:]
    else:
        vectors, users = user_vectors(model, histories, read, max_length)
        ids = histories.user_ids[users]
    files: dict[str, Writer] = {
        path.name: partial(save_npy, vectors),
        ids_file(path).name: text_of("".join(f"{name}\n" for name in ids.tolist())),
    }
    write_new(path.parent, files, "choose another --to")
    rows, columns = vectors.shape
    return f"{rows} {what} x {columns} -> {path}, ids in {ids_file(path)}"


def check_name(path: Path) -> None:
    if path.suffix != ".npy":
        raise UsageError(f"--to {path}: the file must be named *.npy")


def item_vectors(model: SASRec) -> Vectors:
    """[num_items, d]; row i is item i + 1."""
    vectors: Vectors = model.output_items().all().detach().float().cpu().numpy()
    return vectors


@torch.no_grad()
def user_vectors(
    model: SASRec, histories: Histories, read: Read, max_length: int
) -> tuple[Vectors, IntArray]:
    """[n, d]: the state after each user's history; and whose they are [n].

    A user of whom the split reads nothing, who may be under a temporal one, has no row.
    """
    known, users = read_split(histories, read)
    items = model.items().all().detach()
    states = Snapshot(items, model.encode, known, max_length).histories("last")
    vectors: Vectors = states.float().cpu().numpy()
    return vectors, users


def save_npy(vectors: Vectors, path: Path) -> None:
    with path.open("wb") as file:  # np.save itself would add .npy to the temporary name
        np.save(file, vectors)
