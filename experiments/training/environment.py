"""Where a result was made: code, versions, device, memory."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import torch

from experiments.errors import UsageError
from experiments.storage.files import REPOSITORY
from experiments.training.device_name import CPU_THREADS
from models.bfloat16 import MultipliedInFloat32, multiplies_bfloat16

PACKAGES = ("torch", "numpy", "scipy", "recbole", "wandb")


def keep_memory() -> None:
    """Let the C library keep freed memory, and join free neighbours at once.

    A step frees and takes the same megabytes again and again; fresh pages from the system make
    it up to five times slower.  So no tensor gets a mapping of its own, which goes back when it
    is freed; glibc knows no threshold above 32 MB.  Nor does it join small free pieces ("fast
    bins") with what is free beside them; large ones stay apart, of ever more sizes, and each new
    tensor walks a sorted list of them: a quarter of DuoRec's time on Beauty.  Only glibc has
    these knobs; elsewhere this does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    fast_bins, mappings, trim_threshold, top_pad = 1, -4, -1, -2  # numbers of malloc.h
    mallopt(fast_bins, 0)
    mallopt(mappings, 0)
    mallopt(trim_threshold, 1024 * 1024 * 1024)
    mallopt(top_pad, 64 * 1024 * 1024)


def give_memory_back() -> None:
    """Return to the system what keep_memory keeps and nothing uses.

    Batches of every length leave holes between what is used, which grow from epoch to epoch: on
    Beauty CoSeRec's process had 5 GB after twenty, and has .5 GB after each when these are
    returned, in less than a tenth of a second.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def old_objects_left_alone() -> Iterator[None]:
    """Keep Python's garbage collector from walking what is there already, for a while.

    Modules and data outlive a training; walking them again and again took 6 % of DuoRec's time.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def commit() -> tuple[str, bool]:
    """The commit of this code ("unknown" outside a git checkout), and whether it was changed.

    The results grow while a study runs: that is no change of the code.
    """
    try:
        head = git("rev-parse", "HEAD")
        return head, bool(git("status", "--porcelain", "--", ".", ":!experiments/results"))
    except (OSError, subprocess.SubprocessError):
        return "unknown", False


def git(*arguments: str) -> str:
    command = ["git", "-C", str(REPOSITORY), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def choose_device(name: str) -> torch.device:
    """auto is an NVIDIA GPU when there is one, the process's own under torchrun, else the CPU;
    UsageError for a device that is not there, or that has no float64."""
    if name == "auto" and not torch.cuda.is_available():
        return torch.device("cpu")
    if name in ("auto", "cuda") and torch.cuda.is_available():
        own = int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count()
        return torch.device("cuda", own)
    known = "auto, cpu, cuda or cuda:N"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"train.device: {name!r} is not {known}") from None
    if device.type == "mps":
        raise UsageError(
            f"train.device: {name!r} is of no use: Apple GPUs have no float64, in which views are "
            "drawn and users ranked; set train.device: cpu"
        )
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"train.device: {name!r} is not {known}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"train.device: {name!r} is not there; {torch.cuda.device_count()} GPUs are"
        )
    return device


def check_precision(name: str, device: torch.device) -> None:
    """UsageError for tf32 on anything but a GPU."""
    if name == "tf32" and device.type != "cuda":
        raise UsageError("train.precision: tf32 is of NVIDIA GPUs; this run is on a CPU")


def repeat_exactly(device: torch.device, strict: bool) -> None:
    """Let a GPU sum in the same order every time, so that a run can be repeated on such a GPU.

    strict: raise where an operation has no deterministic kernel; else torch warns (RecBole's
    models may use any).
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for this
        torch.use_deterministic_algorithms(True, warn_only=not strict)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextlib.contextmanager
def products_in(name: str, device: torch.device) -> Iterator[None]:
    """Let products of that precision be as quick as the device can make them, for a while.

    tf32: float32 products of NVIDIA GPUs use it.  bfloat16: a processor without units for it
    multiplies in float32 and rounds.
    """
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    slow = name == "bfloat16" and not multiplies_bfloat16(device)
    try:
        with MultipliedInFloat32() if slow else contextlib.nullcontext():
            yield
    finally:
        torch.set_float32_matmul_precision("highest")


def cpu_name() -> str:
    """The processor's name as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def device_name(device: torch.device) -> str:
    """The card's name, or the processor, its instructions and the threads used.

    On a CPU these decide the last digits of a result: torch has kernels for each set of
    instructions, and MKL for Intel's processors, which it can be told to use on another.
    """
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    instructions = torch.backends.cpu.get_cpu_capability()
    name = cpu_name()
    if "Intel" not in name and told_to_be_intel():
        name += " with the MKL path of an Intel"
    return f"{name}, {instructions}, {torch.get_num_threads()}{CPU_THREADS}"


def told_to_be_intel() -> bool:
    """Whether a preloaded library answers MKL's question for an Intel, as performance.md shows."""
    if sys.platform != "linux":
        return False
    answer = getattr(ctypes.CDLL(None), "mkl_serv_intel_cpu_true", None)
    return answer is not None and answer() == 1


def peak_rss_mb() -> float:
    """Most memory this process has held, in MiB; 0 where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)
