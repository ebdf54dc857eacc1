"""What a training run sends to W&B is what it writes to its folder, and costs it nothing."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import experiments.training.loop as training
from experiments.cli.main import main
from tests.experiments.small_data import SMALL, planted, read_history, read_json, train, write_text
from tests.experiments.tracking.loopback import Server, serving
from tests.experiments.tracking.wandb_reader import Record, read_offline_run, read_records

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


def as_written(records: list[Record]) -> list[Record]:
    """By the names of history.jsonl, without seconds."""
    names = {key: key.replace("contrast_", "contrast/", 1) for record in records for key in record}
    names.pop("seconds", None)
    return [{names[key]: record[key] for key in record if key in names} for record in records]


def test_every_line_of_history_is_logged_as_it_is_written(runs, logged):
    history = [record for record in logged[1] if "epoch" in record]
    assert as_written(history) == read_history(runs / "tracked")


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
    assert None not in config.values()
    assert not [key for key in config if key.startswith(("track.", "data_dir"))]


def test_the_diagnostics_of_a_task_are_one_section_of_panels(logged):
    names = {name for record in logged[1] for name in record if "augmented_views" in name}
    assert {"contrast_augmented_views/loss", "contrast_augmented_views/uniformity"} <= names
    assert {name.partition("/")[0] for name in names} == {"contrast_augmented_views"}


def test_a_run_has_its_group_its_job_type_and_its_best_epoch(runs, logged):
    records = read_records(runs / "tracked")
    run = next(record["run"] for record in records if record["type"] == "run")
    assert (run["run_group"], run["job_type"]) == ("planted/cl4srec", "train")
    assert run["display_name"].startswith("cl4srec ")
    assert run["display_name"].endswith(" seed0")
    assert " dim=16 " in run["display_name"]  # not the preset's
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
    assert as_written(history) == read_history(runs / "silent")


def test_a_server_that_is_not_there_changes_no_number(runs, tmp_path, monkeypatch, capfd):
    with socket.socket() as probe:  # its port is closed again
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("WANDB_BASE_URL", url)
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    result = train(runs / "data", tmp_path / "run", *ARGUMENTS, "--track.mode=online")
    assert result["metrics"] == read_json(runs / "silent" / "result.json")["metrics"]
    printed = capfd.readouterr()
    assert url in printed.err
    assert printed.err.count("\n") == 1
    assert "\ntracked: wandb sync " in printed.out


# faults: training goes on to the same numbers, and what was not sent stays on disk ---------------


def refuses(server: Server) -> None:
    """As to a wrong key."""
    server.status = 401


def fails(server: Server) -> None:
    server.status = 500


def stalls(server: Server) -> None:
    server.stalled.set()


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "epoch"), [(refuses, 0), (stalls, 0), (fails, 2), (stalls, 2)])
def test_a_server_with_a_fault_changes_no_number_and_the_record_stays_to_be_sent(
    epoch: int, fault: Callable[[Server], None], runs: Path, tmp_path: Path, monkeypatch, capfd
) -> None:
    """The fault begins before the run is opened (0), or in its second epoch."""
    train_epoch, epochs = training.train_epoch, list[int]()

    def broken(*arguments: object) -> dict[str, float]:
        epochs.append(len(epochs) + 1)
        if epochs[-1] == epoch:
            fault(server)
        return train_epoch(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "train_epoch", broken)
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        if not epoch:
            fault(server)
        bounds = ("--track.init_timeout=1", "--track.finish_timeout=1", "--track.mode=online")
        result = train(runs / "data", tmp_path / "run", *ARGUMENTS, *bounds)
    assert result["metrics"] == read_json(runs / "silent" / "result.json")["metrics"]
    assert read_history(tmp_path / "run") == read_history(runs / "silent")
    printed = capfd.readouterr()
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("W&B: ")
    (told,) = [line for line in printed.out.splitlines() if line.startswith("tracked: ")]
    folder = Path(shlex.split(told.removeprefix("tracked: wandb sync "))[0])
    history = [record for record in read_offline_run(folder)[1] if "epoch" in record]
    assert as_written(history) == read_history(runs / "silent")


def resumed_with(runs: Path, out: Path, make: Callable[[Path], None]) -> None:
    """Two epochs, of which the second is tracked in a folder that `make` makes first."""
    arguments = ("--model", "cl4srec", *SMALL, "--track.mode=offline", "--epochs", "1")
    train(runs / "data", out, *arguments)
    shutil.rmtree(out / "wandb")
    make(out / "wandb")
    assert main(["train", "--out", str(out), "--resume", "--epochs", "2"]) == 0
    assert read_history(out) == read_history(runs / "silent")
    expected = read_json(runs / "silent" / "result.json")["metrics"]
    assert read_json(out / "result.json")["metrics"] == expected


def test_a_place_for_tracking_that_cannot_be_written_changes_no_number(
    runs: Path, tmp_path: Path, capfd
) -> None:
    resumed_with(runs, tmp_path / "run", lambda place: place.touch())
    assert told_once(capfd).startswith("W&B: ")


def told_once(capfd: pytest.CaptureFixture[str]) -> str:
    """Our one line; wandb's own service and its log may complain as well."""
    lines = capfd.readouterr().err.splitlines()
    (line,) = [line for line in lines if line.startswith("W&B: ")]
    return line


@pytest.mark.parametrize("kilobytes", [4, 16])
def test_a_disk_that_is_full_for_tracking_changes_no_number(
    kilobytes: int, runs: Path, tmp_path: Path, capfd
) -> None:
    """Full from the start, or in the midst of the run, where mounting one is allowed."""
    place = tmp_path / "run" / "wandb"

    def tiny(folder: Path) -> None:
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
        try:
            subprocess.run(mount, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("may not mount a file system")

    try:
        resumed_with(runs, tmp_path / "run", tiny)
    finally:
        if place.is_mount():
            subprocess.run(["umount", "-l", str(place)], check=True)
    assert "No space left on device" in told_once(capfd)
