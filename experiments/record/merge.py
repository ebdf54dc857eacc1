"""Bring results that were made elsewhere into the committed ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from experiments.aliases import original_tree, without_added
from experiments.errors import UsageError
from experiments.record.line import MEASURED, Line
from experiments.record.order import natural
from experiments.record.results_file import read_lines
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
    check_as_committed(folder)
    for line in read_lines(record):
        given.setdefault(checked_name(line, folder), []).append(line)
    merged, counts = {}, []
    with ExitStack() as stack:
        for study, lines in sorted(given.items()):
            path = results / f"{study}.jsonl"
            stack.enter_context(locked(lock_of(path)))  # workers may be appending to it
            before = read_lines(path, whole=True) if path.exists() else []
            kept = merge([*before, *lines])
            tested = [line for line in kept if line.tested]
            for place in dict.fromkeys(line.place for line in tested):
                check_together([line for line in tested if line.place == place])
            merged[path] = "".join(text_of(line) for line in kept)
            counts.append((study, len(before), len(kept)))
        for path, text in merged.items():
            replace(path, text)
    return counts


def check_as_committed(folder: Path) -> None:
    """UsageError where a command line has changed the study: its lines would pass for others."""
    manifest = folder / "manifest.json"
    try:
        fields = json.loads(manifest.read_bytes()).get("set") if manifest.is_file() else None
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{manifest}: not a study's manifest ({error})") from None
    if fields:
        names = ", ".join(map(str, fields))
        raise UsageError(f"--add {folder}: is of a study with --set ({names}), which is not merged")


def checked_name(line: Line, folder: Path) -> str:
    """A study's name is a path below the results, such as NAME or quick/NAME, and nowhere else."""
    parts = line.study.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in line.study or "\0" in line.study:
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
        key=lambda line: (natural(line.dataset), natural(line.variant), line.seed, line.trial),
    )


def better(first: Line, second: Line) -> Line:
    """Of two lines of one trial; which comes first does not matter."""
    if first.status == second.status == "finished" and measured(first) != measured(second):
        key = next(k for k in sorted({**measured(first), **measured(second)})
                   if measured(first).get(k) != measured(second).get(k))  # fmt: skip
        raise UsageError(
            f"{first.study}: trial {first.trial} ({first.variant!r}, {first.dataset}, "
            f"seed {first.seed}) has two results: {key} is {measured(first).get(key)} and "
            f"{measured(second).get(key)}; "
            f"remove one of the lines"
        )
    return max(first, second, key=lambda line: (RANK[line.status], text_of(line)))


def measured(line: Line) -> dict[str, object]:
    return {key: value for key, value in line.values.items() if key.startswith(MEASURED)}


def text_of(line: Line) -> str:
    """As the file has it: keys stay in their order."""
    return json.dumps(line.values, ensure_ascii=False) + "\n"


def check_together(lines: Sequence[Line]) -> None:
    """The tested lines of one study and place: one a variant and seed, all on the same data,
    those of a variant with the same fields and the same baseline.

    Errors: UsageError that names two lines which do not go together.
    """
    first: dict[tuple[str, int], Line] = {}
    of_variant: dict[str, Line] = {}
    for line in lines:
        check_alike(of_variant.setdefault(line.variant, line), line)
        other = first.setdefault((line.variant, line.seed), line)
        if other is not line:
            raise UsageError(
                f"{line.study}: two trials of {line.variant!r} on {line.dataset}, seed {line.seed} "
                f"({other.trial}, {line.trial}); remove the one that is out of date"
            )
    for line in lines:
        if line.values.get("data_sha256") != lines[0].values.get("data_sha256"):
            raise UsageError(
                f"{line.study}: {line.variant!r} seed {line.seed} and {lines[0].variant!r} seed "
                f"{lines[0].seed} read different data as {line.dataset} (data_sha256 differs); "
                f"run them again on the same file"
            )


def check_alike(first: Line, line: Line) -> None:
    """UsageError where two seeds of a variant differ in more than the seed."""
    if fields_of(first) != fields_of(line):
        what = "fields"
    elif first.values.get("features_sha256") != line.values.get("features_sha256"):
        what = "attributes of items"
    elif first.values.get("plugins") != line.values.get("plugins"):
        what = "plug-ins"
    elif first.baseline != line.baseline:
        what = "baseline"
    else:
        return
    raise UsageError(
        f"{line.study}: seeds {first.seed} and {line.seed} of {line.variant!r} on {line.dataset} "
        f"have other {what} ({first.trial}, {line.trial}): they do not repeat one training; remove "
        "those that are out of date"
    )


def fields_of(line: Line) -> dict[str, Any]:
    """The configuration without the seed, and without the hash of weights that may differ by it."""
    tree = {key: value for key, value in (line.values.get("config") or {}).items() if key != "seed"}
    start = tree.get("init_from")
    if isinstance(start, dict):
        tree["init_from"] = {key: value for key, value in start.items() if key != "sha256"}
    return original_tree(without_added(tree))
