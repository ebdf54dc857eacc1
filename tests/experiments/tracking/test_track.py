"""Tracking records what it was given, and never gets in the way of training."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from experiments.dotted import flattened
from experiments.tracking.config import TrackConfig, of_trial, resolve_mode, shortened
from experiments.tracking.session import Session, answers
from experiments.tracking.tracker import Identity, Tracker, panel, track_report
from tests.experiments.tracking.loopback import Server, serving
from tests.experiments.tracking.wandb_reader import Record, read_offline_run, read_records

IDENTITY = Identity("ml-100k", "cl4srec", 3, "c0ffee", True, "d" * 64, "f" * 64)
SETTINGS = {
    "train": {"batch_size": 256, "max_norm": None},
    "contrast": [{"temperature": 0.5, "views": ["crop"]}],
    "track": {"mode": "offline", "project": None},
    "data_dir": "/home/somebody/data",
}
HISTORY = [
    {"epoch": 1, "step": 10, "seconds": 1.5, "train/loss": 2.0, "valid/excluded/ndcg@10": 0.04},
    {"epoch": 2, "step": 20, "seconds": 1.5, "train/loss": 1.5, "valid/excluded/ndcg@10": 0.06},
    {"epoch": 3, "step": 30, "contrast/crop/loss": float("nan"), "valid/excluded/ndcg@10": 0.05},
]
TEST = {"test/excluded/ndcg@10": 0.055, "test/ranked/ndcg@10": 0.045}
KEY = "k" * 40


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No settings of the person who runs the tests, an empty home and an empty working folder."""
    for name in os.environ:
        if name.startswith("WANDB_") or name.lower().endswith("_proxy") or name == "NETRC":
            monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    (tmp_path / "cwd").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path / "home"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a port on which nobody listens, set as the W&B server; and a key."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("WANDB_BASE_URL", url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    return url


def as_panels(record: Record) -> Record:
    """A line of history by the names that it has at W&B."""
    return {panel(name): value for name, value in record.items()}


def log_in(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)


def track(config: TrackConfig, folder: Path) -> tuple[Tracker, str | None]:
    tracker = Tracker(config, folder, SETTINGS, IDENTITY)
    for record in HISTORY:
        tracker.epoch(record)
    tracker.test(TEST)
    return tracker, tracker.finish()


def exactly(records: list[dict[str, float]]) -> list[object]:
    """Equal to the same numbers, where not-a-number equals itself."""
    return [pytest.approx(record, rel=0, abs=0, nan_ok=True) for record in records]


@pytest.mark.parametrize(
    ("configured", "environment", "mode"),
    [
        ("auto", None, "online"),
        ("auto", "", "online"),
        ("auto", "run", "online"),
        ("auto", "online", "online"),
        ("auto", "no such mode", "online"),
        ("auto", "dryrun", "offline"),
        ("auto", "offline", "offline"),
        ("auto", "disabled", "disabled"),
        ("online", "disabled", "online"),
        ("offline", "online", "offline"),
        ("disabled", "online", "disabled"),
    ],
)
def test_the_configuration_wins_over_the_environment(configured, environment, mode):
    assert resolve_mode(configured, environment) == mode


