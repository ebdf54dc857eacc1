"""Read the text forms: a line per user, `user item item ...`, or per interaction, `user item`,
oldest item first."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.data.histories import IntArray
from experiments.data.ids import in_id_order, shown
from experiments.data.interactions import Interactions, StrArray
from experiments.data.reading.missing import no_id
from experiments.data.reading.source import Source
from experiments.errors import UsageError
from experiments.storage.hashing import file_sha256

FORM = "each line is: user item item ..."
PAIR_FORM = "with --format pairs each line is: user item"

_DIGITS = b"0123456789"
_ALLOWED = _DIGITS + b" \t\n"
_AS_NINES = bytes.maketrans(_DIGITS, b"9" * 10)
_TOO_LONG = b"9" * 19  # may not fit in 64 bits
_SPACE = re.compile(rb"[ \t\n]")
_BOM = b"\xef\xbb\xbf"


def read_text(source: Source) -> Interactions:
    """A file of lists or of pairs, as `read_lines`."""
    return read_lines(source, "auto")[0]


def read_lines(source: Source, form: str) -> tuple[Interactions, str]:
    """Every user and item of a file of lines: lists, pairs, or whichever of them it is.

    Ids are positive integers, numbered in numeric order; where the form is told, they may be
    words, and begin with 0, as well. A file is one of pairs when every line has two ids and a
    user has several lines. Blank lines are skipped; a user without items stays, with no
    interactions. Also returns which of them it is.
    Errors: UsageError with the line and the token for anything else.
    """
    with source.opened() as file:
        raw = file.read()
    text = _with_plain_line_ends(raw)
    sha256 = file_sha256(source.path)
    if form != "auto" and text.translate(None, _ALLOWED):
        return _of_words(source, text, sha256, form), form
    _check_characters(source, text)
    starts = _token_starts(text)  # [bytes]
    if not starts.any():
        raise UsageError(f"{source} is empty; {FORM}")
    values = np.fromstring(text, dtype=np.int64, sep=" ")  # [tokens]
    _check_zeros(source, text, values, starts)
    if (padded := _padded(text, starts)) is not None:
        if form != "auto":
            return _of_words(source, text, sha256, form), form
        raise _wrong_token(
            source, text, padded,
            "begins with 0, and is another id than without it: `run.py data --format lists` or "
            "pairs takes such ids as they are written",
        )  # fmt: skip
    lines, tokens = _tokens_of_lines(text, starts)  # [lines] with a user
    heads = np.cumsum(tokens) - tokens  # [lines] where each line's user is in values
    users = values[heads]  # [lines]
    form = _check_form(source, users, lines, tokens, form)
    if form == "lists":
        _check_repeats(source, users, lines)
    items = np.delete(values, heads)  # [N]
    del raw, text, starts, values  # a file may be half of the memory
    return _sorted(source, sha256, users, tokens - 1, items), form


def _check_form(
    source: Source, users: NDArray[Any], lines: IntArray, tokens: IntArray, form: str
) -> str:
    """lists or pairs. users, lines, tokens: [lines].

    Errors: UsageError with the line that has no two ids in a file of pairs.
    """
    other = np.flatnonzero(tokens != 2)
    if form == "pairs" and len(other):
        raise UsageError(
            f"{source} line {lines[other[0]]}: has {tokens[other[0]]} ids; {PAIR_FORM}"
        )
    several = len(np.unique(users)) < len(users)
    return (
        "pairs" if form == "pairs" or (form == "auto" and not len(other) and several) else "lists"
    )


def _of_words(source: Source, text: bytes, sha256: str, form: str) -> Interactions:
    """The same for ids that are words."""
    try:
        rows = [line.split() for line in text.decode().split("\n")]
    except UnicodeDecodeError:
        raise UsageError(f"{source} is not UTF-8 text") from None
    numbered = [(number, row) for number, row in enumerate(rows, 1) if row]
    lines = np.array([number for number, _ in numbered])
    tokens = np.array([len(row) for _, row in numbered])
    words = np.array([word for _, row in numbered for word in row])  # [tokens]
    heads = np.cumsum(tokens) - tokens
    if wrong := no_id(words.tolist()):
        raise UsageError(f"{source}: the id {shown(wrong[0])} {wrong[1]}")
    if _check_form(source, words[heads], lines, tokens, form) == "lists":
        _check_repeats(source, words[heads], lines)
    user_ids, owners = in_id_order(words[heads])
    item_ids, items = in_id_order(np.delete(words, heads))
    users = np.repeat(owners, tokens - 1)  # [N]
    order = np.argsort(users, kind="stable")  # [N]
    return Interactions(str(source), sha256, users[order], items[order], user_ids, item_ids)


def _sorted(
    source: Source, sha256: str, users: IntArray, lengths: IntArray, items: IntArray
) -> Interactions:
    """Number users and items in numeric order. users, lengths: [lines]; items: [N]."""
    user_numbers, of_line = _numbered(users)
    item_numbers, of_item = _numbered(items)
    owners = np.repeat(of_line, lengths)  # [N]
    if (np.diff(of_line) < 0).any():
        order = np.argsort(owners, kind="stable")  # [N]
        owners, of_item = owners[order], of_item[order]
    return Interactions(
        source=str(source),
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


def _check_characters(source: Source, text: bytes) -> None:
    if others := text.translate(None, _ALLOWED):
        raise _wrong_token(source, text, text.find(others[:1]), "is not a positive integer id")
    long = text.translate(_AS_NINES).find(_TOO_LONG)
    if long >= 0:
        raise _wrong_token(source, text, long, "has more than 18 digits")


def _check_zeros(source: Source, text: bytes, values: IntArray, starts: NDArray[np.bool_]) -> None:
    if not values.all():
        position = np.flatnonzero(starts)[np.argmin(values)]
        raise _wrong_token(source, text, int(position), "is not an id: ids start at 1")


def _padded(text: bytes, starts: NDArray[np.bool_]) -> int | None:
    """Where the first id begins with 0; None where none does."""
    found = starts & (np.frombuffer(text, dtype=np.uint8) == ord("0"))
    return int(found.argmax()) if found.any() else None


def _check_repeats(source: Source, users: NDArray[Any], lines: IntArray) -> None:
    """users, lines: [lines] the user and the line number of each line."""
    distinct, first = np.unique(users, return_index=True)
    if len(distinct) < len(users):
        repeat = np.setdiff1d(np.arange(len(users)), first)[0]
        before = first[np.searchsorted(distinct, users[repeat])]
        raise UsageError(
            f"{source} line {lines[repeat]}: user {users[repeat]} already has line "
            f"{lines[before]}; a user's whole history is on one line: user item item ... "
            "(one interaction a line: --format pairs)"
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


def _wrong_token(source: Source, text: bytes, position: int, problem: str) -> UsageError:
    """The error for the token around this byte."""
    line = text.count(b"\n", 0, position) + 1
    begin = max(text.rfind(space, 0, position) for space in (b" ", b"\t", b"\n")) + 1
    token = _SPACE.split(text[begin : begin + 4096], maxsplit=1)[0]
    return UsageError(f"{source} line {line}: {shown(token)} {problem}; {FORM}")
