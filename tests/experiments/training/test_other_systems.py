"""A run where there is only what Windows and macOS have, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import experiments.storage.atomic as atomic
from experiments.storage.files import REPOSITORY
from experiments.storage.lock import sole_writer
from tests.experiments.small_data import FAST, RUN_FILES, planted, read_json, write_text

ELSEWHERE = """
import os, platform, signal, sys
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None                      # import NAME raises ImportError
for place, names in {
    os: ("fork", "forkpty", "sched_getaffinity", "getuid", "geteuid"),
    signal: ("SIGHUP", "SIGKILL", "SIGUSR1", "setitimer", "pthread_sigmask"),
}.items():
    for name in names:
        if hasattr(place, name):
            delattr(place, name)
platform.libc_ver = lambda *words, **more: ("", "")
from experiments.cli.main import main
import experiments.storage.atomic
experiments.storage.atomic.WINDOWS = True
sys.exit(main(sys.argv[1:]))
"""


def test_a_run_needs_nothing_that_only_linux_has(tmp_path: Path) -> None:
    write_text(tmp_path, "planted", planted(users=20))
    out = tmp_path / "run"
    place = ["--dataset", "planted", "--data-dir", str(tmp_path), "--out", str(out)]
    words = ["train", "--model=cl4srec", *place, "--epochs=1", *FAST]
    plain = {key: value for key, value in os.environ.items() if not key.startswith("LC_")}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *words], cwd=REPOSITORY, text=True, capture_output=True,
        check=False, env={**plain, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(RUN_FILES) <= {path.name for path in out.iterdir()}
    assert read_json(out / "result.json")["peak_rss_mb"] == 0.0


def test_a_lock_that_cannot_be_removed_while_it_is_held_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows; the next one takes it all the same."""

    def unlink(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(path)

    with monkeypatch.context() as patch, sole_writer(tmp_path):
        patch.setattr(Path, "unlink", unlink)
    with sole_writer(tmp_path):
        pass


def test_on_windows_no_folder_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    ordinary = os.open
    monkeypatch.setattr(atomic, "WINDOWS", True)
    monkeypatch.setattr(
        os, "open", lambda path, *more: opened.append(path) or ordinary(path, *more)
    )
    atomic.write_bytes(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    assert all(Path(path).name.endswith(".tmp") for path in opened)
    assert opened
