"""Whose mistake it is that something could not be written."""

from __future__ import annotations

import errno
from pathlib import Path

from experiments.errors import RunFailed, UsageError

NOT_ALLOWED = (
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EEXIST),
)


def cannot_write(path: Path, error: OSError) -> UsageError | RunFailed:
    """What to raise: a folder that may not be written to is a mistake, a full disk a failure."""
    kind = UsageError if error.errno in NOT_ALLOWED else RunFailed
    return kind(f"{path}: cannot be written ({error.strerror or error})")
