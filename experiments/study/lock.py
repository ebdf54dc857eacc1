"""One process at a time: a lock on a file, on all machines that share the folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.disk import cannot_write


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process at a time is inside; a process that is killed there lets the next one in.

    path: the lock's file; made when it is not there.
    Errors: as `cannot_write` says, where it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise cannot_write(path, error) from None
    with file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield


def lock_of(record: Path) -> Path:
    """The lock that whoever writes a record has to hold."""
    return record.with_name(f".{record.name}.lock")
