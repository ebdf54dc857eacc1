"""A run that is given no folder gets one of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.cli.main import main
from experiments.errors import UsageError
from experiments.storage import run_folder
from experiments.storage.run_folder import new_folder
from tests.experiments.small_data import FAST, planted, write_text


def test_runs_that_start_in_the_same_second_get_a_folder_each(tmp_path: Path) -> None:
    wanted = tmp_path / "runs" / "sasrec-120000"
    with new_folder(wanted) as first, new_folder(wanted) as second, new_folder(wanted) as third:
        paths = [folder.path for folder in (first, second, third)]
        for folder in (first, second, third):
            folder.check_free()
            folder.write_config({"seed": 0})
    assert paths == [wanted, tmp_path / "runs/sasrec-120000-2", tmp_path / "runs/sasrec-120000-3"]
    assert all(path.is_dir() for path in paths)


def test_a_training_that_is_refused_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_folder, "REPOSITORY", tmp_path)
    write_text(tmp_path, "planted", planted())
    command = ["train", "--model=sasrec", "--dataset=planted", f"--data-dir={tmp_path}", *FAST]
    assert main([*command, "--train.device=cuda:9"]) == 2
    assert "cuda:9" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(UsageError, match="cannot be written"), new_folder(tmp_path / "runs" / "a"):
        pass
