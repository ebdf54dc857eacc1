"""What a process keeps of its memory and gives back; where it says that it runs."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from experiments.storage.files import REPOSITORY
from experiments.training.environment import cpu_name, device_name

HOLES = """
import numpy as np
from experiments.training.environment import give_memory_back, keep_memory

def held():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024

keep_memory()
blocks = [np.ones(131_072) for _ in range(200)]  # a megabyte each
last = blocks[-1]
before = held()
del blocks
kept = held()
give_memory_back()
print(before - kept, kept - held())
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not Path("/proc/self/status").exists(),
    reason="only glibc can be told what to keep",
)
def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOLES], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    freed, given_back = map(int, done.stdout.split())
    assert freed < 50
    assert given_back > 150


def test_a_cpu_is_told_with_all_that_decides_the_last_digits() -> None:
    name, instructions, threads = device_name(torch.device("cpu")).rsplit(", ", 2)
    assert name == cpu_name() != ""
    assert instructions == torch.backends.cpu.get_cpu_capability()
    assert threads == f"{torch.get_num_threads()} threads"
