"""Workers that are killed are started again, until it is plain that this does not help."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from experiments.cli.main import main
from experiments.errors import NotHere, RunFailed, UsageError
from experiments.study import launch
from experiments.study.folder import StudyFolder, study_folder
from experiments.study.launch import keep_running
from experiments.study.local import environment
from experiments.study.slurm import SlurmConfig
from tests.experiments.small_data import SMALL, planted, write_text

LINE = {"study": "asked", "status": "failed", "variant": "v", "dataset": "d", "seed": 0}


class Ended:
    """A worker that has ended at once."""

    output = "the log"

    def __init__(self, code: int) -> None:
        self._code = code

    def code(self) -> int | None:
        return self._code

    def end(self) -> None: ...

    def wait(self) -> None: ...


class Running(Ended):
    """A worker that runs until it is asked to end."""

    def __init__(self) -> None:
        self.ended = False

    def code(self) -> int | None:
        return None

    def end(self) -> None:
        self.ended = True


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyFolder:
    monkeypatch.setattr(launch, "POLL", 0.0)
    return study_folder("asked", tmp_path)


def test_a_worker_keeps_glibcs_settings_that_are_there_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert environment(0, 1, 0)["GLIBC_TUNABLES"] == "glibc.malloc.tcache_count=0"
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    assert environment(0, 1, 0)["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"


def test_workers_that_end_well_are_not_started_again(folder: StudyFolder) -> None:
    started: list[int] = []

    def start(number: int) -> Ended:
        started.append(number)
        return Ended(0)

    keep_running(start, 3, folder)
    assert started == [1, 2, 3]


def test_a_killed_worker_is_started_again(folder: StudyFolder) -> None:
    codes = [-9, 1, 0]
    keep_running(lambda number: Ended(codes.pop(0)), 1, folder)
    assert codes == []


def test_a_worker_that_can_train_nothing_of_what_is_left_is_not_started_again(
    folder: StudyFolder,
) -> None:
    started: list[int] = []

    def start(number: int) -> Ended:
        started.append(number)
        return Ended(NotHere.exit_code if number == 1 else 0)

    with pytest.raises(NotHere):
        keep_running(start, 2, folder)
    assert started == [1, 2]


def test_workers_that_only_die_are_given_up(folder: StudyFolder) -> None:
    started: list[int] = []

    def start(number: int) -> Ended:
        started.append(number)
        return Ended(-9)

    with pytest.raises(RunFailed, match="code -9 and nothing gets done"):
        keep_running(start, 2, folder)
    assert len(started) == 2 + 2 * launch.PATIENCE


LINE = {"study": "s", "status": "failed", "variant": "v", "dataset": "d", "seed": 0}


@pytest.mark.parametrize("file", ["record.jsonl", "trials/c0ffee/history.jsonl"])
def test_workers_that_die_but_get_on_are_not_given_up(folder: StudyFolder, file: str) -> None:
    path, deaths = folder.path / file, 20
    path.parent.mkdir(parents=True, exist_ok=True)

    def start(number: int) -> Ended:
        lines = path.read_text().splitlines() if path.exists() else []
        with path.open("a") as out:
            out.write(json.dumps({**LINE, "trial": str(len(lines))}) + "\n")
        return Ended(0 if len(lines) == deaths else -9)

    keep_running(start, 1, folder)
    assert len(path.read_text().splitlines()) == deaths + 1


def test_a_users_mistake_ends_all_workers(folder: StudyFolder) -> None:
    other = Running()
    with pytest.raises(UsageError, match="the log says why"):
        keep_running(lambda number: other if number == 1 else Ended(2), 2, folder)
    assert other.ended


def test_workers_are_ended_when_one_cannot_be_started(folder: StudyFolder) -> None:
    first = Running()

    def start(number: int) -> Ended:
        if number == 2:
            raise RunFailed("no job could be submitted")
        return first

    with pytest.raises(RunFailed, match="submitted"):
        keep_running(start, 2, folder)
    assert first.ended


STUDY = """# Does it run?
base: sasrec
datasets: [planted]
seeds: [0, 1]
set: {epochs: 1, FIELDS}
"""


@pytest.fixture
def asked(tmp_path: Path) -> list[str]:
    """The command line of a study of two trials."""
    write_text(tmp_path, "planted", planted())
    words = [word.removeprefix("--").split("=") for word in SMALL if "track" not in word]
    fields = ", ".join(f"{key}: {value}" for key, value in words)
    (tmp_path / "asked.yaml").write_text(STUDY.replace("FIELDS", fields))
    where = ["--data-dir", str(tmp_path), "--out", str(tmp_path / "out")]
    return ["study", str(tmp_path / "asked.yaml"), *where, "--track.mode=disabled"]


def statuses(tmp_path: Path) -> list[tuple[int, str]]:
    lines = map(json.loads, (tmp_path / "out" / "record.jsonl").read_text().splitlines())
    return sorted((line["seed"], line["status"]) for line in lines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--launcher", "slurm"], "there is no sbatch here"),
        (["--launcher", "slurm", "--slurm.tim=1"], "did you mean 'time'?"),
        (["--launcher", "slurm", "--slurm.gpus_per_node=-1"], "gpus_per_node must be at least 0"),
        (["--slurm.partition=gpu"], "only with --launcher slurm"),
    ],
)
def test_mistakes_are_said_before_anything_is_written(
    asked: list[str],
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # where there is no sbatch
    assert main([*asked, *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_time_is_a_text_whatever_yaml_makes_of_it() -> None:
    from experiments.cli.fields import overrides as read
    from experiments.cli.parser import parser

    arguments, rest = parser().parse_known_args(["study", "a.yaml", "--slurm.time=12:00:00"])
    assert read(arguments, rest) == [("slurm.time", "12:00:00")]
    assert SlurmConfig(time="12:00:00").time == "12:00:00"


@pytest.mark.slow
def test_jobs_of_this_machine_train_a_study(asked: list[str], tmp_path: Path) -> None:
    words = ["--launcher", "slurm", "--slurm.cluster=local", "--workers", "2"]
    assert main([*asked, *words]) == 0
    assert statuses(tmp_path) == [(0, "finished"), (1, "finished")]


SBATCH = """#!/bin/sh
# runs its copy of the script, which the caller moves, at once; the first time only to be killed
cp "$1" CLUSTER/script
if [ -e CLUSTER/once ]; then id=2; else id=1; touch CLUSTER/once; fi
echo "Submitted batch job $id"
if [ $id = 1 ]; then echo "1|1|FAILED|" >> CLUSTER/states; exit 0; fi
echo "2|2|RUNNING|" >> CLUSTER/states
export SLURM_JOB_ID=2 SLURM_NTASKS=1 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0
export SLURM_JOB_NUM_NODES=1 SLURM_JOB_NODELIST=here
(timeout 300 sh CLUSTER/script; echo "2|2|FAILED|" >> CLUSTER/states) > CLUSTER/out 2>&1 &
"""
SRUN = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do
  case "$1" in --output|--error) shift 2;; *) shift;; esac
done
exec "$@"
"""
SACCT = """#!/bin/sh
echo "JobID|JobIDRaw|State|NodeList"
cat CLUSTER/states
"""