def test_an_offline_run_holds_what_was_logged(tmp_path):
    tracker, where = track(TrackConfig("offline"), tmp_path / "run")
    config, history, summary = read_offline_run(tmp_path / "run")

    (folder,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    assert (tracker.mode, where) == ("offline", f"wandb sync {folder}")
    assert config == {
        "train.batch_size": 256,
        "contrast.0.temperature": 0.5,
        "contrast.0.views": ["crop"],
        "dataset": "ml-100k",
        "model": "cl4srec",
        "seed": 3,
        "commit": "c0ffee",
        "dirty": True,
        "data_sha256": "d" * 64,
        "config_sha256": "f" * 64,
    }
    assert history == exactly([*map(as_panels, HISTORY), TEST])
    assert {key: summary[key] for key in TEST} == TEST
    assert math.isnan(summary["contrast_crop/loss"])


def test_a_run_of_the_callers_goes_on(tmp_path):
    import wandb

    own = wandb.init(mode="offline", dir=tmp_path, settings={"silent": True})
    track(TrackConfig("offline"), tmp_path / "run")
    assert wandb.run is own
    own.log({"mine": 1})
    own.finish()
    wandb.teardown()


def test_curves_have_their_axis_and_runs_their_place(tmp_path):
    track(TrackConfig("offline", group="temperature/ml-100k/0.5"), tmp_path / "a")
    records = read_records(tmp_path / "a")
    run = next(r["run"] for r in records if r["type"] == "run")
    metrics = [r["metric"] for r in records if r["type"] == "metric"]

    assert run["project"] == "seqcontrast"
    assert run["display_name"] == "cl4srec seed3"
    assert (run["run_group"], run["job_type"]) == ("temperature/ml-100k/0.5", "train")
    assert run["git"] == {"commit": "c0ffee"}
    axes = {m.get("glob_name") or m.get("name"): m.get("step_metric") for m in metrics}
    assert axes.items() >= {"train/*": "step", "contrast_*": "step", "valid/*": "epoch"}.items()
    (best,) = (m for m in metrics if m.get("name") == "valid/excluded/ndcg@10")
    assert best["summary"] == {"max": True}


def test_the_metric_that_chooses_the_epoch_has_its_best_value_in_the_summary(tmp_path):
    settings = {"train": {"monitor": "ranked/mrr@10"}}
    Tracker(TrackConfig("offline"), tmp_path / "run", settings, IDENTITY).finish()
    metrics = [r["metric"] for r in read_records(tmp_path / "run") if r["type"] == "metric"]
    (best,) = (m for m in metrics if m.get("name") == "valid/ranked/mrr@10")
    assert best["summary"] == {"max": True}


def test_each_task_has_a_section_of_panels_of_its_own(tmp_path):
    """W&B's sections are the names up to the first slash."""
    names = ["contrast/first/loss", "contrast/second/identity_rate/crop", "train/loss", "epoch"]
    assert [panel(name) for name in names] == [
        "contrast_first/loss", "contrast_second/identity_rate/crop", "train/loss", "epoch"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({}, "cl4srec seed3"),
        ({"contrast.0.temperature": 0.2, "epochs": 5}, "cl4srec temperature=0.2 epochs=5 seed3"),
        (
            {"contrast.0.weight": 0.2, "contrast.1.weight": 0.3},
            "cl4srec contrast.0.weight=0.2 contrast.1.weight=0.3 seed3",
        ),
    ],
)
def test_a_run_s_name_tells_it_from_other_runs_of_its_preset(changed, name, tmp_path):
    Tracker(TrackConfig("offline"), tmp_path, SETTINGS, IDENTITY, changed).finish()
    run = next(r["run"] for r in read_records(tmp_path) if r["type"] == "run")
    assert run["display_name"] == name


def test_groups_come_from_the_environment_before_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.setenv("WANDB_RUN_GROUP", "from-environment")
    track(TrackConfig("offline", group="from-config"), tmp_path / "a")
    run = next(r["run"] for r in read_records(tmp_path / "a") if r["type"] == "run")
    assert (run["project"], run["run_group"]) == ("mine", "from-config")


def test_ranks_become_a_table_of_two_series_that_count_every_user(tmp_path):
    ranks = np.array([1, 1, 2, 30, 3416])
    with Tracker(TrackConfig("offline"), tmp_path / "run", SETTINGS, IDENTITY) as tracker:
        tracker.ranks(ranked=ranks, excluded=ranks[:-1])
    (table,) = (tmp_path / "run" / "wandb").rglob("ranks_table*.json")
    rows = json.loads(table.read_text())["data"]
    users = {key: sum(row[2] for row in rows if row[1] == key) for key in ("ranked", "excluded")}
    assert users == {"ranked": 5, "excluded": 4}
    assert [0, "ranked", 2] in rows


def test_nothing_is_written_to_stdout_or_outside_the_folder(tmp_path, capfd):
    before = dict(os.environ)
    with Tracker(TrackConfig("offline"), tmp_path / "run", SETTINGS, IDENTITY) as tracker:
        tracker.epoch(HISTORY[0])
        tracker.ranks(np.array([1, 2]), np.array([1, 2]))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cwd", "home", "run"]
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["wandb"]
    assert not list((tmp_path / "home").iterdir())
    assert not list((tmp_path / "cwd").iterdir())
    assert capfd.readouterr() == ("", "")
    assert dict(os.environ) == before


def test_the_test_split_is_logged_once(tmp_path):
    with Tracker(TrackConfig("disabled"), tmp_path, SETTINGS, IDENTITY) as tracker:
        tracker.test(TEST)
        with pytest.raises(RuntimeError, match="once"):
            tracker.test(TEST)


def test_disabled_never_imports_wandb(tmp_path):
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.experiments.tracking.test_track import *\n"
        f"assert track(TrackConfig('disabled'), Path({str(tmp_path)!r}) / 'run')[1] is None\n"
        "assert 'wandb' not in sys.modules"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)
    assert not (tmp_path / "run").exists()


