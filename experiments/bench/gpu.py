"""The bench of a GPU: subjects in turn until the budget is spent."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from experiments.bench.child import OutOfTime, measured_apart
from experiments.bench.compare import request_of
from experiments.bench.gpu_subjects import BEAUTY, MADE_UP, Planned, planned
from experiments.bench.measure_gpu import GpuSubject, OnGpu
from experiments.bench.scale import Case, write_random
from experiments.data.catalogue import locate
from experiments.data.known import declared
from experiments.errors import RunFailed, UsageError

Measure = Callable[[GpuSubject, str, str | None, int, float], OnGpu]
"""Figures of a subject on a data set in a folder, of so many steps, in so many seconds at most;
RunFailed or OutOfTime where there are none."""
LEAST = 10.0  # seconds: with fewer left, no subject is started


@dataclass
class Found:
    """What became of the subjects, by name."""

    measured: dict[str, OnGpu] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)  # and why
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """The bench of one device.

    dataset: in the place of made-up data of Beauty's sizes; None for these.
    made_up: sizes of what is made up.  fields: dotted ones of all runs on some data.
    keep: told what was found after every subject.  say: told what is going on.
    """

    dataset: str | None
    data_dir: str | None
    steps: int
    budget: float
    keep: Callable[[Found], None]
    say: Callable[[str], None]
    device: str = "cuda"
    made_up: dict[str, Case] = field(default_factory=lambda: MADE_UP)
    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    measure: Measure = field(default_factory=lambda: in_process)
    clock: Callable[[], float] = time.monotonic

    @property
    def beauty(self) -> str:
        """What is in Beauty's place."""
        return self.dataset or BEAUTY

    def subjects(self) -> dict[str, Planned]:
        """In the order in which they are measured; Beauty as its data set is trained."""
        beauty = dict(declared(BEAUTY).defaults)
        if self.dataset is not None:
            beauty = locate(self.dataset, Path(self.data_dir) if self.data_dir else None).defaults
        fields = {**self.fields, BEAUTY: {**beauty, **self.fields.get(BEAUTY, {})}}
        return planned(self.device, self.beauty, fields)

    def run(self) -> Found:
        """Measure what the budget allows.  A subject that fails leaves the others as they are."""
        found, started = Found(), self.clock()
        with self.data() as data:
            for name, one in self.subjects().items():
                left = self.budget - (self.clock() - started)
                if left < LEAST:
                    found.left_out.append(name)
                    continue
                self.say(f"{name} ({left:.0f} s left)")
                try:
                    place = data(one.data)
                    left = self.budget - (self.clock() - started)
                    found.measured[name] = self.measure(one.subject, *place, self.steps, left)
                except OutOfTime:
                    found.left_out.append(name)
                except RunFailed as error:
                    found.failed[name] = str(error)
                    self.say(f"  failed: {error}")
                self.keep(found)
        self.keep(found)
        return found

    @contextlib.contextmanager
    def data(self) -> Iterator[Callable[[str], tuple[str, str | None]]]:
        """A function: the name of a size -> data set and folder; made-up data are written when
        they are first asked for."""
        with tempfile.TemporaryDirectory() as folder:

            def of(name: str) -> tuple[str, str | None]:
                if name == BEAUTY and self.dataset is not None:
                    return self.dataset, self.data_dir
                file = Path(folder) / f"made_up_{[*self.made_up].index(name)}.txt"
                if not file.exists():
                    write_random(file, self.made_up[name])
                return file.stem, folder

            yield of


def in_process(
    subject: GpuSubject, dataset: str, data_dir: str | None, steps: int, seconds: float
) -> OnGpu:
    """One measurement in a process of its own."""
    request = request_of(subject, dataset, data_dir, steps)
    return OnGpu(**measured_apart("experiments.bench.measure_gpu", request, seconds))


def check_gpu() -> None:
    """UsageError where torch finds no NVIDIA GPU."""
    if torch.cuda.is_available():
        return
    built = "is built without CUDA" if torch.version.cuda is None else "sees none"
    raise UsageError(
        f"bench --gpu: needs an NVIDIA GPU, and torch {torch.__version__} {built} here; without "
        "--gpu the processor is measured"
    )


def card() -> dict[str, Any]:
    """Name, memory, driver and CUDA of the GPU."""
    about = torch.cuda.get_device_properties(0)
    return {
        "card": about.name,
        "card_mb": about.total_memory // 2**20,
        "driver": driver(),
        "cuda": torch.version.cuda,
    }


def driver() -> str:
    """The version of NVIDIA's driver, as nvidia-smi tells it."""
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return told.split("\n")[0].strip()
