"""A study whose workers are killed while they record, or whose disk fails, loses nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from experiments.cli.main import main
from experiments.record.results_file import ResultsFile
from experiments.study import worker as working
from experiments.study.folder import StudyFolder, study_folder
from tests.experiments.study.test_worker import TWO, a_worker, begun, metrics

APPEND = ResultsFile._append


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A study that is finished."""
    _, place = begun(tmp_path_factory.mktemp("trained"), TWO)
    a_worker(place).work()
    return place


@pytest.fixture
def unrecorded(trained: StudyFolder, tmp_path: Path) -> StudyFolder:
    """Its trials are trained, and none is on record: its workers have only that to do."""
    folder = tmp_path / "study"
    shutil.copytree(trained.path.parent, folder)
    shutil.rmtree(folder / "out" / "leases")
    place = study_folder("tiny", folder / "out")
    place.results.path.unlink()
    return place


def words(place: StudyFolder) -> list[str]:
    """The command line of a worker."""
    folder = place.path.parent
    where = ["--data-dir", str(folder), "--out", str(place.path)]
    return ["study", str(folder / "tiny.yaml"), "--worker", *where, "--track.mode=disabled"]


def texts(place: StudyFolder) -> list[str]:
    path = place.results.path
    return path.read_text().splitlines() if path.exists() else []


# kills ------------------------------------------------------------------------------------------


