"""Workers as processes of this machine: threads pinned, a GPU each where there are GPUs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from experiments.errors import RunFailed, UsageError
from experiments.run_folder import REPOSITORY
from experiments.study.folder import StudyFolder

POLL = 0.5  # seconds between looks at the processes
PATIENCE = 5  # deaths of workers, for each of them, without a new line in the record


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def environment(number: int, threads: int, gpus: int) -> dict[str, str]:
    """Of worker `number`: so many threads, and its own GPU."""
    pinned = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    device = {"CUDA_VISIBLE_DEVICES": visible(number % gpus)} if gpus else {}
    return {**os.environ, **pinned, **device}


def visible(number: int) -> str:
    """The name of a GPU, among those that this process may use."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    return allowed.split(",")[number] if allowed else str(number)


def launch(command: list[str], workers: int, threads: int, folder: StudyFolder) -> None:
    """Run workers until all have ended; one that is killed is started again.

    Errors: UsageError when a worker finds a mistake of the user (it has said which), RunFailed
    when workers die again and again and nothing gets done.
    """
    import torch

    gpus = torch.cuda.device_count()
    running = {number: start(command, number, threads, gpus) for number in range(1, workers + 1)}
    deaths, lines = 0, len(folder.record.lines())
    try:
        while running:
            time.sleep(POLL)
            ended = {n: code for n, p in running.items() if (code := p.poll()) is not None}
            for number, code in ended.items():
                del running[number]
                if code == 2:
                    raise UsageError("a worker stopped: its line above says why")
                if code == 0:
                    continue
                before, lines = lines, len(folder.record.lines())
                deaths = 1 if lines > before else deaths + 1
                if deaths > PATIENCE * workers:
                    raise RunFailed(f"workers end with code {code} and nothing gets done")
                print(f"worker {number} ended with code {code}: started again", flush=True)
                running[number] = start(command, number, threads, gpus)
    finally:
        stop(list(running.values()))


def start(command: list[str], number: int, threads: int, gpus: int) -> subprocess.Popen[bytes]:
    program = [sys.executable, str(Path(REPOSITORY) / "run.py"), *command]
    return subprocess.Popen(program, env=environment(number, threads, gpus))


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """Ask them to end, which gives their trials back, and wait until they have."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
