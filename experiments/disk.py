"""Put files on disk, and say whose mistake it is that one could not be written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.errors import RunFailed, UsageError

NOT_ALLOWED = (
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EEXIST),
)
FULL_OR_FAILING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of files, would survive a loss of power."""
    handle = os.open(path, os.O_RDONLY)
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
