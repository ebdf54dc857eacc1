"""Read the text form: a line per user, `user item item ...`, oldest item first."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.data.histories import IntArray
from experiments.data.ids import shown
from experiments.data.interactions import Interactions, StrArray
from experiments.errors import UsageError
from experiments.storage.files import opened

FORM = "each line is: user item item ..."

_DIGITS = b"0123456789"
_ALLOWED = _DIGITS + b" \t\n"
_AS_NINES = bytes.maketrans(_DIGITS, b"9" * 10)
_TOO_LONG = b"9" * 19  # may not fit in 64 bits
_SPACE = re.compile(rb"[ \t\n]")
_BOM = b"\xef\xbb\xbf"


def read_text(path: Path) -> Interactions:
    """Every user and item of a file of positive integers; numbered in numeric order.

    Blank lines are skipped; a user without items stays, with no interactions.
    Errors: UsageError with the line and the token for anything else.
    """
    with opened(path) as file:
        raw = file.read()
    text = _with_plain_line_ends(raw)
    _check_characters(path, text)
    starts = _token_starts(text)  # [bytes]
    if not starts.any():
        raise UsageError(f"{path} is empty; {FORM}")
    values = np.fromstring(text, dtype=np.int64, sep=" ")  # [tokens]
    _check_zeros(path, text, values, starts)
    lines, tokens = _tokens_of_lines(text, starts)  # [lines] with a user
    heads = np.cumsum(tokens) - tokens  # [lines] where each line's user is in values
    users = values[heads]  # [lines]
    _check_repeats(path, users, lines)
    items = np.delete(values, heads)  # [N]
    sha256 = hashlib.sha256(raw).hexdigest()
    del raw, text, starts, values  # a file may be half of the memory
    return _sorted(path, sha256, users, tokens - 1, items)


def _sorted(
    path: Path, sha256: str, users: IntArray, lengths: IntArray, items: IntArray
) -> Interactions:
    """Number users and items in numeric order. users, lengths: [lines]; items: [N]."""
    user_numbers, of_line = _numbered(users)
    item_numbers, of_item = _numbered(items)
    owners = np.repeat(of_line, lengths)  # [N]
    if (np.diff(of_line) < 0).any():
        order = np.argsort(owners, kind="stable")  # [N]
        owners, of_item = owners[order], of_item[order]
    return Interactions(
        source=str(path),
        sha256=sha256,
        users=owners,
        items=of_item,
        user_ids=_as_text(user_numbers),
        item_ids=_as_text(item_numbers),
    )


def _numbered(ids: IntArray) -> tuple[IntArray, IntArray]:
    """The distinct ids in order, and the place of each of [n] ids among them.

    `np.unique`, in a tenth of its time and memory where ids are dense.
    """
    highest = int(ids.max(initial=0))
    if highest > 4 * len(ids):
        return np.unique(ids, return_inverse=True)
    used = np.zeros(highest + 1, dtype=np.bool_)
    used[ids] = True
    return np.flatnonzero(used), (np.cumsum(used) - 1)[ids]


def _as_text(numbers: IntArray) -> StrArray:
    widest = len(str(numbers.max(initial=1)))
    return numbers.astype(f"U{widest}")


def _with_plain_line_ends(raw: bytes) -> bytes:
    """No byte order mark, `\\n` for every line end, and one at the end of the file."""
    text = raw[len(_BOM) :] if raw.startswith(_BOM) else raw
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text if text.endswith(b"\n") else text + b"\n"


def _check_characters(path: Path, text: bytes) -> None:
    if others := text.translate(None, _ALLOWED):
        raise _wrong_token(path, text, text.find(others[:1]), "is not a positive integer id")
    long = text.translate(_AS_NINES).find(_TOO_LONG)
    if long >= 0:
        raise _wrong_token(path, text, long, "has more than 18 digits")


def _check_zeros(path: Path, text: bytes, values: IntArray, starts: NDArray[np.bool_]) -> None:
    if not values.all():
        position = np.flatnonzero(starts)[np.argmin(values)]
        raise _wrong_token(path, text, int(position), "is not an id: ids start at 1")


def _check_repeats(path: Path, users: IntArray, lines: IntArray) -> None:
    """users, lines: [lines] the user and the line number of each line."""
    distinct, first = np.unique(users, return_index=True)
    if len(distinct) < len(users):
        repeat = np.setdiff1d(np.arange(len(users)), first)[0]
        before = first[np.searchsorted(distinct, users[repeat])]
        raise UsageError(
            f"{path} line {lines[repeat]}: user {users[repeat]} already has line "
            f"{lines[before]}; a user's whole history is on one line: user item item ..."
        )


def _token_starts(text: bytes) -> NDArray[np.bool_]:
    """[bytes] whether a token starts here."""
    starts = np.frombuffer(text, dtype=np.uint8) >= ord("0")
    starts[1:] &= ~starts[:-1]
    return starts


def _tokens_of_lines(text: bytes, starts: NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
    """Line numbers (from 1) of the lines that are not blank, and their tokens: both [lines]."""
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n"))  # [all lines]
    before = np.searchsorted(np.flatnonzero(starts), ends)  # [all lines] tokens up to its end
    tokens = np.diff(before, prepend=0)
    filled = np.flatnonzero(tokens)
    return filled + 1, tokens[filled]


def _wrong_token(path: Path, text: bytes, position: int, problem: str) -> UsageError:
    """The error for the token around this byte."""
    line = text.count(b"\n", 0, position) + 1
    begin = max(text.rfind(space, 0, position) for space in (b" ", b"\t", b"\n")) + 1
    token = _SPACE.split(text[begin : begin + 4096], maxsplit=1)[0]
    return UsageError(f"{path} line {line}: {shown(token)} {problem}; {FORM}")
