"""What a process keeps of its memory and gives back; where it says that it runs."""

from __future__ import annotations

import gc
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from experiments.storage.files import REPOSITORY
from experiments.training import environment
from experiments.training.environment import (
    commit,
    cpu_name,
    device_name,
    old_objects_left_alone,
)

HOLES = """
import numpy as np
from experiments.training.environment import give_memory_back, keep_memory

def held():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024

keep_memory()
blocks = [np.ones(131_072) for _ in range(200)]  # a megabyte each
blocks.append(np.ones(8_388_608))
last = np.ones(131_072)
before = held()
del blocks
kept = held()
give_memory_back()
print(before - kept, kept - held())
"""


SMALL_PIECES = """
import ctypes
from experiments.training.environment import keep_memory

class Free(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("arena", "pieces", "small", "mapped")]
    _fields_ += [("others", ctypes.c_int * 6)]

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.mallinfo.restype = Free
keep_memory()
pieces = [libc.malloc(100) for _ in range(1000)]
for piece in pieces:
    libc.free(piece)
print(libc.mallinfo().small)
"""

needs_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not Path("/proc/self/status").exists(),
    reason="only glibc can be told what to keep",
)


def printed(program: str, variables: dict[str, str] | None = None) -> str:
    """By a Python of its own, whose memory is set up anew."""
    command, environ = [sys.executable, "-c", program], {**os.environ, **(variables or {})}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout


@needs_glibc
def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    freed, given_back = map(int, printed(HOLES).split())
    assert freed < 50
    assert given_back > 150


@needs_glibc
def test_small_pieces_of_freed_memory_are_joined_at_once() -> None:
    assert int(printed(SMALL_PIECES)) == 0


def test_old_objects_are_left_alone_for_a_while_and_then_collected_again() -> None:
    with old_objects_left_alone():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def test_a_cpu_is_told_with_all_that_decides_the_last_digits() -> None:
    name, instructions, threads = device_name(torch.device("cpu")).rsplit(", ", 2)
    assert name == cpu_name() != ""
    assert instructions == torch.backends.cpu.get_cpu_capability()
    assert threads == f"{torch.get_num_threads()} threads"


@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("gcc"), reason="needs gcc, and Linux's preloading"
)
def test_a_cpu_that_mkl_takes_for_an_intel_is_told_so(tmp_path: Path) -> None:
    """By the library that performance.md shows."""
    page = (REPOSITORY / "experiments" / "docs" / "performance.md").read_text(encoding="utf-8")
    (build,) = [line for line in page.splitlines() if "mkl_serv_intel_cpu_true" in line]
    subprocess.run(build, shell=True, cwd=tmp_path, check=True)
    program = """
import torch
from experiments.training import environment
for cpu in ("AMD EPYC", "Intel Xeon"):
    environment.cpu_name = lambda: cpu
    print(environment.device_name(torch.device("cpu")).split(",")[0])
"""
    preloaded = {"LD_PRELOAD": str(tmp_path / "intel.so")}
    told = printed(program, preloaded).splitlines()
    assert told == ["AMD EPYC with the MKL path of an Intel", "Intel Xeon"]
    assert printed(program).splitlines() == ["AMD EPYC", "Intel Xeon"]


@pytest.mark.parametrize(
    "error",
    [
        subprocess.TimeoutExpired("git", 30),
        subprocess.CalledProcessError(128, "git"),
        FileNotFoundError("git"),
    ],
)
def test_without_an_answer_of_git_the_commit_is_unknown(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def git(*arguments: str) -> str:
        raise error

    monkeypatch.setattr(environment, "git", git)
    assert commit() == ("unknown", False)
