"""The record of a study: a line of JSON for every trial, appended by any number of workers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from experiments.checkpoint import write_atomically
from experiments.disk import cannot_write
from experiments.report.read import parse
from experiments.study.lock import lock_of, locked

Line = dict[str, Any]


class Record:
    """A file of lines, each of one trial; a lock file beside it lets one worker write at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[str, Line] = {}
        self._read: tuple[int, int] = (0, 0)  # which file, and how far it was read
        self._last = b""  # the line that ends there

    def lines(self) -> dict[str, Line]:
        """By trial; only what was added since the last call is read.

        A last line that is not whole (a writer was killed) is left out: its trial is not done.
        Where the file is another one than before (a version of git's, say), all of it is.
        Errors: UsageError for a line that is not one of a record.
        """
        if not self.path.exists():
            self._lines, self._read, self._last = {}, (0, 0), b""
            return self._lines
        with self.path.open("rb") as file:
            inode, offset = os.fstat(file.fileno()).st_ino, self._read[1]
            if not self._goes_on(file, inode):
                self._lines, offset, self._last = {}, 0, b""
            file.seek(offset)
            whole, _, _ = file.read().rpartition(b"\n")
        texts = whole.split(b"\n") if whole else []
        for number, text in enumerate(texts, start=len(self._lines) + 1):
            line = parse(text, f"{self.path}, line {number}").values
            self._lines[line["trial"]] = line
        self._read = (inode, offset + len(whole) + bool(whole))
        self._last = texts[-1] + b"\n" if texts else self._last
        return self._lines

    def _goes_on(self, file: BinaryIO, inode: int) -> bool:
        """Whether what was read before is still there; the number of a file is used again."""
        before, offset = self._read
        file.seek(offset - len(self._last))
        return inode == before and file.read(len(self._last)) == self._last

    def append(self, line: Line) -> bool:
        """Add a trial's line, whole and on disk; False when it has one."""
        with self.locked():
            if line["trial"] in self.lines():
                return False
            self._append(json.dumps(line).encode() + b"\n")
        return True

    def forget(self, trials: set[str]) -> None:
        """Take the lines of these trials out."""
        with self.locked():
            self._rewrite([line for line in self.lines().values() if line["trial"] not in trials])

    def replace(self, lines: dict[str, Line]) -> None:
        """Put other lines in the place of those of some trials."""
        with self.locked():
            self._rewrite([lines.get(line["trial"], line) for line in self.lines().values()])

    def _rewrite(self, lines: list[Line]) -> None:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        write_atomically(self.path, lambda path: path.write_text(text, encoding="utf-8"))

    def _append(self, text: bytes) -> None:
        try:
            with self.path.open("ab") as file:
                file.truncate(self._read[1])  # what a killed writer left of its line
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process at a time is inside, on all machines that share the folder."""
        with locked(lock_of(self.path)):
            yield
