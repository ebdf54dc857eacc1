"""A disk that is full, a folder that may not be written to, and two trainings in one folder."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import experiments.storage.lock as lock
from experiments.cli.main import main
from experiments.errors import RunFailed
from experiments.storage.lock import sole_writer
from tests.experiments.small_data import (
    FAST,
    RUN_FILES,
    planted,
    read_history,
    train,
    write_text,
)
from tests.experiments.training.test_train import assert_same_run

FIELDS = ("--model=cl4srec", "--epochs=3", *FAST)
FULL = [  # the file, or folder's list of files, that is not put on disk, the given time
    *((name, 1) for name in RUN_FILES if name != "model.safetensors"),
    *(("history.jsonl", 2), ("state.pt", 2), ("model.safetensors", 1), ("model.safetensors", 3)),
    *(("run", 1), ("run", 3), ("run", 5)),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_text(folder / "data", "planted", planted())
    train(folder / "data", folder / "whole", *FIELDS)
    return folder


def start(runs: Path, out: Path) -> int:
    place = ["--dataset", "planted", "--data-dir", str(runs / "data"), "--out", str(out)]
    return main(["train", *place, *FIELDS])


def resume(out: Path, *more: str) -> int:
    return main(["train", "--out", str(out), "--resume", *more])


def failing(call: int, number: int) -> Callable[[int], None]:
    """os.fsync, but its `call`-th call fails, and so do all that follow."""
    ordinary, left = os.fsync, [call]

    def fsync(handle: int) -> None:
        left[0] -= 1
        if left[0] <= 0:
            raise OSError(number, os.strerror(number))
        ordinary(handle)

    return fsync


def full(name: str, time: int) -> Callable[[int], None]:
    """os.fsync, but from a file's given time on there is no room for anything."""
    ordinary, left = os.fsync, [time]

    def fsync(handle: int) -> None:
        left[0] -= name in os.readlink(f"/proc/self/fd/{handle}").rpartition("/")[2]
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        ordinary(handle)

    return fsync


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# a full disk ------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="what is synced has no name")
@pytest.mark.parametrize(("name", "time"), FULL)
def test_a_disk_that_fills_up_is_told_and_loses_no_whole_epoch(
    name: str, time: int, runs: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full(name, time))
        assert start(runs, out) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"failed: {out}/")
    assert "cannot be written (No space left on device)" in error
    assert error.count("\n") == 1
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]
    if not (out / "config.yaml").exists():
        assert start(runs, out) == 0
    else:
        assert f"continue with `python run.py train --out {out} --resume`" in error
        assert resume(out) == 0
    assert_same_run(out, runs / "whole")


def test_a_finished_run_is_untouched_when_there_is_no_room_for_more_epochs(
    runs: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    out = tmp_path / "run"
    shutil.copytree(runs / "whole", out)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(1, errno.ENOSPC))
        assert resume(out, "--epochs=4") == 1
    assert contents(out) == contents(runs / "whole")
    assert main(["evaluate", str(out)]) == 0


@pytest.mark.parametrize("call", [1, 2, 3])
def test_an_export_to_a_full_disk_is_a_failure_and_leaves_nothing(
    call: int, runs: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    (tmp_path / "to").mkdir()
    where = ["--what", "items", "--to", str(tmp_path / "to" / "items.npy")]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(call, errno.ENOSPC))
        assert main(["export", str(runs / "whole"), *where]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"failed: {tmp_path / 'to'}")
    assert "No space left on device" in error
    assert not [path for path in (tmp_path / "to").iterdir() if path.name.startswith(".")]
    assert main(["export", str(runs / "whole"), *where]) == 0


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 KiB, where mounting one is allowed."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_real_disk_that_is_full_is_told_and_the_run_goes_on_elsewhere(
    tiny: Path, runs: Path, tmp_path: Path, capsys
) -> None:
    out = tiny / "run"
    (tiny / "ballast").write_bytes(b"0" * 20_000)
    assert start(runs, out) == 1
    error = capsys.readouterr().err
    assert "cannot be written (No space left on device)" in error
    assert error.count("\n") == 1
    shutil.copytree(out, tmp_path / "roomy")
    assert resume(tmp_path / "roomy") == 0
    assert_same_run(tmp_path / "roomy", runs / "whole")


