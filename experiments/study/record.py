"""The record of a study: a line of JSON for every trial, appended by any number of workers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.checkpoint import write_atomically
from experiments.disk import writing
from experiments.report.read import parse
from experiments.study.lock import locked

Line = dict[str, Any]


class Record:
    """A file of lines, each of one trial; a lock file beside it lets one worker write at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[str, Line] = {}
        self._text = b""  # the whole lines that were read
        self._seen = (0, 0, 0)  # the file's number, size and time when that was all of it

    def lines(self) -> dict[str, Line]:
        """By trial; only what was added since the last call is parsed.

        A last line that is not whole (a writer was killed) is left out: its trial is not done.
        Errors: UsageError for a line that is not one of a record.
        """
        if not self.path.exists():
            self._lines, self._text = {}, b""
            return self._lines
        with self.path.open("rb") as file:
            status = os.fstat(file.fileno())
            now = (status.st_ino, status.st_size, status.st_mtime_ns)
            if now == self._seen:
                return self._lines
            content = file.read()
        if not content.startswith(self._text):  # another file, even if its number is used again
            self._lines, self._text = {}, b""
        added = content[len(self._text) : content.rfind(b"\n") + 1]
        for number, text in enumerate(added.split(b"\n")[:-1], start=self._text.count(b"\n") + 1):
            line = parse(text, f"{self.path}, line {number}")
            self._lines[line.trial] = line.values
        self._text, self._seen = self._text + added, now
        return self._lines

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
        with writing(self.path), self.path.open("ab") as file:
            file.truncate(len(self._text))  # what a killed writer left of its line
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process at a time is inside, on all machines that share the folder."""
        with locked(self.path.with_name(f".{self.path.name}.lock")):
            yield
