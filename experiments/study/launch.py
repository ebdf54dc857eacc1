"""Keep workers running, wherever they run: start, start again, give up."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

from experiments.errors import NotHere, RunFailed, UsageError
from experiments.storage.files import REPOSITORY
from experiments.study.folder import StudyFolder

POLL = 0.5  # seconds between looks at the workers
PATIENCE = 5  # deaths of workers, for each of them, without a new line or epoch

Launch = Callable[[list[str], int, int, StudyFolder], None]
"""Runs a command line as so many workers, of so many threads each, until all have ended."""


class Process(Protocol):
    """A worker that was started.  output: where to look for what it prints."""

    output: str

    def code(self) -> int | None:
        """Its exit code; None while it waits or runs."""

    def end(self) -> None:
        """Ask it to end."""

    def wait(self) -> None:
        """Until it has ended, or will."""


def keep_running(start: Callable[[int], Process], workers: int, folder: StudyFolder) -> None:
    """Run workers 1, 2, ... until all have ended; one that is killed is started again, one whose
    machine can train nothing of what is left is not.

    Errors: UsageError when a worker finds a mistake of the user (it has said which), RunFailed
    when workers die again and again and nothing gets done, NotHere when all have ended and one
    could train nothing of what was left.
    """
    running: dict[int, Process] = {}
    deaths, done, not_here = 0, progress(folder), False
    try:
        for number in range(1, workers + 1):
            running[number] = start(number)
        while running:
            time.sleep(POLL)
            ended = {n: code for n, p in running.items() if (code := p.code()) is not None}
            for number, code in ended.items():
                process = running.pop(number)
                if code == 2:
                    raise UsageError(f"a worker stopped: {process.output} says why")
                not_here |= code == NotHere.exit_code
                if code in (0, NotHere.exit_code):
                    continue
                before, done = done, progress(folder)
                deaths = 1 if done != before else deaths + 1
                if deaths > PATIENCE * workers:
                    raise RunFailed(f"workers end with code {code} and nothing gets done")
                print(f"worker {number} ended with code {code}: started again", flush=True)
                running[number] = start(number)
    finally:
        stop(running.values())
    if not_here:
        raise NotHere("trials that are left need another machine, as the workers say")


def progress(folder: StudyFolder) -> tuple[int, int]:
    """Lines of the results, and bytes of the histories of trials: an epoch makes them longer."""
    histories = folder.path.glob("trials/*/history.jsonl")
    sizes = []
    for path in histories:
        with suppress(FileNotFoundError):  # a trial that is to be tried again from its start
            sizes.append(path.stat().st_size)
    return len(folder.results.lines()), sum(sizes)


def stop(processes: Iterable[Process]) -> None:
    """Ask all to end, which gives their trials back, and wait until they have."""
    for process in processes:
        process.end()
    for process in processes:
        process.wait()


def program(command: list[str]) -> list[str]:
    """The whole command line of a worker."""
    return [sys.executable, str(REPOSITORY / "run.py"), *command]


def pinned(threads: int) -> dict[str, str]:
    """What keeps a process to so many threads, and has glibc join small freed pieces at once.

    The latter is what `keep_memory` asks for, as far as only the environment can; glibc's
    settings that are there already stay.
    """
    own = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return own | {"GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0")}


def pinned_program(command: list[str], threads: int) -> list[str]:
    """The same, as a command line that works in any environment."""
    return [
        "env",
        *(f"{name}={value}" for name, value in pinned(threads).items()),
        *program(command),
    ]