# a folder that may not be written to ------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_folder_that_may_not_be_written_to_is_a_mistake(
    number: int, runs: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    def refused(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    out = tmp_path / "run"
    shutil.copytree(runs / "whole", out)
    monkeypatch.setattr(lock, "acquire", refused)
    for code in (start(runs, tmp_path / "new"), resume(out, "--epochs=4")):
        assert code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    for line, folder in zip(lines, (tmp_path / "new", out), strict=True):
        assert line.startswith(f"error: {folder}")
        assert os.strerror(number) in line
    assert contents(out) == contents(runs / "whole")
    assert main(["evaluate", str(out)]) == 0  # which writes nothing


# two trainings in one folder --------------------------------------------------------------------


def test_a_folder_in_which_another_process_trains_is_refused(
    runs: Path, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "run"
    shutil.copytree(runs / "whole", out)
    with sole_writer(out):
        assert resume(out, "--epochs=4") == 2
    assert capsys.readouterr().err.startswith(f"error: {out}: another process")
    assert contents(out) == contents(runs / "whole")


def test_of_two_that_start_in_one_new_folder_the_second_is_refused(
    runs: Path, tmp_path: Path, capsys
) -> None:
    with sole_writer(tmp_path / "run"):
        assert start(runs, tmp_path / "run") == 2
    assert "another process is training in it" in capsys.readouterr().err


def test_a_lock_is_gone_with_its_process(runs: Path, tmp_path: Path, capsys) -> None:
    """The file stays after a kill; the lock does not."""
    out = tmp_path / "run"
    shutil.copytree(runs / "whole", out)
    holding = (
        "import fcntl, sys, time\n"
        f"file = open({str(out / lock.NAME)!r}, 'w')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", holding]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert resume(out, "--epochs=4") == 2
        assert "another process is training in it" in capsys.readouterr().err
        holder.kill()
    assert (out / lock.NAME).exists()
    assert resume(out, "--epochs=4") == 0
    assert sorted(contents(out)) == RUN_FILES


def test_a_lock_on_a_file_that_its_last_holder_removed_is_taken_again(
    tmp_path: Path, monkeypatch
) -> None:
    ordinary, calls = fcntl.flock, list[int]()

    def flock(handle: int, operation: int) -> None:
        ordinary(handle, operation)
        calls.append(handle)
        if len(calls) == 1:
            (tmp_path / lock.NAME).unlink()

    monkeypatch.setattr(fcntl, "flock", flock)
    with sole_writer(tmp_path):
        assert len(calls) == 2
        assert (tmp_path / lock.NAME).exists()


def test_a_file_system_without_locks_is_told_and_trained_on(
    runs: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    assert start(runs, tmp_path / "run") == 0
    assert "this file system has no locks" in capsys.readouterr().err


def test_what_a_start_that_was_killed_leaves_is_no_obstacle_to_another(
    runs: Path, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / lock.NAME).touch()
    (out / ".config.yaml.12345.tmp").write_text("model: cl4s")
    assert resume(out) == 2
    assert "started again without --resume" in capsys.readouterr().err
    assert start(runs, out) == 0
    assert sorted(contents(out)) == RUN_FILES


def test_leftovers_of_a_kill_are_swept_when_the_run_is_resumed(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(runs / "whole", out)
    (out / ".state.pt.12345.tmp").write_bytes(b"half")
    assert resume(out, "--epochs=4") == 0
    assert sorted(contents(out)) == RUN_FILES
    assert len(read_history(out)) == 4


def test_whoever_waits_for_a_lock_needs_one(tmp_path: Path, monkeypatch) -> None:
    """Without, two workers would write one file of results at once."""

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(RunFailed), lock.locked(tmp_path / "results.lock"):
        pytest.fail("two workers may be here")
