"""What a training run sends to W&B is what it writes to its folder, and costs it nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from experiments.cli import main
from tests.experiments.small_data import SMALL, planted, read_history, read_json, train, write_text
from tests.experiments.wandb_reader import Record, read_offline_run, read_records

ARGUMENTS = ("--model", "cl4srec", "--epochs", "2", *SMALL)


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No settings of the person who runs the tests, and an empty home and working folder."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("WANDB_") or name.lower().endswith("_proxy") or name == "NETRC":
                patch.delenv(name)
        patch.setenv("HOME", str(folder))
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def runs(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/planted.txt, and two runs on it that differ in tracking only: silent, tracked."""
    folder = tmp_path_factory.mktemp("runs")
    write_text(folder / "data", "planted", planted())
    train(folder / "data", folder / "silent", *ARGUMENTS)
    train(folder / "data", folder / "tracked", *ARGUMENTS, "--track.mode=offline")
    return folder


@pytest.fixture(scope="module")
def logged(runs: Path) -> tuple[Record, list[Record], Record]:
    """(config, history, summary) as wandb reads them."""
    return read_offline_run(runs / "tracked")


def without_seconds(records: list[Record]) -> list[Record]:
    return [{key: record[key] for key in record if key != "seconds"} for record in records]


def test_every_line_of_history_is_logged_as_it_is_written(runs, logged):
    history = [record for record in logged[1] if "epoch" in record]
    assert without_seconds(history) == read_history(runs / "tracked")


def test_test_metrics_are_logged_once_and_equal_the_result(runs, logged):
    _, history, summary = logged
    result = read_json(runs / "tracked" / "result.json")["metrics"]["test"]
    expected = {f"test/{rule}/{name}": v for rule in result for name, v in result[rule].items()}
    found = [record for record in history if "test/excluded/ndcg@10" in record]
    assert found == [expected]
    assert expected.items() <= summary.items()
    assert len(expected) == 18


def test_the_ranks_are_charted_once_from_every_test_user(runs, logged):
    (tracked,) = (runs / "tracked" / "wandb").rglob("ranks_table*.json")
    rows = read_json(tracked)["data"]
    saved = np.load(runs / "tracked" / "ranks.npz")
    for rule in ("ranked", "excluded"):
        counted = sum(users for _, name, users in rows if name == rule)
        assert counted == len(saved[rule])


def test_the_logged_config_is_flat_and_says_which_code_and_data(runs, logged):
    config, result = logged[0], read_json(runs / "tracked" / "result.json")
    for key in ("commit", "dirty", "data_sha256", "config_sha256", "dataset", "model", "seed"):
        assert config[key] == result[key]
    assert config["encoder.dim"] == 16
    assert config["contrast.0.temperature"] == 1.0
    assert config["contrast.0.operators.1.ratio"] == 0.3
    assert not [key for key, value in config.items() if isinstance(value, dict) and value]


def test_a_run_has_its_group_its_job_type_and_its_best_epoch(runs, logged):
    records = read_records(runs / "tracked")
    run = next(record["run"] for record in records if record["type"] == "run")
    assert (run["run_group"], run["job_type"]) == ("planted/cl4srec", "train")
    assert run["display_name"] == "cl4srec-seed0"
    scores = [r["valid/excluded/ndcg@10"] for r in read_history(runs / "tracked")]
    assert logged[2]["valid/excluded/ndcg@10"] == {"max": max(scores)}


def test_tracking_changes_no_number_and_writes_into_the_run_only(runs, home):
    silent, tracked = runs / "silent", runs / "tracked"
    assert read_history(silent) == read_history(tracked)
    assert (silent / "model.safetensors").read_bytes() == (
        tracked / "model.safetensors"
    ).read_bytes()
    names = {path.name for path in tracked.iterdir()}
    assert names - {path.name for path in silent.iterdir()} == {"wandb"}
    assert sorted(path.name for path in runs.iterdir()) == ["data", "silent", "tracked"]
    assert not list(home.iterdir())


def test_a_resumed_run_is_tracked_from_its_first_epoch(runs, tmp_path):
    out = tmp_path / "run"
    arguments = ("--model", "cl4srec", *SMALL, "--track.mode=offline")
    train(runs / "data", out, *arguments, "--epochs", "1")
    (first,) = out.rglob("run-*.wandb")
    assert main(["train", "--out", str(out), "--resume", "--epochs", "2"]) == 0
    (second,) = set(out.rglob("run-*.wandb")) - {first}
    history = [record for record in read_offline_run(second)[1] if "epoch" in record]
    assert without_seconds(history) == read_history(runs / "silent")


def test_a_server_that_is_not_there_changes_no_number(runs, tmp_path, monkeypatch, capfd):
    with socket.socket() as probe:  # its port is closed again
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("WANDB_BASE_URL", url)
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    result = train(runs / "data", tmp_path / "run", *ARGUMENTS, "--track.mode=online")
    assert result["metrics"] == read_json(runs / "silent" / "result.json")["metrics"]
    printed = capfd.readouterr()
    assert printed.err == f"W&B: no answer from {url} in 3 s; tracking offline\n"
    assert "\ntracked: wandb sync " in printed.out
