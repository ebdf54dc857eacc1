"""A measurement in a process of its own, so that none warms another up or takes it along."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import Any

from experiments.errors import RunFailed
from experiments.storage.files import REPOSITORY


class OutOfTime(Exception):
    """The process was ended because its time was over."""


def measured_apart(
    module: str, request: dict[str, Any], seconds: float | None = None
) -> dict[str, Any]:
    """The JSON object that `python -m module REQUEST` prints as its last line.

    seconds: that it may take; None: any number.
    Errors: RunFailed with the process's last line when it fails, OutOfTime.  Nothing that it
    started stays behind.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, json.dumps(request)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        start_new_session=True,
    )
    try:
        out, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise OutOfTime from None
    finally:
        end(process)
    if process.returncode:
        raise RunFailed(reason(process.returncode, errors))
    answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    return answer


def end(process: subprocess.Popen[str]) -> None:
    """Kill what is left of the process and of those that it started: compilers, most of all."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait()


def reason(code: int, errors: str) -> str:
    """What went wrong: the last line of a traceback, or what ended the process."""
    if code < 0:
        return f"ended by signal {-code}" + (" (is memory short?)" if code == -9 else "")
    return (errors.strip().splitlines() or [f"ended with code {code}, without a word"])[-1]
