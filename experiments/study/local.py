"""Workers as processes of this machine: threads pinned, a GPU each where there are GPUs."""

from __future__ import annotations

import os
import subprocess

from experiments.study.folder import StudyFolder
from experiments.study.launch import keep_running, pinned, program


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_workers(threads: int) -> int:
    """One for each GPU where there are GPUs, else as many as there are cores for."""
    import torch

    return torch.cuda.device_count() or max(1, cores() // threads)


def environment(number: int, threads: int, gpus: int) -> dict[str, str]:
    """Of worker `number`: so many threads, and its own GPU."""
    device = {"CUDA_VISIBLE_DEVICES": visible(number % gpus)} if gpus else {}
    return {**os.environ, **pinned(threads), **device}


def visible(number: int) -> str:
    """The name of a GPU, among those that this process may use."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    return allowed.split(",")[number] if allowed else str(number)


class LocalProcess:
    """A worker on this machine.

    In a session of its own: what a terminal sends (Ctrl-C, or that it closes) reaches the launcher
    alone, which ends its workers once.  A second signal would end them at once.
    """

    output = "its line above"

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(program(command), env=environment, start_new_session=True)

    def code(self) -> int | None:
        return self._process.poll()

    def end(self) -> None:
        self._process.terminate()

    def wait(self) -> None:
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def launch(command: list[str], workers: int, threads: int, folder: StudyFolder) -> None:
    """Run workers on this machine until all have ended; see `keep_running`."""
    import torch

    gpus = torch.cuda.device_count()

    def start(number: int) -> LocalProcess:
        return LocalProcess(command, environment(number, threads, gpus))

    keep_running(start, workers, folder)
