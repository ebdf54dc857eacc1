"""Bring a record that was made elsewhere into the committed one."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

from experiments.errors import UsageError
from experiments.record.check import MEASURED
from experiments.record.read import Line, read_record
from experiments.record.together import check_together, natural
from experiments.storage.atomic import replace
from experiments.storage.lock import lock_of, locked

RANK = {"failed": 0, "pruned": 1, "finished": 2}


def add(folder: Path, results: Path) -> list[tuple[str, int, int]]:
    """Merge folder/record.jsonl into results/STUDY.jsonl, a line a trial.

    In any order, from any number of machines, with the same result.  Returns for each study its
    trials before and after.  UsageError, with nothing written, where one trial has two results,
    or where lines do not go together: one variant and seed twice, or other data.
    """
    given: dict[str, list[Line]] = {}
    record = folder / "record.jsonl"
    if not record.is_file():
        raise UsageError(f"--add {folder}: there is no {record.name}; give a study's --out folder")
    for line in read_record(record):
        given.setdefault(checked_name(line, folder), []).append(line)
    merged, counts = {}, []
    with ExitStack() as stack:
        for study, lines in sorted(given.items()):
            path = results / f"{study}.jsonl"
            stack.enter_context(locked(lock_of(path)))  # workers may be appending to it
            before = read_record(path) if path.exists() else []
            kept = merge([*before, *lines])
            for dataset in {line.dataset for line in kept}:
                check_together([one for one in kept if one.tested and one.dataset == dataset])
            merged[path] = "".join(text_of(line) for line in kept)
            counts.append((study, len(before), len(kept)))
        for path, text in merged.items():
            replace(path, text)
    return counts


def checked_name(line: Line, folder: Path) -> str:
    """A study's name is a path below the results, such as NAME or quick/NAME, and nowhere else."""
    parts = line.study.split("/")
    if any(one in ("", ".", "..") for one in parts) or "\\" in line.study or "\0" in line.study:
        raise UsageError(f"{folder / 'record.jsonl'}: {line.study!r} is no name of a study")
    return line.study


def merge(lines: list[Line]) -> list[Line]:
    """One line a trial, sorted; finished wins over pruned, pruned over failed."""
    kept: dict[str, Line] = {}
    for line in lines:
        other = kept.get(line.trial)
        kept[line.trial] = line if other is None else better(other, line)
    return sorted(
        kept.values(),
        key=lambda one: (natural(one.dataset), natural(one.variant), one.seed, one.trial),
    )


def better(one: Line, other: Line) -> Line:
    """Of two lines of one trial; which comes first does not matter."""
    if one.status == other.status == "finished" and measured(one) != measured(other):
        key = next(k for k in sorted({**measured(one), **measured(other)})
                   if measured(one).get(k) != measured(other).get(k))  # fmt: skip
        raise UsageError(
            f"{one.study}: trial {one.trial} ({one.variant!r}, {one.dataset}, seed {one.seed}) has "
            f"two results: {key} is {measured(one).get(key)} and {measured(other).get(key)}; "
            f"remove one of the lines"
        )
    return max(one, other, key=lambda line: (RANK[line.status], text_of(line)))


def measured(line: Line) -> dict[str, object]:
    return {key: value for key, value in line.values.items() if key.startswith(MEASURED)}


def text_of(line: Line) -> str:
    """As the record has it: keys stay in their order."""
    return json.dumps(line.values, ensure_ascii=False) + "\n"