@pytest.mark.slow
def test_jobs_of_slurm_train_a_study_and_one_that_fails_is_submitted_again(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT)):
        (cluster / name).write_text(text.replace("CLUSTER", str(cluster)))
        (cluster / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{cluster}:{os.environ['PATH']}")
    monkeypatch.setattr(launch, "PATIENCE", 1)
    words = ["--launcher", "slurm", "--slurm.partition=short", "--slurm.time=12:00:00"]
    code = main([*asked, *words, "--workers", "1", "--threads", "3"])
    for log in (cluster / "out", *(tmp_path / "out" / "slurm").glob("*.[oe]*")):
        print(log, log.read_text(), sep="\n")
    assert code == 0
    assert statuses(tmp_path) == [(0, "finished"), (1, "finished")]
    asked_for = (cluster / "script").read_text()
    for words in ("--partition=short", "--time=12:00:00", "--cpus-per-task=3"):
        assert words in asked_for


@pytest.mark.slow
def test_tasks_of_ray_train_a_study(asked: list[str], tmp_path: Path) -> None:
    pytest.importorskip("ray")
    assert main([*asked, "--launcher", "ray", "--workers", "2"]) == 0
    assert statuses(tmp_path) == [(0, "finished"), (1, "finished")]


def test_a_missing_ray_is_said_with_how_to_get_it(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([*asked, "--launcher", "ray"]) == 2
    assert 'pip install "ray==' in capsys.readouterr().err
