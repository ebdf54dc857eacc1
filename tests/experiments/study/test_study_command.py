"""`run.py study`, as typed."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from experiments.cli.fields import overrides
from experiments.cli.main import main, parsed
from experiments.cli.study import continuing, worker_words
from experiments.storage.files import REPOSITORY
from experiments.study.folder import study_folder
from experiments.study.outlook import dropped
from experiments.study.plan import plan
from experiments.study.spec import read_study
from experiments.study.worker import Worker
from experiments.tracking.config import TrackConfig
from tests.experiments.small_data import planted, write_text
from tests.experiments.study.test_worker import metrics
from tests.experiments.tracking.wandb_reader import read_offline_run, read_records
from tests.experiments.training.test_signals import default_handler

STUDY = """# Does the contrast help?
base: cl4srec
datasets: [planted]
seeds: [0, 1]
baseline: sasrec
set:
  epochs: 2
  encoder.dim: 16
  encoder.inner: 16
  encoder.layers: 1
  encoder.max_length: 8
  train.batch_size: 64
"""


DRAWS = "{draws: 2, ranges: {epochs: {low: 1, high: 2}}, "
TRIALS = DRAWS.replace("draws", "trials")


@pytest.fixture
def file(tmp_path) -> Path:
    write_text(tmp_path / "data", "planted", planted())
    path = tmp_path / "helps.yaml"
    path.write_text(STUDY)
    return path


class Here:
    """A worker that runs in this process, as it is started: imports take most of the time."""

    output = "its line above"

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._code = main(command)

    def code(self) -> int:
        return self._code

    def end(self) -> None:
        pass

    def wait(self) -> None:
        pass


@pytest.fixture
def workers_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.study.local.LocalProcess", Here)
    monkeypatch.setattr("experiments.study.launch.POLL", 0.0)


def words(file: Path, *more: str) -> list[str]:
    folder = file.parent
    where = ["--data-dir", str(folder / "data"), "--out", str(folder / "out")]
    tracked = any(word.startswith("--track.mode") for word in more)
    return ["study", str(file), *where, *([] if tracked else ["--track.mode=disabled"]), *more]


def test_a_dry_run_lists_the_trials_and_writes_nothing(file, capsys):
    assert main(words(file, "--dry-run", "--workers", "3")) == 0
    *trials, outlook = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[-1].strip() for line in trials] == ["sasrec", "cl4srec"] * 2
    assert outlook.startswith("helps: 4 trials, 0 finished, 4 to do with 3 workers")
    assert outlook.endswith("(4 without a similar finished run)")
    assert not (file.parent / "out").exists()


@pytest.mark.slow
def test_two_workers_finish_a_study_and_what_is_finished_tells_how_long_more_would_take(
    file, capfd
):
    assert main(words(file, "--workers", "2")) == 0
    out = capfd.readouterr().out
    assert out.count("finished  planted") == 4
    place = study_folder("helps", file.parent / "out")
    assert metrics(place) == by_one_worker(file, file.parent)
    capfd.readouterr()
    record = file.parent / "out" / "record.jsonl"
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert sorted((line["variant"], line["seed"]) for line in lines) == [
        ("cl4srec", 0), ("cl4srec", 1), ("sasrec", 0), ("sasrec", 1),
    ]  # fmt: skip
    assert {line["device"].split(", ")[-1] for line in lines} == {"1 threads"}
    file.write_text(STUDY.replace("[0, 1]", "[0, 1, 2]"))
    assert main(words(file, "--dry-run")) == 0
    outlook = capfd.readouterr().out.splitlines()[-1]
    assert "6 trials, 4 finished, 2 to do" in outlook
    assert "without a similar run" not in outlook
    for line in lines:  # as they were before a field was added
        del line["config"]["train"]["precision"]
        line["trial"] = f"old {line['trial']}"
    before = "".join(json.dumps(line) + "\n" for line in lines)
    record.write_text(before)
    assert main(words(file, "--dry-run")) == 0
    assert "6 trials, 4 finished, 2 to do" in capfd.readouterr().out
    assert record.read_text() == before


def test_a_study_whose_fields_have_changed_since_its_trials_were_recorded_is_refused(file, capsys):
    """Both would be called sasrec, seed 0."""
    recorded = {"status": "finished", "variant": "sasrec", "dataset": "planted", "seed": 0}
    line = {"study": "helps", "trial": "0123", "valid/excluded/ndcg@10": 0.1, **recorded}
    (file.parent / "out").mkdir()
    (file.parent / "out" / "record.jsonl").write_text(json.dumps(line) + "\n")
    assert main(words(file, "--dry-run")) == 2  # which promises nothing that would be refused
    assert "of this study with other fields" in capsys.readouterr().err
    assert main(words(file)) == 2
    told = (
        "has 1 trials of this study with other fields, the first 0123 (sasrec on planted, seed 0)"
    )
    assert told in capsys.readouterr().err


def the_run(folder: Path) -> dict[str, Any]:
    """What W&B knows of the one run in a folder."""
    return next(record["run"] for record in read_records(folder) if record["type"] == "run")


def test_variants_that_the_file_no_longer_has_are_named(file):
    trials = plan(read_study(file), file.parent / "data")
    done = {trial.id: {"variant": trial.variant.label, "status": "finished"} for trial in trials}
    shorter = [trial for trial in trials if trial.variant.label == "sasrec"]
    (told,) = dropped(read_study(file), shorter, done)
    assert told.endswith("tables show them: cl4srec")
    assert dropped(read_study(file), trials, done) == []


@pytest.mark.slow
@pytest.mark.usefixtures("workers_here")
def test_a_study_is_tracked_as_one_group_with_a_run_that_holds_its_tables_and_plots(file, capfd):
    out = file.parent / "out"
    assert main(words(file, "--workers", "1", "--track.mode=offline")) == 0
    assert f"tracked: wandb sync {out / 'wandb'}" in capfd.readouterr().out
    trials = [the_run(folder) for folder in (out / "trials").iterdir()]
    assert {run["run_group"] for run in trials} == {"helps"}
    assert sorted((run["job_type"], run["display_name"]) for run in trials) == [
        ("planted/cl4srec", "cl4srec planted seed0"), ("planted/cl4srec", "cl4srec planted seed1"),
        ("planted/sasrec", "sasrec planted seed0"), ("planted/sasrec", "sasrec planted seed1"),
    ]  # fmt: skip
    whole = the_run(out / "wandb")
    assert (whole["run_group"], whole["job_type"]) == ("helps", "report")
    history = read_offline_run(out / "wandb")[1]
    kinds = {
        key.removesuffix("._type"): value
        for record in history
        for key, value in record.items()
        if key.endswith("._type")
    }
    plots = {f"plots/{path.stem}": "image-file" for path in (out / "report").rglob("*.png")}
    assert len(plots) == 3
    assert kinds == {"tables/helps-planted": "table-file", **plots}


def test_a_study_can_be_handed_to_sweeps(file, capsys):
    assert main(words(file, "--wandb-sweep")) == 0
    first, second, agents = capsys.readouterr().out.splitlines()
    sweeps = file.parent / "out" / "sweeps"
    assert first == f"helps sasrec planted: wandb sweep {sweeps / '1.yaml'}"
    assert second == f"helps cl4srec planted: wandb sweep {sweeps / '2.yaml'}"
    assert "wandb agent" in agents
    assert yaml.safe_load((sweeps / "2.yaml").read_text())["parameters"] == {
        "seed": {"values": [0, 1]}
    }


@pytest.mark.slow
@pytest.mark.usefixtures("workers_here")
def test_a_trial_that_fails_makes_the_study_fail_when_all_others_are_done(file, capfd):
    bad = "bad: {train.learning_rate: 1.0e+30}"
    text = STUDY.replace("baseline: sasrec", f"variants: {{good: {{}}, {bad}}}")
    file.write_text(text)
    assert main(words(file, "--workers", "1")) == 1
    told = capfd.readouterr()
    assert told.out.count("finished  planted") == told.out.count("failed    planted") == 2
    assert "2 of 4 trials failed, the first with FloatingPointError" in told.err
    assert "--retry-failed" in told.err


@pytest.mark.slow
@pytest.mark.usefixtures("workers_here")
def test_a_study_ends_with_a_code_of_its_own_where_the_rest_needs_another_machine(file, capfd):
    rows = "variants: {here: {}, card: {train.device: cuda:9}}"
    text = STUDY.replace("baseline: sasrec", rows).replace("seeds: [0, 1]", "seeds: [0]")
    file.write_text(text.replace("epochs: 2", "epochs: 1"))
    assert main(words(file, "--workers", "1")) == 3
    told = capfd.readouterr()
    assert told.out.count("finished  planted") == 1
    assert "started again" not in told.out
    assert "'cuda:9' is not there" in told.err
    assert "trials that are left need another machine" in told.err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("base: cl4srec", "base: cl4srce"), "did you mean 'cl4srec'"),
        (("datasets: [planted]", "datasets: [plantd]"), "did you mean 'planted'"),
        (("epochs: 2", "epoch: 2"), "did you mean epochs"),
        (("seeds: [0, 1]", "seeds: 3"), "seeds: expected a list"),
        (("baseline: sasrec", "search: {ranges: {epochs: {low: 1, high: 2}}}"), "trials must be"),
        (("baseline: sasrec", "random: {ranges: {epochs: {low: 1, high: 2}}}"), "draws must be"),
        (("baseline: sasrec", f"random: {DRAWS}seed: -1}}"), "random.seed must be at least 0"),
        (("baseline: sasrec", f"search: {TRIALS}seed: -1}}"), "search.seed must lie in"),
        (("  epochs: 2", "  epochs: 2\n  ties: shuffled"), "ties: "),
    ],
)
def test_a_mistake_in_a_study_is_told_before_anything_is_written(change, told, file, capsys):
    file.write_text(STUDY.replace(*change))
    assert main(words(file)) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (file.parent / "out").exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--workers", "0"], "--workers: must be at least 1, got 0"),
        (["--threads", "0"], "--threads: must be at least 1, got 0"),
        (["--epochs=3"], "unknown argument '--epochs=3'"),
        (["--track.mod=offline"], "did you mean 'mode'"),
        (["--slurm.partitoin=x", "--dry-run"], "did you mean 'partition'"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_before_anything_is_written(more, told, file, capsys):
    assert main(words(file, *more)) == 2
    assert told in capsys.readouterr().err
    assert not (file.parent / "out").exists()


@pytest.mark.parametrize("more", [[], ["--worker"]])
def test_a_logger_that_is_not_installed_is_told_in_one_line(more, file, monkeypatch, capsys):
    monkeypatch.setattr("experiments.tracking.loggers.find_spec", lambda name: None)
    assert main(words(file, "--track.also=[tensorboard]", *more)) == 2
    error = capsys.readouterr().err
    assert "tensorboard is not installed" in error
    assert error.count("\n") == 1
    assert not (file.parent / "out").exists()


def test_a_worker_needs_a_study_that_has_begun(file, capsys):
    assert main(words(file, "--worker")) == 2
    assert "manifest" in capsys.readouterr().err


def read(argv: list[str]) -> argparse.Namespace:
    """What `run.py` makes of a command line."""
    arguments, rest = parsed(argv)
    arguments.overrides = overrides(arguments, rest)
    return arguments


@pytest.mark.parametrize("time", ["12:00:00", "90", "1-00:00:00"])
def test_the_command_that_continues_a_study_asks_for_the_same_as_the_one_that_began_it(time, file):
    more = ("--launcher", "slurm", f"--slurm.time={time}", "--slurm.mem_gb=16", "--threads", "2")
    begun = read(words(file, *more))
    again = read(shlex.split(shlex.join(continuing(begun))))
    assert vars(again) == vars(begun)
    assert ("slurm.time", time) in again.overrides


@pytest.mark.parametrize("threads", [1, 2])
def test_a_worker_uses_as_many_threads_whoever_starts_it(threads, file, tmp_path, monkeypatch):
    study, place = read_study(file), study_folder("helps", tmp_path / "out")
    place.open(study, plan(study, file.parent / "data"))
    used: list[int] = []
    monkeypatch.setattr(Worker, "work", lambda worker: used.append(torch.get_num_threads()))
    begun = read(words(file, "--threads", str(threads)))
    torch.set_num_threads(3)
    try:
        assert main(worker_words(begun)) == 0
    finally:
        torch.set_num_threads(1)
    assert used == [threads]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "send"), [(signal.SIGTERM, os.kill), (signal.SIGINT, os.killpg)], ids=str
)
def test_a_study_that_is_interrupted_gives_its_trials_back(number, send, file, tmp_path):
    """The next start has them at once, without waiting for a lease to run out.

    A terminal sends Ctrl-C to the whole group of processes.
    """
    file.write_text(STUDY.replace("epochs: 2", "epochs: 200").replace("[0, 1]", "[0]"))
    more = ("--workers", "1", "--threads", "2")
    program = [sys.executable, str(REPOSITORY / "run.py"), *words(file, *more)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with default_handler(number):
        begun = subprocess.Popen(program, start_new_session=True, **pipes)
    trials = tmp_path / "out" / "trials"
    while not list(trials.glob("*/state.pt")):
        assert begun.poll() is None
    send(begun.pid, number)
    _, error = begun.communicate(timeout=60)
    assert begun.returncode == 128 + number
    again = shlex.join(words(file, *more))
    assert error.splitlines()[-1] == (
        f"interrupted: {number.name}; continue with `python run.py {again}`"
    )
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "record.jsonl").exists()
    (lease,) = (tmp_path / "out" / "leases").iterdir()
    assert lease.stat().st_mtime == 0.0


@pytest.mark.slow
def test_two_commands_at_once_measure_what_one_worker_does(file, tmp_path):
    """They share a folder: neither is refused, and no trial is trained twice."""
    command = [sys.executable, str(REPOSITORY / "run.py"), *words(file, "--workers", "1")]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    errors = [one.communicate(timeout=300)[1] for one in running]
    assert [one.returncode for one in running] == [0] * 2, errors
    assert len((tmp_path / "out" / "record.jsonl").read_text().splitlines()) == 4
    assert metrics(study_folder("helps", tmp_path / "out")) == by_one_worker(file, tmp_path)


def by_one_worker(file: Path, folder: Path) -> dict[str, Any]:
    """What the study measures in this process."""
    study, place = read_study(file), study_folder("helps", folder / "alone")
    place.open(study, plan(study, file.parent / "data"))
    Worker(place, file.parent / "data", TrackConfig(mode="disabled"), print).work()
    assert len(metrics(place)) == 4
    return metrics(place)


SEARCH = "search: {trials: 2, ranges: {encoder.dropout: {low: 0.1, high: 0.2}}}\n"


@pytest.mark.usefixtures("workers_here")
@pytest.mark.parametrize("search", ["", SEARCH], ids=["trials", "search"])
def test_a_study_of_which_nothing_can_be_trained_here_ends_with_that_code_too(search, file, capfd):
    text = STUDY.replace("set:", "set:\n  train.device: cuda:9")
    file.write_text(text.replace("baseline: sasrec\n", search))
    assert main(words(file, "--workers", "1")) == 3
    told = capfd.readouterr()
    assert "helps: 0 of " in told.out
    assert "trials that are left need another machine" in told.err
