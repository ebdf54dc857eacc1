"""Trainings that kill themselves at a chosen point, each in a process that was forked.

python -m tests.experiments.training.killed DATA FOLDER POINT,POINT,...,0 ...
Each list is a run on DATA/planted.txt, into FOLDER/0, FOLDER/1 and so on.  Each of its points is
a training, restarted as a user would, that is killed at that point; 0 is one that is left alone,
but lists its points.  Prints a line for each: where it ended, after how many points.
Forking from a process that has imported everything, but computed nothing, saves the imports:
one training, which is thrown away, tells what there is to import.

A kill leaves what is on disk and nothing else.  So the points are the moments before Python asks
the system to change the run's folder, which its audit events tell whatever function of ours asks,
and the midst of every file that is written.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from experiments.cli.main import main
from experiments.report import run_curves
from tests.experiments.small_data import FAST, RUN_FILES

FIELDS = ("--model=cl4srec", "--epochs=2", "--contrast.0.operators=[crop, mask]", *FAST)
CHANGES = {"os.mkdir": "make", "os.rename": "rename", "os.remove": "remove", "os.rmdir": "remove"}
BYTES = 10  # of a file that is left in the midst of being written; each is longer


class Points:
    """Counts the points in one folder, and kills the process at the one that is `fatal`."""

    def __init__(self, folder: Path, fatal: int, report: int) -> None:
        self.folder, self.fatal, self.report = str(folder), fatal, report
        self.names: list[str] = []
        self.dying = False

    def look(self, event: str, given: tuple[Any, ...]) -> None:
        """An audit hook."""
        if event not in ("open", *CHANGES) or not isinstance(given[0], (str, os.PathLike)):
            return
        path = os.fspath(given[0])
        if not path.startswith(self.folder):
            return
        if event != "open":
            self.reach(f"{CHANGES[event]}:{called(path) if path != self.folder else 'folder'}")
        elif given[2] & (os.O_WRONLY | os.O_RDWR):
            self.reach(f"open:{called(path)}")
            if called(path) in RUN_FILES:
                self.reach(f"half:{called(path)}", path)

    def reach(self, name: str, half: str | None = None) -> None:
        """A point; half: the file that is about to be written, whose midst it is."""
        self.names.append(name)
        if self.dying:  # there was less to write than what is left of it
            os.kill(os.getpid(), signal.SIGKILL)
        if len(self.names) == self.fatal:
            self.tell(name)
            if half is None:
                os.kill(os.getpid(), signal.SIGKILL)
            self.dying = True
            allow(BYTES + (os.path.getsize(half) if os.path.exists(half) else 0))

    def tell(self, name: str) -> None:
        names = [] if self.fatal else self.names
        os.write(self.report, f"{' '.join([name, str(len(self.names)), *names])}\n".encode())


def allow(size: int) -> None:
    """The system kills this process in the midst of a file that grows beyond this many bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def called(path: str) -> str:
    """The file of a run that it is or will become; else its own name."""
    name = os.path.basename(path)
    return next((known for known in RUN_FILES if known in name), name)


def run(data: Path, out: Path) -> int:
    """Begin a training, or continue the one that is there; its exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    no_curves()
    place = ["--dataset", "planted", "--data-dir", str(data), "--out", str(out), *FIELDS]
    resume = (out / "config.yaml").exists()
    return main(["train", "--out", str(out), "--resume"] if resume else ["train", *place])


def no_curves() -> None:
    """They are drawn when the run is finished, which takes longer than all before."""
    run_curves.write_curves = lambda folder: None


def import_all(data: Path) -> None:
    """Whatever a training imports."""
    with tempfile.TemporaryDirectory() as folder:
        names, trial = Path(folder) / "names", os.fork()
        if trial == 0:
            run(data, Path(folder) / "run")
            names.write_text("\n".join(sys.modules))
            os._exit(0)
        os.waitpid(trial, 0)
        for name in names.read_text().splitlines():
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def trained(data: Path, out: Path, fatal: int) -> str:
    """The line that a forked training reports."""
    read, report = os.pipe()
    child = os.fork()
    if child == 0:
        points = Points(out, fatal, report)
        sys.addaudithook(points.look)
        code = run(data, out)
        points.tell("finished" if code == 0 else f"failed-{code}")
        os._exit(code)
    os.close(report)
    with os.fdopen(read) as told:
        line = told.read().strip()
    os.waitpid(child, 0)
    return line


if __name__ == "__main__":
    os.fsync = os.fstat  # a kill leaves what the system holds, on the disk or not yet
    import_all(Path(sys.argv[1]))
    for number, chain in enumerate(sys.argv[3:]):
        for point in chain.split(","):
            out = Path(sys.argv[2]) / str(number)
            print(number, trained(Path(sys.argv[1]), out, int(point)), flush=True)
