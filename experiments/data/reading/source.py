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
LOOK = 4096  # bytes, from the start of a file, that tell its form
TAR, TAR_AT = b"ustar", 257  # what a tar archive says, and where
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
    def on_disk(self) -> bool:
        """Whether it stands in a folder: as a file, or in an archive of its name (a.csv.zip)."""
        return self.member is None or unpacked_name(self.path.name) == self.name

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def packing(self) -> str:
        """The end of the name that says how it is packed: .gz of ratings.csv.gz; "" of others."""
        name = self.path.name if self.on_disk else PurePosixPath(str(self.member)).name
        return name.removeprefix(self.name)

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
        """Another file of the same folder, on disk or in an archive: packed or not, and where it
        is there in several packings, in that of this file.

        Errors: UsageError where it is there in several packings, of which none is this file's.
        """
        places = [self._in_same_archive(), self._in_same_folder()]
        of_each = ([source for source in place if source.name == name] for place in places)
        found = next((sources for sources in of_each if sources), [])
        found = [source for source in found if source.packing == self.packing] or found
        if not found:
            return None
        one = _only(found, f"beside {self}", "keep one of them there")
        return one if one.member is not None else find_source(one.path, [name], "")

    def _in_same_folder(self) -> list[Source]:
        return _in_folder(self.path.parent, "*") if self.on_disk else []

    def _in_same_archive(self) -> list[Source]:
        if self.member is None:
            return []
        folder = PurePosixPath(self.member).parent
        return [s for s in _in_archive(self.path) if PurePosixPath(str(s.member)).parent == folder]


def unpacked(source: Source, file: BinaryIO) -> BinaryIO:
    """What a file's first bytes say that it holds."""
    start = file.read(8)
    file.seek(0)
    for magic, reader in UNPACKED.items():
        if start.startswith(magic):
            return cast(BinaryIO, io.BufferedReader(reader(file), 1 << 20))
    if start.startswith(ZIP) and source.member is not None:
        return unpacked(Source(source.path), _member(file, source.member))
    return file


def _member(archive: BinaryIO, name: str) -> BinaryIO:
    return cast(BinaryIO, zipfile.ZipFile(archive).open(name))


def unpacked_name(name: str) -> str:
    stem, suffix = os.path.splitext(name)
    return stem if suffix in PACKED_SUFFIXES else name


def find_source(path: Path, patterns: Sequence[str], needs: str) -> Source:
    """The raw file that a path leads to.

    path:     a file; an archive or a folder with one of the files in it, at most a folder deeper.
    patterns: names that the file may have, in order of preference; * stands for any text.
    needs:    what is read and where to get it, for messages.
    Errors: UsageError when there is none, or more than one of the first of these names that any
    has.
    """
    if path.is_dir():
        if not patterns:
            raise UsageError(f"{path} is a folder; name a file in it")
        if found := _matching([*_in_folder(path, "*"), *_in_folder(path, "*/*")], patterns):
            one = _only(found, f"in {path}", "name the one that is meant")
            return find_source(one.path, patterns, needs)  # which may be an archive
        raise UsageError(f"{path} has none of {', '.join(patterns)} in it{needs}")
    if not os.path.exists(path):
        raise UsageError(f"{path}: there is no such file{needs}")
    with opened(path) as file:
        packed = file.read(len(ZIP)) == ZIP
    if not packed:
        return _no_tar(Source(path), needs)
    held = _in_archive(path)
    if found := _matching(held, patterns) or (held if len(held) == 1 else []):
        return _only(found, f"in {path}", "unpack it and name the one that is meant")
    names = ", ".join(str(source.member) for source in held[:10])
    raise UsageError(f"{path} holds {len(held)} files ({names}); unpack it and name one{needs}")


def _no_tar(source: Source, needs: str) -> Source:
    """Errors: UsageError for a tar archive, which is not looked into."""
    with source.opened() as file:
        start = file.read(TAR_AT + len(TAR))
    if start[TAR_AT:] == TAR:
        raise UsageError(f"{source} is a tar archive; unpack it and name the file in it{needs}")
    return source


def members(path: Path) -> list[str]:
    """The files in a zip archive."""
    try:
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            return [info.filename for info in archive.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise UsageError(f"{path} is cut short or damaged ({error}); get it again") from None


def _in_folder(folder: Path, pattern: str) -> list[Source]:
    return [Source(file) for file in sorted(folder.glob(pattern)) if file.is_file()]


def _in_archive(path: Path) -> list[Source]:
    return [Source(path, name) for name in members(path)]


def _matching(sources: list[Source], patterns: Sequence[str]) -> list[Source]:
    """Those whose names fit the first of the patterns that any fits."""
    of_each = ([s for s in sources if fnmatchcase(s.name, pattern)] for pattern in patterns)
    return next((found for found in of_each if found), [])


def _only(found: list[Source], where: str, remedy: str) -> Source:
    """Errors: UsageError that names them where there are several."""
    if len(found) > 1:
        names = ", ".join(str(source.member or source.path) for source in found[:10])
        more = ", ..." if len(found) > 10 else ""
        raise UsageError(f"{where}: {len(found)} files to choose from ({names}{more}); {remedy}")
    return found[0]
