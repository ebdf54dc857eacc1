"""The results of a study: a line of JSON for every trial, appended by any number of workers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from experiments.errors import UsageError
from experiments.record.line import Line, Values, parse
from experiments.storage.atomic import write_atomically, writing
from experiments.storage.files import REPOSITORY
from experiments.storage.lock import lock_of, locked

RESULTS = REPOSITORY / "experiments" / "results"


def study_files(results: Path) -> dict[str, Path]:
    """{study: its file}, by the path below `results`; files of another kind are left out."""
    paths = sorted(results.rglob("*.jsonl"), key=lambda path: (len(path.parts), path))
    named = {path.relative_to(results).with_suffix("").as_posix(): path for path in paths}
    return {name: path for name, path in named.items() if is_study(path)}


def is_study(path: Path) -> bool:
    """Do its lines name a study?  A first line that cannot be read is reported when it is read."""
    with path.open("rb") as file:
        first = file.readline()
    if not first:
        return False
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return True
    return isinstance(value, dict) and "study" in value


def read_lines(path: Path, whole: bool = False) -> list[Line]:
    """Every whole line, in the order of the file.  UsageError that names file and line.

    A last line without its end, whose writer writes or was killed, is left out, aloud; whole: it
    is an error, as whoever writes the file anew would lose it.
    """
    *texts, torn = path.read_bytes().split(b"\n")
    if torn and whole:
        raise UsageError(f"{path}: the last line has no end: complete it, or take it out")
    if torn:
        print(f"note: {path}: the last line has no end and is left out", file=sys.stderr)
    return [parse(text, f"{path.name}:{number}") for number, text in enumerate(texts, 1)]


class ResultsFile:
    """A file of lines, each of one trial; a lock file beside it lets one worker write at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[str, Values] = {}
        self._file: BinaryIO | None = None  # open, so that no other file can take its number
        self._read = 0  # how far it was read
        self._last = b""  # the line that ends there

    def lines(self) -> dict[str, Values]:
        """By trial; only what was added since the last call is parsed.

        A last line that is not whole (a writer was killed) is left out: its trial is not done.
        Where the file is another one than before (a version of git's, say), all of it is.
        Errors: UsageError for a line that is none of the results.
        """
        if not self._goes_on():
            self._start()
        if self._file is None:
            return self._lines
        self._file.seek(self._read)
        whole, end, _ = self._file.read().rpartition(b"\n")
        texts = whole.split(b"\n") if end else []
        for number, text in enumerate(texts, start=len(self._lines) + 1):
            line = parse(text, f"{self.path}, line {number}")
            self._lines[line.trial] = line.values
        self._read += len(whole) + len(end)
        self._last = texts[-1] + end if texts else self._last
        return self._lines

    def _goes_on(self) -> bool:
        """Whether the open file still is the one at the path, with what was read of it."""
        if self._file is None or not self.path.exists():
            return False
        if not os.path.samestat(os.fstat(self._file.fileno()), self.path.stat()):
            return False
        self._file.seek(self._read - len(self._last))
        return self._file.read(len(self._last)) == self._last

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def _start(self) -> None:
        self._close()
        self._file = self.path.open("rb") if self.path.exists() else None
        self._lines, self._read, self._last = {}, 0, b""

    def append(self, line: Values) -> bool:
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

    def replace(self, lines: dict[str, Values]) -> None:
        """Put other lines in the place of those of some trials."""
        with self.locked():
            self._rewrite([lines.get(line["trial"], line) for line in self.lines().values()])

    def _rewrite(self, lines: list[Values]) -> None:
        self._close()  # Windows puts no file in the place of one that is open
        text = "".join(json.dumps(line) + "\n" for line in lines)
        write_atomically(self.path, lambda path: path.write_bytes(text.encode()))

    def _append(self, text: bytes) -> None:
        with writing(self.path), self.path.open("ab") as file:
            file.truncate(self._read)  # what a killed writer left of its line
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process at a time is inside, on all machines that share the folder."""
        with locked(lock_of(self.path)):
            yield


class Shown(ResultsFile):
    """Lines as they would be in a file: a dry run changes them, and writes none."""

    def __init__(self, path: Path, lines: dict[str, Values]) -> None:
        super().__init__(path)
        self._lines = lines

    def lines(self) -> dict[str, Values]:
        return self._lines

    def _rewrite(self, lines: list[Values]) -> None:
        self._lines = {line["trial"]: line for line in lines}

    @contextmanager
    def locked(self) -> Iterator[None]:
        yield