def die(*_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a killed process goes on")


def die_in_the_midst(record: ResultsFile, text: bytes) -> None:
    with record.path.open("ab") as file:
        file.truncate(record._read)
        file.write(text[: len(text) // 2])
    die()


def die_afterwards(record: ResultsFile, text: bytes) -> None:
    APPEND(record, text)
    die()


POINTS: dict[str, tuple[Any, str, Callable[..., None]]] = {
    "before the lock": (fcntl, "flock", die),
    "before the line": (ResultsFile, "_append", die),
    "in the midst of the line": (ResultsFile, "_append", die_in_the_midst),
    "before the line is on disk": (os, "fsync", die),
    "after the line": (ResultsFile, "_append", die_afterwards),
    "before the lease is given back": (os, "utime", die),
}


def killed(place: StudyFolder, point: str) -> bool:
    """Whether a worker, in a process of its own, has died at its first such point."""
    child = os.fork()
    if child == 0:
        try:
            owner, name, instead = POINTS[point]
            setattr(owner, name, instead)
            a_worker(place).work()
        finally:
            os._exit(0)  # never on to the tests of its parent
    return os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_while_the_record_is_appended_loses_no_trial_and_repeats_none(
    point: str, trained: StudyFolder, unrecorded: StudyFolder
) -> None:
    """And again when the worker after it is killed there, too."""
    for _ in range(2):
        assert killed(unrecorded, point)
    a_worker(unrecorded).work()
    assert len(texts(unrecorded)) == 2
    assert metrics(unrecorded) == metrics(trained)


# disks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code", "begin"),
    [(errno.ENOSPC, 1, "failed: "), (errno.EROFS, 2, "error: "), (errno.EACCES, 2, "error: ")],
)
@pytest.mark.parametrize(
    ("owner", "name", "what"),
    [(os, "fsync", "record.jsonl"), (os, "open", ".record.jsonl.lock"), (os, "link", "leases")],
)
def test_a_record_or_lease_that_cannot_be_written_is_told_and_earlier_lines_stay(
    owner: Any, name: str, what: str, number: int, code: int, begin: str,
    trained: StudyFolder, unrecorded: StudyFolder, monkeypatch, capsys,
) -> None:  # fmt: skip
    first = next(iter(trained.results.lines().values()))
    unrecorded.results.append(first)

    ordinary = getattr(owner, name)

    def refused(*given: Any, **more: Any) -> Any:
        if name == "open" and not str(given[0]).endswith(what):
            return ordinary(*given, **more)
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, refused)
        assert main(words(unrecorded)) == code
    error = capsys.readouterr().err
    assert error.startswith(f"{begin}{unrecorded.path / what}")
    assert os.strerror(number) in error
    assert error.count("\n") == 1
    assert ResultsFile(unrecorded.results.path).lines()[first["trial"]] == first
    a_worker(unrecorded).work()
    assert len(texts(unrecorded)) == 2
    assert metrics(unrecorded) == metrics(trained)


def test_a_log_that_cannot_be_written_is_told_and_no_trial_counts_as_failed(
    unrecorded: StudyFolder, capsys
) -> None:
    for trial in unrecorded.trials():
        unrecorded.log(trial.id).unlink()
        unrecorded.log(trial.id).mkdir()
    assert main(words(unrecorded)) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {unrecorded.path / 'logs'}")
    assert error.endswith("cannot be written (Is a directory)\n")
    assert texts(unrecorded) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_fails_while_a_trial_prints_is_not_the_trials_fault(
    number: int, unrecorded: StudyFolder, monkeypatch, capsys
) -> None:
    def printing(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    shutil.rmtree(unrecorded.path / "trials")
    monkeypatch.setattr(working, "train", printing)
    assert main(words(unrecorded)) in (1, 2)
    error = capsys.readouterr().err
    assert f"cannot be written ({os.strerror(number)})" in error
    assert error.count("\n") == 1
    assert texts(unrecorded) == []


def test_a_run_folder_that_may_not_be_written_is_told_and_no_trial_counts_as_failed(
    unrecorded: StudyFolder, capsys
) -> None:
    shutil.rmtree(unrecorded.path / "trials")
    (unrecorded.path / "trials").write_text("in the way")
    assert main(words(unrecorded)) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {unrecorded.path / 'trials'}")
    assert error.count("\n") == 1
    assert texts(unrecorded) == []


@pytest.mark.parametrize(
    ("number", "code", "begin"), [(errno.ENOSPC, 1, "failed"), (errno.EROFS, 2, "error")]
)
def test_a_study_that_cannot_be_begun_again_is_told_and_its_manifest_stays(
    number: int, code: int, begin: str, unrecorded: StudyFolder, monkeypatch, capsys
) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    before = unrecorded.manifest.read_bytes()
    monkeypatch.setattr(os, "fsync", refused)
    assert main([word for word in words(unrecorded) if word != "--worker"]) == code
    error = capsys.readouterr().err
    assert error.startswith(f"{begin}: {unrecorded.manifest}")
    assert os.strerror(number) in error
    assert unrecorded.manifest.read_bytes() == before


def test_failed_trials_are_forgotten_folder_first(unrecorded: StudyFolder, monkeypatch) -> None:
    """A kill between the two leaves no half of a trial that would be continued."""
    trial = unrecorded.trials()[0]
    told = {"study": "tiny", "variant": "v", "dataset": "planted", "seed": 0}
    unrecorded.results.append({"trial": trial.id, "status": "failed", **told})
    monkeypatch.setattr(ResultsFile, "forget", lambda *_: None)
    unrecorded.forget_failed()
    assert not unrecorded.run(trial.id).path.exists()
    assert list(ResultsFile(unrecorded.results.path).lines()) == [trial.id]


# what a loss of power leaves --------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "{", "[]", "nonsense"])
def test_a_lease_without_its_text_is_no_obstacle(text: str, unrecorded: StudyFolder) -> None:
    leases = unrecorded.leases()
    for trial in unrecorded.trials():
        path = leases.path(trial.id, 1)
        path.write_text(text)
        os.utime(path, (1.0, 1.0))  # long ago
    a_worker(unrecorded).work()
    assert len(texts(unrecorded)) == 2


@pytest.mark.parametrize(
    "name", ["result.json", "history.jsonl", "ranks.npz", "model.safetensors", "config.yaml"]
)
def test_a_damaged_file_of_a_trial_makes_it_fail_and_stops_no_other(
    name: str, unrecorded: StudyFolder
) -> None:
    trial = unrecorded.trials()[0]
    path = unrecorded.run(trial.id).path / name
    path.write_bytes(path.read_bytes()[:-20] + b"x" * 20)
    a_worker(unrecorded).work()
    lines = unrecorded.results.lines()
    assert lines.pop(trial.id)["status"] == "failed"
    assert [line["status"] for line in lines.values()] == ["finished"]
