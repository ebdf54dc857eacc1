"""One process at a time in a folder, or at a file, on all machines that share it."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from experiments.errors import UsageError
from experiments.storage.atomic import writing

NAME = ".lock"  # of a run's folder
RETRY = 0.2  # seconds: a file that its last holder has just removed is made again
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Busy(UsageError):
    """Another process is writing the folder: now, not for good."""


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock of this file, which the system gives back however the process ends.

    path: the lock's file; it and its folder are made when they are not there.
    wait: for another process that holds it; else Busy.
    Where the file system has no locks, whoever waits gets RunFailed, and whoever does not wait
    goes on without one after a note.  Not to be held twice by one thread.
    Errors: NotWritable or RunFailed where the file cannot be made.
    """
    lock = FileLock(path, timeout=-1 if wait else RETRY, fallback_to_soft=False)
    with writing(path if wait else path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        acquire(lock, wait)
    try:
        yield
    finally:
        lock.release()


def acquire(lock: FileLock, wait: bool) -> None:
    """Errors: Busy when another process holds it; OSError where it cannot be made."""
    folder = Path(lock.lock_file).parent
    try:
        lock.acquire()
    except Timeout:
        raise Busy(f"{folder}: another process is training in it") from None
    except OSError as error:
        if wait or error.errno not in NO_LOCKS:
            raise
        note = "this file system has no locks; start no second process here"
        print(f"{folder}: {note}", file=sys.stderr)


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder; Busy when another process has it.

    Leftovers of killed processes, whose writing this one cannot disturb, are swept away.
    """
    with locked(folder / NAME, wait=False):
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink(missing_ok=True)
        try:
            yield
        finally:
            with suppress(PermissionError):  # Windows removes no open file; it stays, unlocked
                (folder / NAME).unlink(missing_ok=True)


def lock_of(results: Path) -> Path:
    """The lock that whoever writes a file of results has to hold."""
    return results.with_name(f".{results.name}.lock")
