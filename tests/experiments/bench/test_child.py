"""A measurement in a process of its own: what it answers, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import experiments.bench.child
from experiments.bench.child import OutOfTime, measured_apart
from experiments.errors import RunFailed


def test_a_process_that_fails_is_told_by_its_last_line_and_one_that_is_killed_by_its_signal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(code: str, seconds: float | None = None) -> Any:
        as_module = experiments.bench.child.subprocess
        started = as_module.Popen

        def popen(_: list[str], **options: Any) -> subprocess.Popen[str]:
            found: subprocess.Popen[str] = started([sys.executable, "-S", "-c", code], **options)
            return found

        with monkeypatch.context() as patch:
            patch.setattr(as_module, "Popen", popen)
            return measured_apart("no.module", {}, seconds)

    assert run("print('noise'); print('{\"a\": 1}')") == {"a": 1}
    with pytest.raises(RunFailed, match="OutOfMemoryError: no"):
        run("import sys; print('trace', file=sys.stderr); sys.exit('OutOfMemoryError: no')")
    with pytest.raises(RunFailed, match="ended by signal 9"):
        run("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(OutOfTime):
        run("import time; time.sleep(60)", seconds=0.05)
