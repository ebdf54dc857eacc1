"""Put files on disk, and say whose mistake it is that one could not be written."""

from __future__ import annotations

import errno
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.errors import RunFailed, UsageError

NOT_ALLOWED = (
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EEXIST),
)
FULL_OR_FAILING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


WINDOWS = sys.platform == "win32"


def to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of files, would survive a loss of power.

    Windows opens no folder, and flushes only files that are open for writing.
    """
    if WINDOWS and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if WINDOWS else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class NotWritable(UsageError):
    """Nothing may be written there, whatever it is."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """The block writes the path.  Errors: NotWritable or RunFailed where the system refuses."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> NotWritable | RunFailed:
    """What to raise: a folder that may not be written to is a mistake, a full disk a failure."""
    kind = NotWritable if error.errno in NOT_ALLOWED else RunFailed
    return kind(f"{path}: cannot be written ({error.strerror or error})")


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """The file is there completely, or as it was before: temporary file, fsync, rename, fsync.

    Errors: NotWritable where that is not allowed, RunFailed for a full or failing disk.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            write(temporary)
            to_disk(temporary)
            temporary.replace(path)
            to_disk(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode())


def create_once(path: Path, content: str, synced: bool) -> bool:
    """Make a file, whole and only if it is not there yet: of any number who try, one does.

    synced: its content would survive a loss of power.  Returns whether it was made here.
    Errors: as `writing` its folder.
    """
    own = path.with_name(f".{uuid.uuid4().hex}")
    with writing(path.parent):
        try:
            own.write_bytes(content.encode())
            if synced:
                to_disk(own)
            os.link(own, path)  # never seen half written
        except FileExistsError:
            return False
        finally:
            own.unlink(missing_ok=True)
    return True


def put(path: Path, content: str | bytes) -> None:
    """Write or overwrite; its folder is made.  Errors: as `writing`."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def replace(path: Path, content: str) -> None:
    """As `put`; a reader finds the old file or the new one, never a part."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content.encode())
