"""One process at a time: a lock on a file, on all machines that share the folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.disk import writing


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process at a time is inside; a process that is killed there lets the next one in.

    path: the lock's file; made when it is not there.
    Errors: NotWritable or RunFailed where it cannot be made.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    with file:
        with writing(path):
            fcntl.lockf(file, fcntl.LOCK_EX)
        yield


def lock_of(record: Path) -> Path:
    """The lock that whoever writes a record has to hold."""
    return record.with_name(f".{record.name}.lock")
