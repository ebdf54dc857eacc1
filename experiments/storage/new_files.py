"""Write a set of files so that each is there completely or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from experiments.errors import UsageError
from experiments.storage.atomic import cannot_write, to_disk
from experiments.storage.hashing import file_sha256

Writer = Callable[[Path], None]


def write_new(folder: Path, writers: Mapping[str, Writer], taken: str) -> None:
    """Write files into a folder, in this order, through temporary files next to them.

    Nothing is replaced: a file that is there with the same content stays, one with other
    content stops everything before the first file appears. Errors: UsageError for that (ends
    in `taken`: what to do about it), and where nothing may be written; RunFailed for a full disk.
    """
    written: dict[str, Path] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, write in writers.items():
            written[name] = folder / f".{name}.{os.getpid()}.tmp"
            write(written[name])
            to_disk(written[name])
        for name, temporary in written.items():
            _check_free(folder / name, temporary, taken)
        for name, temporary in written.items():
            temporary.replace(folder / name)
        to_disk(folder)
    except OSError as error:
        raise cannot_write(folder, error) from None
    finally:
        for temporary in written.values():
            temporary.unlink(missing_ok=True)


def copy_of(source: Path) -> Writer:
    """A writer that copies this file's bytes."""

    def write(path: Path) -> None:
        shutil.copyfile(source, path)

    return write


def text_of(text: str) -> Writer:
    """A writer of this text, the same bytes on every system."""

    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8", newline="\n")

    return write


def _check_free(path: Path, temporary: Path, taken: str) -> None:
    if path.exists() and (path.is_dir() or file_sha256(path) != file_sha256(temporary)):
        raise UsageError(f"{path} is already there with different content: {taken}")
