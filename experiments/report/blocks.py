"""Blocks of pages that the results decide, between two markers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import UsageError, did_you_mean

START = re.compile(r"^<!-- report: (\S+)(?: +(\S+))? -->$", re.M)
END = "<!-- end report -->"
Writer = Callable[[str | None], str]
Mended = dict[Path, tuple[str, list[str]]]


@dataclass(frozen=True)
class Block:
    """Text between two markers.  start, end: its place in the file."""

    name: str
    option: str | None
    start: int
    end: int


def blocks(text: str, file: str, known: Iterable[str], options: Sequence[str]) -> list[Block]:
    """Every block, in order.  UsageError for one that never ends, or that nothing can fill.

    options: what a block may ask for besides its name.
    """
    names = list(known)
    placed = []
    for match in START.finditer(text):
        name, option = match[1], match[2]
        end = text.find(END, match.end())
        following = START.search(text, match.end())
        if end < 0 or (following is not None and following.start() < end):
            raise UsageError(f"{file}: the block {name!r} has no {END}")
        if name not in names:
            near = did_you_mean(name, names)
            raise UsageError(f"{file}: no results of {name!r}{near}; known: {', '.join(names)}")
        if option is not None and option not in options:
            raise UsageError(
                f"{file}: the block {name!r} has the unknown option {option!r}; "
                f"known: {', '.join(options)}"
            )
        placed.append(Block(name, option, match.end(), end))
    return placed


def rewritten(
    text: str, placed: list[Block], writers: Mapping[str, Writer]
) -> tuple[str, list[str]]:
    """The file as the results want it, and the names of the blocks that differ.

    writers: what fills each block, told its option; blocks of others stay.
    """
    stale = []
    for block in reversed(placed):  # from the end, so that earlier places stay true
        if block.name not in writers:
            continue
        wanted = f"\n\n{writers[block.name](block.option)}\n\n"
        if text[block.start : block.end] != wanted:
            stale.append(block.name)
            text = text[: block.start] + wanted + text[block.end :]
    return text, list(dict.fromkeys(reversed(stale)))


def text_or_nothing(path: Path) -> str:
    """Empty where there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def mended(
    files: Iterable[Path],
    known: Iterable[str],
    options: Sequence[str],
    writers: Mapping[str, Writer],
) -> Mended:
    """Each file that the results want otherwise: its new text, and the names of the blocks."""
    names = list(known)
    changed = {}
    for file in files:
        before = text_or_nothing(file)
        after, stale = rewritten(before, blocks(before, file.name, names, options), writers)
        if stale:
            changed[file] = (after, stale)
    return changed
