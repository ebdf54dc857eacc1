"""A raw file to read: found in a folder or an archive, unpacked on the way."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from experiments.errors import UsageError
from experiments.storage.files import opened

UNPACKED: dict[bytes, Callable[[BinaryIO], object]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zip")
ZIP = b"PK\x03\x04"
BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Source:
    """A file, or a file in a zip archive; gzip, bzip2 and xz are known by their first bytes."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path} ({self.member})"

    @property
    def name(self) -> str:
        """The name of what is unpacked: ratings.csv of ratings.csv.gz."""
        return unpacked_name(PurePosixPath(self.member or self.path.name).name)

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The unpacked bytes.

        Errors: UsageError when the file cannot be read, or is not packed as it begins: it ends
        early, or is damaged.
        """
        with opened(self.path) as file:
            try:
                yield unpacked(self, file)
            except BROKEN as error:
                raise UsageError(
                    f"{self} is cut short or damaged ({str(error) or type(error).__name__}); "
                    "get it again"
                ) from None
            except RuntimeError as error:  # of zipfile: encrypted, or a method that it has not
                raise UsageError(f"{self} cannot be unpacked ({error}); unpack it first") from None
            except OSError as error:
                if error.errno is None:  # of bz2, for bytes that are none
                    raise UsageError(f"{self} is damaged ({error}); get it again") from None
                raise

    def beside(self, name: str) -> Source | None:
        """Another file of the same folder or archive, packed or not."""
        if self.member is None:
            return next(_in_folder(self.path.parent, [name]), None)
        folder = PurePosixPath(self.member).parent
        here = [m for m in members(self.path) if PurePosixPath(m).parent == folder]
        return next(_in_archive(self.path, here, [name]), None)


def unpacked(source: Source, file: BinaryIO) -> BinaryIO:
    """What a file's first bytes say that it holds."""
    start = file.read(8)
    file.seek(0)
    for magic, reader in UNPACKED.items():
        if start.startswith(magic):
            return cast(BinaryIO, io.BufferedReader(reader(file), 1 << 20))
    if start.startswith(ZIP) and source.member is not None:
        return cast(BinaryIO, zipfile.ZipFile(file).open(source.member))
    return file


def unpacked_name(name: str) -> str:
    stem, suffix = os.path.splitext(name)
    return stem if suffix in PACKED_SUFFIXES else name


def find_source(path: Path, patterns: Sequence[str], needs: str) -> Source:
    """The raw file that a path leads to.

    path:     a file; an archive or a folder with one of the files in it, at most a folder deeper.
    patterns: names that the file may have, in order of preference; * stands for any text.
    needs:    what is read and where to get it, for messages.
    Errors: UsageError when there is none, or more than one to choose from.
    """
    if path.is_dir():
        if not patterns:
            raise UsageError(f"{path} is a folder; name a file in it")
        if found := next(_in_folder(path, patterns), None):
            return found
        raise UsageError(f"{path} has none of {', '.join(patterns)} in it{needs}")
    if not os.path.exists(path):
        raise UsageError(f"{path}: there is no such file{needs}")
    with opened(path) as file:
        if file.read(len(ZIP)) != ZIP:
            return Source(path)
    names = members(path)
    if found := next(_in_archive(path, names, patterns), None):
        return found
    if len(names) == 1:
        return Source(path, names[0])
    held = ", ".join(names[:10])
    raise UsageError(f"{path} holds {len(names)} files ({held}); unpack it and name one{needs}")


def members(path: Path) -> list[str]:
    """The files in a zip archive."""
    try:
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            return [info.filename for info in archive.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise UsageError(f"{path} is cut short or damaged ({error}); get it again") from None


def _in_folder(folder: Path, patterns: Sequence[str]) -> Iterator[Source]:
    files = [*sorted(folder.glob("*")), *sorted(folder.glob("*/*"))]
    files = [file for file in files if file.is_file()]
    for pattern in patterns:
        yield from (Source(f) for f in files if fnmatchcase(unpacked_name(f.name), pattern))


def _in_archive(path: Path, names: Sequence[str], patterns: Sequence[str]) -> Iterator[Source]:
    for pattern in patterns:
        for name in names:
            if fnmatchcase(unpacked_name(PurePosixPath(name).name), pattern):
                yield Source(path, name)
