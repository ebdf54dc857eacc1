"""`run.py recommend`: the next items for a history, for users of the data, or for all of them."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.cli.arguments import add_read, path
from experiments.cli.commands import reload
from experiments.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from augment import TrainHistories
    from experiments.data.histories import Histories

WAYS = ("history", "item", "user", "all", "history_file")
NOTHING_LEFT = "every item was seen, none is left to recommend; --seen keep ranks seen items too"
HINT = "; an id with a space or a comma in it is given by --item"


def recommend_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("run", type=path, metavar="RUN_DIR")
    who = made.add_argument_group("after which history (one of these)")
    who.add_argument("--history", metavar='"1 2 3"', help="item ids, oldest first")
    who.add_argument(
        "--item", action="append", metavar="ID", help="one item of it, once for each, oldest first"
    )
    who.add_argument("--user", action="append", metavar="ID", help="of a user of the data; repeats")
    who.add_argument("--all", action="store_true", help="of every user of the data; needs --to")
    who.add_argument(
        "--history-file", type=path, metavar="FILE",
        help="FILE.jsonl (lists of item ids) or FILE.csv (columns user, item)",
    )  # fmt: skip
    made.add_argument("-k", type=int, default=10, help="how many [10]")
    made.add_argument(
        "--seen", choices=["drop", "keep"], default="drop",
        help="leave out what the history has, or let it compete [drop]",
    )  # fmt: skip
    add_read(made)
    made.add_argument("--to", type=path, metavar="FILE.csv|.parquet", help="write a table")


def recommend(arguments: argparse.Namespace) -> None:
    """The best items after one history, or after many."""
    check(arguments)
    from experiments.evaluation.recommend import as_table, best_items

    run = reload(arguments)
    run.model.eval()
    names, lists = asked_for(arguments, run.histories)
    fields = run.config
    best = best_items(
        run.model, lists, arguments.k, fields.encoder.max_length, run.device, arguments.seen,
        fields.evaluate.block,
    )  # fmt: skip
    table = as_table(best, names, run.histories)
    if arguments.to is not None:
        write(table, arguments.to)
        print(f"{len(names)} users, {len(table)} rows -> {arguments.to}")
        if without := len(names) - table["user"].nunique():
            print(f"users without a row: {without} ({NOTHING_LEFT})")
        return
    one = arguments.user is None and arguments.history_file is None
    found = dict(iter(table.groupby("user", sort=False)))
    for user in names:
        if not one:
            print(f"user {user}")
        if user not in found:
            print(f"  {NOTHING_LEFT}")
            continue
        rows = found[user]
        for row in rows.to_dict("records"):
            title = row.get("title") or ""
            print(f"{row['rank']:3d}  {row['item']:<12}{row['score']:10.4f}  {title}".rstrip())
    if arguments.json:
        print(json.dumps([entry(row, one) for row in table.to_dict("records")]))


def entry(row: dict[Any, Any], one: bool) -> dict[str, Any]:
    """A recommended item for --json; with its user where there are several."""
    known = {"item": row["item"], "score": float(row["score"]), "title": row.get("title")}
    return known if one else {"user": row["user"], "rank": row["rank"], **known}


def check(arguments: argparse.Namespace) -> None:
    """UsageError where it is not clear whose history is meant."""
    given = [way for way in WAYS if getattr(arguments, way) not in (None, False)]
    if len(given) != 1:
        ways = ", ".join(f"--{way.replace('_', '-')}" for way in WAYS)
        said = " and ".join(f"--{way.replace('_', '-')}" for way in given) or "none"
        raise UsageError(f"recommend: give one of {ways}; got {said}")
    if arguments.all and arguments.to is None:
        raise UsageError("--all: needs --to FILE.csv or FILE.parquet for all these rows")
    if arguments.read != "all" and not (arguments.all or arguments.user):
        raise UsageError("--read: goes with --all and --user, whose histories the data have")
    if arguments.to is not None:
        check_table(arguments.to)
        if arguments.json:
            raise UsageError("--json: the rows go to --to; give one of the two")


def asked_for(
    arguments: argparse.Namespace, histories: Histories
) -> tuple[list[str], TrainHistories]:
    """What each history is called, and the histories."""
    from experiments.data.splits.held_out import read_split
    from experiments.evaluation.history_file import read_histories
    from experiments.evaluation.recommend import (
        item_numbers,
        known_items,
        lists_of,
        user_numbers,
        users_lists,
    )

    if arguments.all or arguments.user:
        lists, users = read_split(histories, arguments.read)
        ids = histories.user_ids[users].astype(str).tolist()
        if arguments.all:
            return ids, lists
        wanted = list(dict.fromkeys(arguments.user))  # one that is named twice is answered once
        return wanted, users_lists(lists, user_numbers(wanted, ids))
    known = known_items(histories)
    if arguments.history_file is not None:
        path = arguments.history_file
        given = read_histories(path)
        numbers = [item_numbers(v, known, f"{path}: user {k}") for k, v in given.items()]
        return list(given), lists_of(numbers, histories.num_items)
    if arguments.item is not None:
        numbers = [item_numbers(arguments.item, known, "--item")]
    else:
        ids = arguments.history.replace(",", " ").split()
        numbers = [item_numbers(ids, known, "--history", HINT)]
    return [""], lists_of(numbers, histories.num_items)


def check_table(path: Path) -> None:
    """UsageError for a file that no table can be written to."""
    from importlib.util import find_spec

    if path.suffix not in (".csv", ".parquet"):
        raise UsageError(f"--to {path}: the file must be named *.csv or *.parquet")
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise UsageError(f"--to {path}: needs pyarrow (pip install pyarrow), or write a .csv")


def write(table: pd.DataFrame, path: Path) -> None:
    """Completely or not at all; a file that is there with other content is an error."""
    from experiments.storage.new_files import write_new

    form = partial(to_csv, table) if path.suffix == ".csv" else partial(to_parquet, table)
    write_new(path.parent, {path.name: form}, "choose another --to")


def to_csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")


def to_parquet(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path, index=False, engine="pyarrow")
