"""One process at a time writes a run's folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from experiments.disk import writing
from experiments.errors import UsageError

NAME = ".lock"
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Busy(UsageError):
    """Another process is writing the folder: now, not for good."""


@contextlib.contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold folder/.lock, which the system gives back however the process ends.

    Creates the folder.  Leftovers of killed processes, whose writing this one cannot disturb,
    are swept away.
    Errors: Busy when another process holds it, UsageError where nothing may be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = acquire(folder / NAME)
    try:
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink(missing_ok=True)
        yield
    finally:
        (folder / NAME).unlink(missing_ok=True)
        os.close(handle)


def acquire(path: Path) -> int:
    """The open, locked file at this path: not one that its last holder has just removed."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise Busy(f"{path.parent}: another process is training in it") from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            print(
                f"{path.parent}: this file system has no locks; start no second process here",
                file=sys.stderr,
            )
            return handle
        if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
            return handle
        os.close(handle)
