"""Ranks or vectors that another model has made, brought under this repository's protocol."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.data.histories import Histories, IntArray
from experiments.data.splits.held_out import Split, evaluation_rows
from experiments.data.vectors import finite, ids_file, read_ids, read_npy
from experiments.errors import UsageError
from experiments.evaluation.ranking import EvaluationOptions, FloatArray, metrics
from experiments.evaluation.scores import UserVectors
from experiments.metric_names import RULES, SCORE0
from experiments.storage.files import opened

KNOWN = (*RULES, SCORE0)
SPECIAL_ROWS = 2  # padding and mask, which the code of that rule ranks with the items


def read_ranks(
    path: Path, histories: Histories, doubled: bool = False, split: Split = "test"
) -> dict[str, FloatArray]:
    """[T] ranks of the split's targets by rule, from an .npz with arrays `excluded`, `ranked` and
    `score0`, or some of them, in the order of the data's users; under leave-one-out each has
    one target.

    A rank is 1 or more, halves where scores tie, inf where the target is no candidate; doubled:
    the file has twice the rank, and 0 for inf.  An array `user_ids`, as a run's ranks.npz has it,
    must name the users of the data in their order.
    Errors: UsageError for anything else.
    """
    with opened(path) as raw:
        if not zipfile.is_zipfile(raw):
            raise UsageError(f"{path}: not readable as .npz: it is no archive, or cut short")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise UsageError(f"{path}: not readable as .npz ({error})") from None
    users = evaluation_rows(histories, split, 1).user
    check_users(path, arrays.pop("user_ids", None), histories, users)
    strange = [name for name in arrays if name not in KNOWN]
    if strange or not arrays:
        found = f"has {', '.join(map(repr, strange))}" if strange else "holds no ranks"
        raise UsageError(f"{path}: {found}; known: {', '.join(KNOWN)}, user_ids")
    return {
        rule: checked(
            f"{path}: {rule}",
            arrays[rule],
            len(users),
            doubled,
            histories.num_items + SPECIAL_ROWS * (rule == SCORE0),
        )
        for rule in KNOWN
        if rule in arrays
    }


def check_users(
    path: Path, given: NDArray[Any] | None, histories: Histories, users: IntArray
) -> None:
    """UsageError where a file names other users than the data, or in another order."""
    if given is None:
        return
    if given.shape != (len(users),):
        raise UsageError(f"{path}: {given.size} user_ids for {len(users)} targets")
    ids = histories.user_ids[users].astype(str)
    try:
        names = given.astype(str)
    except UnicodeDecodeError:
        raise UsageError(
            f"{path}: user_ids are bytes that are not ASCII; save them as texts (numpy.char.decode)"
        ) from None
    other = np.flatnonzero(names != ids)
    if len(other):
        row = int(other[0])
        raise UsageError(
            f"{path}: row {row} is of user {names[row]}, in {histories.name} it is {ids[row]}; "
            "give the rows in the order of the data"
        )


def checked(where: str, values: NDArray[Any], targets: int, doubled: bool, most: int) -> FloatArray:
    """As float64.  most: the largest rank that there can be."""
    if values.shape != (targets,):
        raise UsageError(
            f"{where} has the shape {list(values.shape)}, and the data have {targets} targets; "
            "give one rank for each"
        )
    if values.dtype.kind not in "fiu":
        raise UsageError(f"{where}: expected numbers, got {values.dtype}")
    ranks = values.astype(np.float64)
    if doubled:
        ranks = np.where(ranks == 0, np.inf, ranks / 2)
    halves = np.where(np.isfinite(ranks), 2 * ranks, 0)
    wrong = np.flatnonzero(~(ranks >= 1) | (halves != np.round(halves)))
    if len(wrong):
        row = int(wrong[0])
        raise UsageError(
            f"{where}: row {row} is {values[row]}: a rank is 1, 1.5, 2, ... or inf"
            + (", here times two, or 0 for inf" if doubled else "")
        )
    largest = float(ranks[np.isfinite(ranks)].max(initial=1))
    if largest > most:
        raise UsageError(
            f"{where}: rank {largest:g} is beyond {most}, the last one"
            + ("" if doubled else "; does the file hold twice the rank? (--doubled)")
        )
    return ranks


def rank_metrics(
    ranks: dict[str, FloatArray], options: EvaluationOptions
) -> dict[str, dict[str, float]]:
    """By rule, as Evaluation.metrics has them."""
    return {rule: metrics(of_rule, options.all_cutoffs) for rule, of_rule in ranks.items()}


def read_vectors(
    users: Path, items: Path, histories: Histories, split: Split = "test"
) -> UserVectors:
    """Two .npy files of a row for each user and each item of the data, in its order and without
    padding; or with the ids of the rows in FILE.ids.txt, one a line, in any order.  With ids,
    users who have no target in the split may be left out.

    A user's vector has to be the state after the history that the split reads, so a split with
    several targets of a user, each after another history, is refused.
    Errors: UsageError for that, where rows are missing or too many, and for other dimensions.
    """
    if histories.target == "successive":
        raise UsageError(
            "--users: a user has several targets under split.target: successive, "
            "each after another history; give --ranks"
        )
    ranked = np.zeros(histories.num_users, dtype=np.bool_)
    ranked[evaluation_rows(histories, split, 1).user] = True
    u = rows_of(users, histories.user_ids.astype(str).tolist(), "users", ranked)
    i = rows_of(items, histories.item_ids[1:].astype(str).tolist(), "items")
    if u.shape[1] != i.shape[1]:
        raise UsageError(
            f"{users} has {u.shape[1]} numbers a row, {items} has {i.shape[1]}; a score is the "
            "product of two rows, so they need the same dimension"
        )
    return UserVectors(torch.from_numpy(u), torch.from_numpy(i))


def rows_of(
    path: Path, ids: list[str], what: str, needed: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """[len(ids), d] in the order of the ids.

    needed: [len(ids)] who must have a row where the file has ids; None: all.  Others have zeros.
    """
    table = read_npy(path)
    if table.ndim != 2 or table.dtype.kind not in "fiu" or table.shape[1] == 0:
        raise UsageError(
            f"{path}: expected a matrix of numbers, got {table.dtype} {list(table.shape)}"
        )
    named = ids_file(path).is_file()
    if len(table) != len(ids) and not (named and needed is not None):
        raise UsageError(
            f"{path}: {len(table)} rows for {len(ids)} {what}; give one for each, in the order of "
            "the data and without padding"
        )
    values = finite(path, table)
    if not named:
        return np.ascontiguousarray(values)
    place = {name: row for row, name in enumerate(read_ids(ids_file(path), len(table)))}
    if strange := place.keys() - set(ids):
        first = min(strange, key=place.__getitem__)
        raise UsageError(f"{ids_file(path)}: {what[:-1]} {first!r} is not in the data")
    there = np.array([name in place for name in ids], dtype=np.bool_)
    if not (there if needed is None else there | ~needed).all():
        lacking = int(np.argmin(there if needed is None else there | ~needed))
        raise UsageError(f"{ids_file(path)}: has no {what[:-1]} {ids[lacking]!r}")
    rows = np.zeros((len(ids), values.shape[1]), dtype=np.float32)
    rows[there] = values[[place[name] for name in ids if name in place]]
    return rows
