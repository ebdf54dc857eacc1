"""Files of a report, which can be made again, and files that cannot."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from experiments.disk import writing


def put(path: Path, content: str | bytes) -> None:
    """Write or overwrite; its folder is made.  Errors: as `writing`."""
    write(path, content, lambda data: path.write_bytes(data))


def replace(path: Path, content: str) -> None:
    """As `put`; a reader finds the old file or the new one, never a part."""
    from experiments.checkpoint import write_atomically

    write(path, content, lambda data: write_atomically(path, lambda new: new.write_bytes(data)))


def write(path: Path, content: str | bytes, by: Callable[[bytes], object]) -> None:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        by(content.encode() if isinstance(content, str) else content)


def slug(text: str) -> str:
    """As a file's name."""
    return re.sub(r"[\W_]+", "-", text).strip("-").lower()
