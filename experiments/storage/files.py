"""The bytes of a source file, with one line for every way they cannot be had."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from experiments.errors import UsageError

REPOSITORY = Path(__file__).parents[2]
LONGEST_LINE = 1 << 20  # bytes, of a table


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file, open for reading bytes.

    Errors: UsageError when it is missing, unreadable, a folder, or a pipe or device, which may
    have no end.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(f"{path} is a folder; name a file in it")
        if not stat.S_ISREG(mode):
            raise UsageError(f"{path} is a pipe or a device; name a regular file")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None


def read_text(path: Path) -> str:
    """All of a UTF-8 file, without a byte order mark.

    Errors: UsageError when it cannot be read or is not UTF-8.
    """
    with opened(path) as file:
        raw = file.read()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text") from None


def checked_chunks(file: BinaryIO, name: str) -> Iterator[bytes]:
    """All bytes of a table, a part at a time; name: for messages.

    Errors: UsageError for a NUL byte, the sign of a binary file or of UTF-16, and for a line
    without end, of which a parser makes millions of fields.
    """
    while chunk := file.read(LONGEST_LINE):
        if b"\0" in chunk:
            raise UsageError(f"{name} holds NUL bytes: it is not UTF-8 text")
        if len(chunk) == LONGEST_LINE and b"\n" not in chunk and b"\r" not in chunk:
            raise UsageError(f"{name} has a line of more than {LONGEST_LINE:,} bytes")
        yield chunk


def plain_name(name: str) -> bool:
    """Whether a name is one printable path component that is safe to join to a folder."""
    return (
        name.isprintable()
        and not name.startswith((".", "-"))
        and not set(name) & set("/\\:")
        and 0 < len(name.encode()) <= 200
        and name == name.strip()
    )
