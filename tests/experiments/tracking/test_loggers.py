"""CSV and TensorBoard beside W&B: what they hold, and that no run fails by them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from experiments.cli.main import main
from experiments.metric_names import VALID_NDCG10
from experiments.tracking.loggers import Loggers
from tests.experiments.small_data import FAST, planted, train, write_text

FIELDS = ("--model=sasrec", "--epochs=2", *FAST)


def test_the_csv_file_is_the_history_also_after_a_resume(tmp_path: Path) -> None:
    write_text(tmp_path, "planted", planted(users=20))
    run = tmp_path / "run"
    result = train(tmp_path, run, *FIELDS, "--track.also=[csv]")
    assert main(["train", f"--out={run}", "--resume", "--epochs=3"]) == 0
    table = pd.read_csv(run / "history.csv")
    assert list(table["epoch"]) == [1, 2, 3]
    history = pd.read_json(run / "history.jsonl", lines=True)
    pd.testing.assert_frame_equal(table[history.columns], history, check_dtype=False)
    assert table[VALID_NDCG10][:2].max() == result["metrics"]["valid"]["excluded"]["ndcg@10"]


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is an extra")
def test_tensorboard_has_a_point_an_epoch_and_the_test_metrics(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_text(tmp_path, "planted", planted(users=20))
    result = train(tmp_path, tmp_path / "run", *FIELDS, "--track.also=[tensorboard]")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert len(events.Scalars("train/loss")) == 2
    (test,) = events.Scalars("test/excluded/ndcg@10")
    assert test.value == pytest.approx(result["metrics"]["test"]["excluded"]["ndcg@10"])
    assert main(["train", f"--out={tmp_path / 'run'}", "--resume", "--epochs=3"]) == 0
    resumed = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    resumed.Reload()
    steps = [point.step for point in resumed.Scalars("train/loss")]
    assert steps == sorted(set(steps))
    assert len(steps) == 3


def test_what_is_not_installed_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_text(tmp_path, "planted", planted(users=20))
    monkeypatch.setattr("experiments.tracking.loggers.find_spec", lambda name: None)
    place = ["--dataset=planted", f"--data-dir={tmp_path}", f"--out={tmp_path / 'run'}"]
    assert main(["train", *place, *FIELDS, "--track.also=[tensorboard]"]) == 2
    assert "pip install -e .[tensorboard]" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_logger_that_fails_says_so_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "history.csv").mkdir()
    loggers = Loggers(["csv"], tmp_path)
    loggers.log({"epoch": 1})
    loggers.log({"epoch": 2})
    loggers.close()
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("csv: ")


def test_none_is_asked_for_by_default(tmp_path: Path) -> None:
    Loggers([], tmp_path).log({"epoch": 1})
    assert list(tmp_path.iterdir()) == []