def test_a_missing_key_means_offline_and_says_how_to_log_in(tmp_path, capfd):
    tracker, where = track(TrackConfig("online"), tmp_path / "run")
    assert tracker.mode == "offline"
    assert where is not None
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "wandb login" in printed.err
    assert printed.err.count("\n") == 1


def test_a_malformed_key_means_offline(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    assert track(TrackConfig(), tmp_path / "run")[0].mode == "offline"
    assert "WANDB_API_KEY invalid" in capfd.readouterr().err


def test_a_server_that_is_not_there_means_offline(tmp_path, closed, capfd):
    tracker, _ = track(TrackConfig("online"), tmp_path / "run")
    assert tracker.mode == "offline"
    error = capfd.readouterr().err
    assert error.startswith("W&B: ")
    assert closed in error
    assert error.count("\n") == 1
    assert read_offline_run(tmp_path / "run")[1] == exactly([*map(as_panels, HISTORY), TEST])


def test_an_online_run_arrives(tmp_path, server, monkeypatch, home, capfd):
    (home / ".netrc").write_text(f"machine 127.0.0.1:{server.server_port}\nlogin u\npassword {KEY}")
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    tracker, where = track(TrackConfig(), tmp_path / "run")
    assert tracker.mode == "online"
    assert where is not None
    assert where.startswith(f"{server.url}/somebody/seqcontrast/runs/")
    assert capfd.readouterr() == ("", "")
    assert server.runs[0]["groupName"] == "ml-100k/cl4srec"
    assert server.runs[0]["displayName"] == "cl4srec seed3"
    arrived = [{k: v for k, v in line.items() if k[0] != "_"} for line in server.history]
    assert arrived == exactly([*map(as_panels, HISTORY), TEST])
    assert {key: server.summary[key] for key in TEST} == TEST


@pytest.mark.slow
def test_the_command_that_finish_returns_uploads_an_offline_run(tmp_path, server, monkeypatch):
    with Tracker(TrackConfig("offline"), tmp_path / "run", SETTINGS, IDENTITY) as tracker:
        for record in HISTORY:
            tracker.epoch(record)
        tracker.ranks(np.array([1, 2]), np.array([1, 1]))
        where = tracker.finish()
    assert where is not None
    log_in(monkeypatch, server)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    subprocess.run([sys.executable, "-m", *where.split()], check=True, capture_output=True)
    arrived = [{k: v for k, v in line.items() if k[0] != "_"} for line in server.history]
    assert arrived[:-1] == exactly(map(as_panels, HISTORY))
    assert arrived[-1]["test/ranks_table"]["nrows"] > 0


def test_a_folder_set_offline_by_wandb_stays_offline(tmp_path, server, monkeypatch):
    log_in(monkeypatch, server)
    (tmp_path / "cwd" / "wandb").mkdir()
    (tmp_path / "cwd" / "wandb" / "settings").write_text("[default]\nmode = offline\n")
    assert track(TrackConfig(), tmp_path / "a")[0].mode == "offline"
    assert server.requests == 0
    assert track(TrackConfig("online"), tmp_path / "b")[0].mode == "online"


@pytest.mark.parametrize(
    ("fault", "when"),
    [
        ("refuses", "open"), ("stalls", "open"), ("stalls", "epochs"),
        pytest.param("stalls", "chart", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_server_with_a_fault_costs_one_line_and_what_was_logged_can_be_sent_later(
    fault, when, tmp_path, server, monkeypatch, capfd
):
    """Stalled, it never answers: that this ends at all is by the bounds.  Before it takes a chart,
    wandb asks the server."""

    def begins(moment: str) -> None:
        if moment == when and fault == "refuses":
            server.status = 401
        elif moment == when:
            server.stalled.set()

    log_in(monkeypatch, server)
    begins("open")
    bounds = {"finish_timeout": 1.0} | ({"init_timeout": 1.0} if when == "open" else {})
    tracker = Tracker(TrackConfig(**bounds), tmp_path / "run", SETTINGS, IDENTITY)
    assert tracker.mode == ("offline" if when == "open" else "online")
    begins("epochs")
    for record in HISTORY:
        tracker.epoch(record)
    begins("chart")
    if when == "chart":
        tracker.ranks(np.array([1, 2]), np.array([1, 1]))
    where = tracker.finish()
    assert server.requests > 0
    error = capfd.readouterr().err
    assert error.startswith("W&B: ")
    assert error.count("\n") == 1
    assert where is not None
    folder = Path(where.removeprefix("wandb sync "))
    assert read_offline_run(folder)[1][: len(HISTORY)] == exactly(map(as_panels, HISTORY))


def test_an_error_inside_wandb_is_reported_once(tmp_path, monkeypatch, capfd):
    tracker = Tracker(TrackConfig("offline"), tmp_path / "run", SETTINGS, IDENTITY)

    def lost(record: object) -> None:
        raise ConnectionResetError("Connection lost")

    assert tracker.mode == "offline"  # it has started
    monkeypatch.setattr(tracker._run, "log", lost)
    for record in HISTORY:
        tracker.epoch(record)
    tracker.finish()
    assert tracker.finish() is None
    error = capfd.readouterr().err
    assert "ConnectionResetError: Connection lost" in error
    assert error.count("\n") == 1


def test_a_failed_run_is_marked_and_its_error_passes(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        Tracker(TrackConfig("offline"), tmp_path / "run", SETTINGS, IDENTITY),
    ):
        raise ZeroDivisionError
    assert read_records(tmp_path / "run")[-1]["exit"]["exit_code"] == 1


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="pthread_kill is not on Windows")
@pytest.mark.usefixtures("interruptible")
def test_a_stop_while_wandb_starts_waits_for_it_and_leaves_the_environment_as_it_was(
    tmp_path, monkeypatch
):
    stopping, seen = threading.Event(), list[str | None]()
    main, finish = threading.main_thread().ident, Session.finish

    def start(*_: object) -> None:
        signal.pthread_kill(main, signal.SIGINT)
        stopping.wait(60)
        seen.append(os.environ.get("WANDB_SILENT"))

    def finished(session: Session, exit_code: int = 0) -> str | None:
        stopping.set()
        return finish(session, exit_code)

    monkeypatch.delenv("WANDB_SILENT", raising=False)
    monkeypatch.setattr(Session, "_start", start)
    monkeypatch.setattr(Session, "finish", finished)
    with (
        pytest.raises(KeyboardInterrupt),
        Tracker(TrackConfig("offline"), tmp_path / "run", SETTINGS, IDENTITY) as tracker,
    ):
        tracker.epoch(HISTORY[0])
    assert seen == ["true"]  # it ended in its own environment
    assert "WANDB_SILENT" not in os.environ


def test_a_run_that_is_stopped_before_its_first_step_starts_no_tracking(tmp_path):
    with (
        pytest.raises(KeyboardInterrupt),
        Tracker(TrackConfig("offline"), tmp_path / "run", SETTINGS, IDENTITY),
    ):
        raise KeyboardInterrupt
    assert not (tmp_path / "run").exists()


def test_tracking_that_cannot_start_costs_one_line(tmp_path, monkeypatch, capfd):
    def none_left(thread: object) -> None:
        raise RuntimeError("can't start new thread")

    before = dict(os.environ)
    with Tracker(TrackConfig("offline"), tmp_path / "run", SETTINGS, IDENTITY) as tracker:
        monkeypatch.setattr(threading.Thread, "start", none_left)
        tracker.epoch(HISTORY[0])
        assert tracker.finish() is None
    assert dict(os.environ) == before
    error = capfd.readouterr().err
    assert "can't start new thread" in error
    assert error.count("\n") == 1


def test_a_probe_does_not_wait_for_a_name_that_is_looked_up_for_ever(monkeypatch):
    over = threading.Event()

    def looked_up(*_: object) -> None:
        over.wait()
        raise OSError

    monkeypatch.setattr(socket, "create_connection", looked_up)
    try:
        assert not answers("https://example.invalid", seconds=0.1)
    finally:
        over.set()


def test_nested_settings_become_dotted_keys():
    nested = {"train": {"rate": 1}, "contrast": [{"of": {"n": 2}}, {"n": 3}], "epochs": 4, "x": []}
    assert dict(flattened(nested)) == {
        "train.rate": 1,
        "contrast.0.of.n": 2,
        "contrast.1.n": 3,
        "epochs": 4,
        "x": [],
    }


# the aggregate run of a study -------------------------------------------------------------------

ROWS: list[list[object]] = [["sasrec", 0.05, None], ["cl4srec t=[0.1, 2]", 0.06, 0.01]]
TABLES = {"leaderboard": (["variant", "NDCG@10", "p"], ROWS)}


def drawn(folder: Path) -> Path:
    """A PNG of one pixel."""
    from PIL import Image

    path = folder / "curve.png"
    Image.new("RGB", (1, 1)).save(path)
    return path


def report(config: TrackConfig, folder: Path) -> str | None:
    folder.mkdir()
    return track_report(config, folder, "quick/temperature", TABLES, {"plots/curve": drawn(folder)})


def media(record: Record) -> set[str]:
    """Keys of logged tables and images, which wandb's reader spreads out: table.nrows, ..."""
    return {key.split(".")[0] for key in record}


def test_a_report_is_a_run_of_its_study_with_tables_and_plots(tmp_path):
    where = report(TrackConfig("offline", group="of a trial", name="seed0"), tmp_path / "report")
    (folder,) = (tmp_path / "report" / "wandb").glob("offline-run-*")
    assert where == f"wandb sync {folder}"
    run = next(r["run"] for r in read_records(tmp_path / "report") if r["type"] == "run")
    assert (run["run_group"], run["display_name"]) == ("quick/temperature", "quick/temperature")
    assert run["job_type"] == "report"
    config, history, summary = read_offline_run(tmp_path / "report")
    assert config == {"study": "quick/temperature"}
    assert [media(record) for record in history] == [{"leaderboard"}, {"plots/curve"}]
    (table,) = folder.rglob("leaderboard*.json")
    assert json.loads(table.read_text()) == {"columns": TABLES["leaderboard"][0], "data": ROWS}
    assert media(summary) == {"leaderboard", "plots/curve"}
    (image,) = folder.rglob("*.png")
    assert image.read_bytes() == (tmp_path / "report" / "curve.png").read_bytes()


def test_a_report_that_is_not_tracked_is_nowhere(tmp_path):
    assert report(TrackConfig("disabled"), tmp_path / "report") is None
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["curve.png"]


def test_a_report_writes_nothing_elsewhere_and_leaves_the_environment(tmp_path, capfd):
    before = dict(os.environ)
    report(TrackConfig("offline"), tmp_path / "report")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cwd", "home", "report"]
    assert not list((tmp_path / "home").iterdir())
    assert not list((tmp_path / "cwd").iterdir())
    assert capfd.readouterr() == ("", "")
    assert dict(os.environ) == before


def test_a_report_to_a_server_that_is_not_there_is_kept_offline(tmp_path, closed, capfd):
    where = report(TrackConfig("online"), tmp_path / "report")
    assert where is not None
    assert where.startswith("wandb sync ")
    assert closed in capfd.readouterr().err


def test_a_report_arrives_online(tmp_path, server, monkeypatch):
    log_in(monkeypatch, server)
    where = report(TrackConfig(), tmp_path / "report")
    assert where is not None
    assert where.startswith(f"{server.url}/somebody/seqcontrast/runs/")
    assert server.runs[0]["groupName"] == "quick/temperature"
    assert server.history[0]["leaderboard"]["nrows"] == 2


def test_a_plot_that_is_missing_costs_a_line_and_not_the_tables(tmp_path, capfd):
    where = track_report(
        TrackConfig("offline"), tmp_path, "s", TABLES, {"plots/none": tmp_path / "none.png"}
    )
    assert where is not None
    assert capfd.readouterr().err.startswith("W&B: log failed (")
    assert [media(record) for record in read_offline_run(tmp_path)[1]] == [{"leaderboard"}]


# names ------------------------------------------------------------------------------------------


def test_trials_of_a_study_share_a_group_and_seeds_of_a_variant_a_job_type(tmp_path):
    variant = "sasrec loss=[bce, {k: 'v'}] #1?"
    for seed in (0, 1):
        place = of_trial(TrackConfig("offline"), "quick/loss", "beauty", variant, seed)
        track(place, tmp_path / str(seed))
        run = next(r["run"] for r in read_records(tmp_path / str(seed)) if r["type"] == "run")
        assert (run["run_group"], run["job_type"]) == ("quick/loss", f"beauty/{variant}")
        assert run["display_name"] == f"{variant} beauty seed{seed}"


def test_a_long_name_is_cut_to_what_the_server_takes_and_stays_its_own():
    one, other = (shortened("study/beauty/" + "a" * 300 + end) for end in "xy")
    assert one != other
    assert len(one) == len(other) == 128
    assert one.startswith("study/beauty/aaa")
    assert shortened("a" * 128) == "a" * 128
    assert shortened("two\nlines") == "two lines"


def test_a_long_group_from_the_command_line_is_cut_too(tmp_path):
    track(TrackConfig("offline", group="g" * 200, name="n" * 200), tmp_path)
    run = next(r["run"] for r in read_records(tmp_path) if r["type"] == "run")
    assert (run["run_group"], run["display_name"]) == (shortened("g" * 200), shortened("n" * 200))
