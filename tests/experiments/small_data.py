"""Tiny data sets with a known answer, and training on them through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
import yaml
from hypothesis import strategies as st

from experiments.cli.main import main
from experiments.data.histories import Histories
from experiments.data.interactions import Ties
from experiments.data.reading.layout import Columns
from experiments.data.reading.read import ordered, read_interactions

torch.set_num_threads(1)  # on tensors this small, threads only wait for each other

Users = list[list[int]]

ITEMS = 30
ATTRIBUTES = json.dumps({str(item): [item % 5] for item in range(1, ITEMS + 1)})
SMALL = (
    "--encoder.dim=16",
    "--encoder.inner=16",
    "--encoder.layers=1",
    "--encoder.max_length=8",
    "--train.batch_size=64",
    "--track.mode=disabled",
)
NEED_TIMES = ("ticoserec",)  # presets that refuse data without
RUN_FILES = [
    "config.yaml",
    "history.jsonl",
    "model.safetensors",
    "ranks.npz",
    "result.json",
    "state.pt",
]
FAST = (*SMALL, "--train.learning_rate=0.02")
LATER = 1000  # in `write_timed`: the last two places of each history come after everything else
HOSTED = ("--encoder.max_length=8", "--train.batch_size=32", "--track.mode=disabled")


def planted(users: int = 60, shortest: int = 5, longest: int = 9, seed: int = 0) -> Users:
    """Histories in which item i is always followed by i + 1, and the last item by the first."""
    pick = Random(seed)
    starts = [pick.randrange(ITEMS) for _ in range(users)]
    lengths = [pick.randint(shortest, longest) for _ in range(users)]
    return [
        [(start + step) % ITEMS + 1 for step in range(length)]
        for start, length in zip(starts, lengths, strict=True)
    ]


def histories_of(users: Users, num_items: int | None = None) -> Histories:
    """The given item numbers as a data set in memory; an item's id is its number."""
    lengths = [len(items) for items in users]
    flat = [item for items in users for item in items]
    return Histories(
        name="given",
        items=np.array(flat, dtype=np.int64),
        offsets=np.cumsum([0, *lengths]),
        item_ids=np.array(["", *map(str, range(1, (num_items or max(flat)) + 1))]),
        user_ids=np.array([str(user) for user in range(len(users))]),
        sha256="0" * 64,
    )


def read(path: Path, name: str, columns: Columns | None = None, ties: Ties = "file") -> Histories:
    """A file as data set `name`: users with at least three interactions."""
    return ordered(read_interactions(path, columns), ties).histories(name)


def users_of(
    items: int = 6, shortest: int = 3, longest: int = 12, most: int = 6
) -> st.SearchStrategy[Users]:
    """Up to `most` histories of items 1..items, with repeats."""
    history = st.lists(st.integers(1, items), min_size=shortest, max_size=longest)
    return st.lists(history, min_size=1, max_size=most)


def write_text(folder: Path, name: str, users: Users) -> Path:
    """folder/name.txt, a line per user; users are numbered from 1."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [" ".join(map(str, [user, *items])) for user, items in enumerate(users, start=1)]
    path = folder / f"{name}.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def rows_of(users: Users, part: slice, first: int) -> list[str]:
    """user, item and time of those places of each history, user after user."""
    return [
        f"{user}\t{item}\t{first + place}\n"
        for user, items in enumerate(users, start=1)
        for place, item in enumerate(items[part])
    ]


def write_inter(path: Path, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(rows))


def write_timed(folder: Path, users: Users) -> None:
    """The last item of each user comes after all others, and the one before it in between."""
    parts = {"train": slice(None, -2), "valid": slice(-2, -1), "test": slice(-1, None)}
    rows = {
        part: rows_of(users, places, number * LATER)
        for number, (part, places) in enumerate(parts.items())
    }
    for part, of_part in rows.items():
        write_inter(folder / "planted" / f"planted.{part}.inter", of_part)
    write_inter(folder / "planted.inter", [row for of_part in rows.values() for row in of_part])


def write_timed_text(folder: Path, name: str, users: Users) -> Path:
    """folder/name.inter, a row per interaction; a user's next one comes 1 to 7 later."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        f"{user}\t{item}\t{100 * user + 4 * place + (item * place) % 4}\n"
        for user, items in enumerate(users, start=1)
        for place, item in enumerate(items)
    ]
    path = folder / f"{name}.inter"
    path.write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(rows))
    return path


def train(data: Path, out: Path, *arguments: str, dataset: str = "planted") -> dict[str, Any]:
    """Train on folder `data` through the command line; returns result.json."""
    where = ["--dataset", dataset, "--data-dir", str(data), "--out", str(out)]
    assert main(["train", *where, *arguments]) == 0
    return read_json(out / "result.json")


def read_json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text())
    return value


def read_history(run: Path) -> list[dict[str, float]]:
    """history.jsonl without what differs from one run to its repetition: seconds."""
    lines = (run / "history.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    return [{key: record[key] for key in record if key != "seconds"} for record in records]


def fields_of(arguments: tuple[str, ...]) -> dict[str, Any]:
    """--dotted.key=value arguments as the mapping that Python's `train` takes."""
    pairs = (argument.removeprefix("--").split("=", 1) for argument in arguments)
    return {key: yaml.safe_load(text) for key, text in pairs}
