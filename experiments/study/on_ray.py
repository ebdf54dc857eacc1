"""Workers as tasks of a Ray cluster whose machines share the study's folder."""

from __future__ import annotations

import importlib.util
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.errors import UsageError
from experiments.study.folder import StudyFolder
from experiments.study.launch import keep_running, pinned_program


class RayProcess:
    """A worker as a task."""

    output = "what Ray printed above"

    def __init__(self, task: Any) -> None:
        self._task = task

    def code(self) -> int | None:
        import ray

        if not ray.wait([self._task], timeout=0)[0]:
            return None
        try:
            code: int = ray.get(self._task)
            return code
        except ray.exceptions.RayError:  # its machine is gone, or it was cancelled
            return 1

    def end(self) -> None:
        import ray

        ray.cancel(self._task)  # not by force: the worker is a child of the task's process

    def wait(self) -> None:
        import ray

        ray.wait([self._task], timeout=30)


def check() -> None:
    """UsageError where Ray is not installed; it is no part of the requirements."""
    if importlib.util.find_spec("ray") is None:
        raise UsageError('--launcher ray: needs `pip install "ray==2.60.0"`')


def task_of() -> Callable[[list[str], str], int]:
    """A function that Ray sends as it is: its machines need not find this module."""

    def run(words: list[str], folder: str) -> int:
        process = subprocess.Popen(words, cwd=folder)
        try:
            while process.poll() is None:
                time.sleep(0.5)  # a task that waited for the process could not be cancelled
            return process.returncode
        finally:
            process.terminate()
            process.wait()

    return run


def launch(command: list[str], workers: int, threads: int, folder: StudyFolder) -> None:
    """A task a worker, until all have ended: on the cluster at RAY_ADDRESS, or one started here.

    Each gets a GPU where the cluster has any.
    """
    import ray

    ray.init()
    try:
        gpus = 1 if ray.cluster_resources().get("GPU", 0) else 0
        task = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=0)(task_of())

        def start(number: int) -> RayProcess:
            return RayProcess(task.remote(pinned_program(command, threads), str(Path.cwd())))

        keep_running(start, workers, folder)
    finally:
        ray.shutdown()
