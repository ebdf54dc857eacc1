"""A training that is killed at any point, again and again, ends as one that was never disturbed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from experiments.storage.files import REPOSITORY
from tests.experiments.small_data import RUN_FILES, planted, read_history, write_text
from tests.experiments.training.test_train import assert_same_run


def trained(data: Path, folder: Path, chains: list[list[int]]) -> list[tuple[int, str, list[str]]]:
    """(run, where the training ended, names of the points of one that was left alone)."""
    words = [",".join(map(str, chain)) for chain in chains]
    done = subprocess.run(
        [sys.executable, "-m", "tests.experiments.training.killed", str(data), str(folder), *words],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split(" ") for line in done.stdout.splitlines()]
    return [(int(run), ended, names) for run, ended, _, *names in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder with data/ and 0/, an undisturbed run; and the names of the points it passed."""
    folder = tmp_path_factory.mktemp("whole")
    write_text(folder / "data", "planted", planted())
    ((_, ended, names),) = trained(folder / "data", folder, [[0]])
    assert ended == "finished"
    return folder, names


def assert_undisturbed(folder: Path, whole: Path, runs: int) -> None:
    for number in range(runs):
        run = folder / str(number)
        assert_same_run(run, whole / "0")
        assert [record["epoch"] for record in read_history(run)] == [1, 2]
        assert sorted({path.name for path in run.iterdir()} - {".lock"}) == RUN_FILES


@pytest.mark.slow
def test_a_kill_at_every_kind_of_change_on_disk_loses_nothing(whole, tmp_path: Path) -> None:
    """One kill each before every kind of change of the run's folder, which is after the one
    before, and in the midst of every file: at one of its writes, drawn at random."""
    folder, names = whole
    kinds = sorted(set(names))
    assert {kind for kind in kinds if kind.startswith("half:")} == {f"half:{n}" for n in RUN_FILES}
    whole_files = {name for name in RUN_FILES if name != "history.jsonl"}
    assert {kind for kind in kinds if kind.startswith("rename:")} == {
        f"rename:{name}" for name in whole_files
    }
    pick = Random(0)
    chains = [
        [1 + pick.choice([at for at, name in enumerate(names) if name == kind]), 0]
        for kind in kinds
    ]
    ended = trained(folder / "data", tmp_path, chains)
    assert [where for _, where, _ in ended[::2]] == kinds
    assert {where for _, where, _ in ended[1::2]} == {"finished"}
    assert_undisturbed(tmp_path, folder, len(chains))


@pytest.mark.slow
def test_kills_at_random_again_and_again_lose_nothing(whole, tmp_path: Path) -> None:
    """Five of each of four runs."""
    folder, names = whole
    pick = Random(1)
    chains = [[*(pick.randint(1, len(names) // 2) for _ in range(5)), 0] for _ in range(4)]
    ended = [where for _, where, _ in trained(folder / "data", tmp_path, chains)]
    assert ended[5::6] == ["finished"] * 4
    assert ended.count("finished") < 8  # a run may end before its point
    assert_undisturbed(tmp_path, folder, len(chains))
