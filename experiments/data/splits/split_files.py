"""A data set that comes split: NAME.train.inter, NAME.valid.inter and NAME.test.inter."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from experiments.data.histories import READ, TEST, TRAIN, VALID, IntArray
from experiments.data.ids import in_id_order, shown
from experiments.data.interactions import Interactions, StrArray, TimeArray
from experiments.data.reading.layout import Columns, Layout, read_layout
from experiments.data.reading.missing import no_id
from experiments.data.reading.source import Source
from experiments.data.reading.titles import read_titles, text_table
from experiments.errors import UsageError
from experiments.storage.hashing import file_sha256, json_sha256

PARTS = {"train": TRAIN, "valid": VALID, "test": TEST}
LISTS = "item_id_list"  # RecBole's benchmark files: a row is a history and the item after it
Row = tuple[list[str], str]
Sequence = tuple[list[str], list[int]]  # items and their parts
Numbered = tuple[StrArray, IntArray]  # [n] distinct ids in `id_order`, [N] numbers among them


def split_files(path: Path) -> dict[str, Path]:
    """The three files of the data set that has this one: next to it, or in the folder NAME there.

    Errors: UsageError that names the ones that are missing.
    """
    name = path.name.removesuffix(".train.inter") if is_part(path) else path.stem
    places = [
        {part: folder / f"{name}.{part}.inter" for part in PARTS}
        for folder in (path.parent, path.parent / name)
    ]
    files = next((files for files in places if os.path.isfile(files["train"])), places[0])
    if missing := [file.name for file in files.values() if not os.path.isfile(file)]:
        raise UsageError(
            f"split.kind: files needs {', '.join(file.name for file in files.values())} in "
            f"{path.parent}; there is no {' and no '.join(missing)}"
        )
    return files


def is_part(path: Path) -> bool:
    """Is this the training file of a data set that comes split?"""
    return path.name.endswith(".train.inter")


def sha256_of(path: Path, hashed: Callable[[Path], str] = file_sha256) -> str:
    """Of all three files of the data set that has this one."""
    return json_sha256([hashed(file) for file in split_files(path).values()])


def read_split_files(path: Path) -> Interactions:
    """The interactions of the three files, with the part that each file says.

    Rows are user_id, item_id and timestamp, or without times in the order of the file; or
    user_id (or session_id), item_id_list and item_id, as in RecBole's benchmark files, which tell
    whole histories: of a user that no training row has, the first list is read only.
    Errors: UsageError where files share interactions, where an earlier file holds what is later
    in time, and for lists that are no history.
    """
    files = split_files(path)
    layouts = {part: read_layout(file) for part, file in files.items()}
    lists = {part for part, layout in layouts.items() if LISTS in layout.names}
    if lists and len(lists) < len(files):
        raise UsageError(f"{path.parent}: only the {' and '.join(sorted(lists))} file has {LISTS}")
    timed = {part for part, layout in layouts.items() if "timestamp" in layout.names}
    if not lists and 0 < len(timed) < len(files):
        raise UsageError(
            f"{path.parent}: only the {' and '.join(sorted(timed))} file has timestamp; all "
            "three need it, or none"
        )
    if lists:
        interactions = assembled(files["train"], *of_lists(files, layouts), None)
    else:
        interactions = joined(files["train"], files, rows_of(files, layouts, bool(timed)))
    title_file = files["train"].with_name(files["train"].name.replace(".train.inter", ".item"))
    titles = read_titles(Source(title_file))
    if interactions.times is not None:
        check_apart({part: file.name for part, file in files.items()}, interactions)
    check_unlike(files)
    return Interactions(**{**vars(interactions), "sha256": sha256_of(path), "titles": titles})


def rows_of(files: dict[str, Path], layouts: dict[str, Layout], timed: bool) -> list[Interactions]:
    """The interactions of each file."""
    from experiments.data.reading.read import read_interactions

    read = []
    for part, file in files.items():
        columns = Columns(user=user_column(layouts[part]), time="timestamp" if timed else None)
        read.append(read_interactions(file, columns))
    return read


def joined(source: Path, parts: Iterable[str], read: list[Interactions]) -> Interactions:
    """The interactions of the files of these parts as `assembled`, with times where all have them.

    source: what they are said to be from.
    """
    times = [found.times for found in read if found.times is not None]
    return assembled(
        source,
        numbered_together([(found.user_ids, found.users) for found in read]),
        numbered_together([(found.item_ids, found.items) for found in read]),
        np.repeat([PARTS[part] for part in parts], [len(found.items) for found in read]),
        np.concatenate(times) if len(times) == len(read) else None,
    )


def user_column(layout: Layout) -> str:
    return "session_id" if "session_id" in layout.names else "user_id"


def of_lists(
    files: dict[str, Path], layouts: dict[str, Layout]
) -> tuple[Numbered, Numbered, IntArray]:
    """The numbered users and items of [N] rows, user after user, and their parts, from rows of a
    list and what follows."""
    told: dict[str, Sequence] = {}
    for part, file in files.items():
        layout, table = layouts[part], text_table(Source(file), layouts[part])
        names = (user_column(layout), LISTS, "item_id")
        columns = [table[layout.position(file, name, name)].tolist() for name in names]
        rows: dict[str, list[Row]] = {}
        for user, history, target in zip(*columns, strict=True):
            rows.setdefault(user, []).append((history.split(), target))
        for user, of_user in rows.items():
            told[user] = continued(told.get(user), of_user, PARTS[part], f"{file}, user {user!r}")
    lengths = [len(items) for items, _ in told.values()]
    users = np.repeat(np.array(list(told)), lengths)
    items = np.array([item for sequence, _ in told.values() for item in sequence])
    parts = np.array([part for _, sequence in told.values() for part in sequence])
    return in_id_order(users), in_id_order(items), parts


def continued(before: Sequence | None, rows: list[Row], part: int, where: str) -> Sequence:
    """A user's items after the rows of a file: each list has to end what is known so far.

    Shorter lists come first; those that are cut to one length may come in either order.
    Errors: UsageError with the first list that continues nothing.
    """
    for order in (rows, rows[::-1]):
        items, parts = (list(before[0]), list(before[1])) if before else ([], [])
        for history, target in sorted(order, key=lambda row: len(row[0])):
            if not items:
                items = list(history)
                parts = [TRAIN if part == TRAIN else READ] * len(items)
            if items[len(items) - len(history) :] != history:
                break
            items.append(target)
            parts.append(part)
        else:
            return items, parts
    raise UsageError(
        f"{where}: the {LISTS} {' '.join(history[:5])!r} ... does not continue the user's history "
        "of the rows before it; each list has to be the history, or its end, before the item"
    )


def assembled(
    source: Path, users: Numbered, items: Numbered, parts: IntArray, times: TimeArray | None
) -> Interactions:
    """Sorted by user, part and time; ties and what has no time in the given order.

    Errors: UsageError for an id that is none.
    """
    (user_ids, of_user), (item_ids, of_item) = users, items
    check_ids(user_ids, f"{source}: a user's id")
    check_ids(item_ids, f"{source}: an item's id")
    keys = (parts, of_user) if times is None else (times, parts, of_user)
    order = np.lexsort(keys)
    return Interactions(
        source=str(source),
        sha256="",
        users=of_user[order],
        items=of_item[order],
        user_ids=user_ids,
        item_ids=item_ids,
        times=None if times is None else times[order],
        parts=parts[order].astype(np.int8),
    )


def numbered_together(files: list[Numbered]) -> Numbered:
    """The rows of some files under one numbering, file after file; ids of no row are left out.

    Only distinct ids are sorted: with an id of 28 characters, ten million rows are 1.1 GB.
    """
    names, numbers, before = [], [], 0
    for ids, of_rows in files:
        used = np.bincount(of_rows, minlength=len(ids)) > 0
        names.append(ids[used])
        numbers.append(before + (np.cumsum(used) - 1)[of_rows])
        before += len(names[-1])
    distinct, of_name = in_id_order(np.concatenate(names))
    return distinct, of_name[np.concatenate(numbers)]


def check_ids(ids: StrArray, where: str) -> None:
    """Errors: UsageError that begins with `where` for one that is none."""
    if wrong := no_id(ids.tolist()):
        raise UsageError(f"{where} {shown(wrong[0])} {wrong[1]}")


def check_unlike(files: dict[str, Path]) -> None:
    """Errors: UsageError for two files with one content: without times nothing else tells."""
    first: dict[str, Path] = {}
    for file in files.values():
        other = first.setdefault(file_sha256(file), file)
        if other is not file:
            raise UsageError(
                f"{other.name} and {file.name} are the same: a target must not be trained on, and "
                "test must not be what chooses the model"
            )


def check_apart(names: dict[str, str], interactions: Interactions) -> None:
    """Errors: UsageError for files that share interactions or overlap in a user's time.

    names: part -> what to call its file.
    """
    users, items, parts = interactions.users, interactions.items, interactions.parts
    times = interactions.times
    assert parts is not None
    assert times is not None
    name = {part: names[key] for key, part in PARTS.items()}
    by_what = np.lexsort((parts, times, items, users))
    same = np.ones(len(users) - 1, dtype=np.bool_)
    for column in (users, items, times):
        same &= column[by_what][1:] == column[by_what][:-1]
    shared = same & (parts[by_what][1:] != parts[by_what][:-1])
    if shared.any():
        first, second = by_what[int(np.argmax(shared)) + np.arange(2)].tolist()
        user, item = interactions.user_ids[users[first]], interactions.item_ids[items[first]]
        raise UsageError(
            f"{name[int(parts[first])]} and {name[int(parts[second])]} share "
            f"{int(shared.sum()):,} interactions, such as user {user}, item {item}: a target must "
            "not be trained on"
        )
    falls = (times[1:] < times[:-1]) & (users[1:] == users[:-1])
    if falls.any():
        at = int(np.argmax(falls))
        raise UsageError(
            f"{name[int(parts[at])]} has an interaction of user "
            f"{interactions.user_ids[users[at]]} that is later than one in "
            f"{name[int(parts[at + 1])]}: files must follow each other in a user's time"
        )
