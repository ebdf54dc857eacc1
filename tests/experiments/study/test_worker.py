"""Every trial is trained to the end once, whatever happens to the workers."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.errors import RunFailed, UsageError
from experiments.storage.lock import sole_writer
from experiments.study import worker as working
from experiments.study.command import Where, finish, work
from experiments.study.folder import StudyFolder, study_folder
from experiments.study.plan import plan
from experiments.study.search import plan_searches
from experiments.study.spec import read_study
from experiments.study.worker import DEATHS, Worker
from experiments.tracking.config import TrackConfig
from experiments.training.train import train
from tests.experiments.small_data import planted, write_text

UNTRACKED = TrackConfig(mode="disabled")
TINY = """# Does it work?
base: cl4srec
datasets: [planted]
baseline: sasrec
set:
  encoder.dim: 16
  encoder.inner: 16
  encoder.layers: 1
  encoder.max_length: 8
  train.batch_size: 64
"""
TWO = TINY + "  epochs: 2\n"
EIGHT = TINY + "  epochs: 4\nseeds: [0, 1]\ngrid: {contrast.0.temperature: [0.1, 0.5, 1.0]}\n"


def begun(folder: Path, text: str) -> tuple[Path, StudyFolder]:
    """A study file next to its data, and its folder with a manifest."""
    write_text(folder, "planted", planted())
    file = folder / "tiny.yaml"
    file.write_text(text)
    study = read_study(file)
    place = study_folder(study.name, folder / "out")
    place.open(study, plan(study, folder))
    return file, place


def a_worker(place: StudyFolder, said: list[str] | None = None) -> Worker:
    return Worker(place, place.path.parent, UNTRACKED, (said if said is not None else []).append)


def metrics(place: StudyFolder) -> dict[str, dict[str, Any]]:
    """What is measured, by trial; not what differs from one repetition to the next."""
    kept = (
        "valid/",
        "test/",
        "best/",
        "curve/",
        "hits/",
        "groups/",
        "best_epoch",
        "epochs",
        "config",
    )
    return {
        trial: {
            key: value
            for key, value in line.items()
            if key.startswith(kept) and key != "curve/seconds"
        }
        for trial, line in place.results.lines().items()
    }


def test_a_study_is_worked_off_and_every_trial_recorded_with_all_of_its_facts(tmp_path):
    _, place = begun(tmp_path, TWO)
    said: list[str] = []
    a_worker(place, said).work()
    lines = list(place.results.lines().values())
    assert [line["variant"] for line in lines] == ["sasrec", "cl4srec"]
    assert [line["baseline"] for line in lines] == [None, "sasrec"]
    assert [line["status"] for line in lines] == ["finished"] * 2
    assert all(line["study"] == "tiny" and line["question"] == "Does it work?" for line in lines)
    assert all("data_dir" not in line["config"] for line in lines)
    assert [text.split()[0] for text in said] == ["finished"] * 2
    assert "[1 of 2, " in said[0]
    assert said[0].endswith(" left]")
    assert said[1].endswith("[2 of 2]")
    log = place.log(lines[0]["trial"]).read_text()
    assert "epoch   2" in log


def test_code_that_resolves_a_trial_to_another_configuration_trains_nothing(tmp_path):
    _, place = begun(tmp_path, TWO)
    manifest = json.loads(place.manifest.read_text())
    for trial in manifest["trials"]:
        trial["config_sha256"] = "0" * 64
    place.manifest.write_text(json.dumps(manifest))
    with pytest.raises(RunFailed, match="another configuration than planned"):
        a_worker(place).work()
    assert not place.results.lines()


def test_nothing_is_trained_again(tmp_path, monkeypatch):
    _, place = begun(tmp_path, TWO)
    a_worker(place).work()
    before = place.results.path.read_bytes()
    monkeypatch.setattr(working, "train", None)
    a_worker(place).work()
    assert place.results.path.read_bytes() == before


def test_a_trial_that_fails_is_recorded_with_its_error_and_does_not_stop_the_others(
    tmp_path, monkeypatch, capsys
):
    _, place = begun(tmp_path, TWO)

    def broken(config, *rest, **named):
        if config.model == "sasrec":
            raise FloatingPointError("the loss is nan")
        return ordinary(config, *rest, **named)

    ordinary = working.train
    monkeypatch.setattr(working, "train", broken)
    a_worker(place).work()
    failed, finished = place.results.lines().values()
    assert (failed["status"], failed["variant"]) == ("failed", "sasrec")
    assert failed["error"] == "FloatingPointError: the loss is nan"
    assert finished["status"] == "finished"
    assert "Traceback" in place.log(failed["trial"]).read_text()
    with pytest.raises(RunFailed, match="1 of 2 trials failed"):
        finish(read_study(tmp_path / "tiny.yaml"), [], place)


def test_what_is_not_the_trials_fault_ends_the_worker_and_the_trial_is_left(tmp_path, monkeypatch):
    _, place = begun(tmp_path, TWO)

    def on_a_full_disk(*rest, **named):
        raise RunFailed("cannot be written (No space left on device)")

    with monkeypatch.context() as patch:
        patch.setattr(working, "train", on_a_full_disk)
        with pytest.raises(RunFailed, match="No space left"):
            a_worker(place).work()
    assert place.results.lines() == {}
    a_worker(place).work()
    assert [line["status"] for line in place.results.lines().values()] == ["finished"] * 2


def test_a_worker_on_a_machine_with_other_data_or_none_ends_and_leaves_the_trials(tmp_path):
    _, place = begun(tmp_path, TWO)
    elsewhere = Worker(place, tmp_path / "nowhere", UNTRACKED, print)
    with pytest.raises(RunFailed, match="on this machine"):
        elsewhere.work()
    write_text(tmp_path / "other", "planted", planted(seed=1))
    elsewhere = Worker(place, tmp_path / "other", UNTRACKED, print)
    with pytest.raises(RunFailed, match="not the data that the trial was planned on"):
        elsewhere.work()
    assert place.results.lines() == {}


BAD = TINY + "  epochs: 1\nvariants: {card: {train.device: cuda:9}, any: {}}\n"


def test_a_trial_that_asks_for_what_this_machine_lacks_is_left_for_another(tmp_path, monkeypatch):
    """After all that can be trained here."""
    monkeypatch.setattr(working, "POLL", 0.0)
    _, place = begun(tmp_path, BAD.replace("baseline: sasrec\n", ""))
    with pytest.raises(RunFailed, match=r"on this machine: train\.device: 'cuda:9' is not there"):
        a_worker(place).work()
    (line,) = place.results.lines().values()
    assert (line["variant"], line["status"]) == ("cl4srec any", "finished")
    left = next(trial for trial in place.trials() if trial.id != line["trial"])
    assert not place.leases().taken(left.id)
    assert a_worker(place).setbacks(left) == 0


def test_a_search_whose_trial_this_machine_cannot_train_gets_no_more_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr(working, "POLL", 0.0)
    search = "search: {trials: 8, ranges: {train.learning_rate: {low: 0.001, high: 0.01}}}\n"
    text = TINY.replace("baseline: sasrec\n", "").replace("base: cl4srec", "base: sasrec")
    place = searched(tmp_path, f"{text}  epochs: 1\n  train.device: cuda:9\n{search}")
    worker = a_worker(place)
    with pytest.raises(RunFailed, match="on this machine"):
        worker.work()
    assert len(worker.planned()) == 1
    assert place.results.lines() == {}


def searched(folder: Path, text: str) -> StudyFolder:
    """The folder of a study that searches, with a manifest."""
    write_text(folder, "planted", planted())
    (folder / "tiny.yaml").write_text(text)
    study = read_study(folder / "tiny.yaml")
    place = study_folder(study.name, folder / "out")
    place.open(study, plan(study, folder), plan_searches(study, folder))
    return place


def test_failed_trials_are_trained_again_when_that_is_asked_for(tmp_path, monkeypatch):
    _, place = begun(tmp_path, TWO)
    with monkeypatch.context() as patch:
        patch.setattr(working, "train", None)  # not callable
        a_worker(place).work()
    assert {line["status"] for line in place.results.lines().values()} == {"failed"}
    place.forget_failed()
    a_worker(place).work()
    assert [line["status"] for line in place.results.lines().values()] == ["finished"] * 2


STOPPING = TINY + "  epochs: 9\n  train.patience: 1\n  train.learning_rate: 0.02\n"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A study with early stopping, worked off."""
    _, place = begun(tmp_path_factory.mktemp("undisturbed"), STOPPING)
    a_worker(place).work()
    return place


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_trial_that_is_taken_over_after_any_epoch_ends_as_if_nothing_had_happened(
    epoch, undisturbed, tmp_path, monkeypatch
):
    """With early stopping: patience counts on where it was."""
    stopped = [line["epochs"] for line in undisturbed.results.lines().values()]
    assert all(epochs < 9 for epochs in stopped)

    def killed(config, spec, folder, resume, watch):
        def until(record):
            goes_on = watch(record)
            if record["epoch"] == epoch + 1:
                raise KeyboardInterrupt
            return goes_on

        return ordinary(config, spec, folder, resume=resume, watch=until)

    ordinary = working.train
    _, disturbed = begun(tmp_path, STOPPING)
    with monkeypatch.context() as patch:
        patch.setattr(working, "train", killed)
        for _ in range(2):
            try:
                a_worker(disturbed).work()
            except KeyboardInterrupt:
                continue
    a_worker(disturbed).work()
    assert metrics(disturbed) == metrics(undisturbed)


def test_a_worker_that_was_asleep_leaves_its_trial_to_the_one_that_took_over(tmp_path, monkeypatch):
    _, place = begun(tmp_path, TWO)

    def overtaken(config, spec, folder, resume, watch):
        trial = folder.path.name
        taken = place.leases().path(trial, 2)
        taken.write_text(place.leases().path(trial, 1).read_text())
        return ordinary(config, spec, folder, resume=resume, watch=watch)

    ordinary = working.train
    monkeypatch.setattr(working, "train", overtaken)
    worker = a_worker(place)
    first = worker.trials[0]
    assert not worker.take(first)
    assert place.results.lines() == {}
    assert place.run(first.id).read_history() == []


def test_a_trial_whose_folder_is_still_written_is_left_for_later(tmp_path):
    _, place = begun(tmp_path, TWO)
    worker = a_worker(place)
    first = worker.trials[0]
    with sole_writer(place.run(first.id).path):
        assert not worker.take(first)
    assert worker.take(first)
    assert [line["status"] for line in place.results.lines().values()] == ["finished"]


def dies(place: StudyFolder, trial: str) -> None:
    """A process takes a trial and is gone before an epoch is over."""
    lease = place.leases().claim(trial, note="after epoch 0")
    path = place.leases().path(trial, lease.number)
    path.write_text(json.dumps({**json.loads(path.read_text()), "started": "long ago"}))


def test_a_trial_that_was_begun_goes_on_first_unless_processes_die_at_it(tmp_path):
    _, place = begun(tmp_path, EIGHT)
    worker = a_worker(place)
    in_order = [trial.id for trial in place.trials()]
    dies(place, in_order[1])
    assert [trial.id for trial in worker.open_trials()] == in_order
    dies(place, in_order[1])
    first, second, *rest = in_order
    assert [trial.id for trial in worker.open_trials()] == [first, *rest, second]


def test_a_trial_whose_processes_die_again_and_again_in_one_epoch_counts_as_failed(tmp_path):
    _, place = begun(tmp_path, TWO)
    trial = place.trials()[0]
    for _ in range(DEATHS):
        lease = place.leases().claim(trial.id, note="after epoch 0")
        gone = json.loads(place.leases().path(trial.id, lease.number).read_text()) | {
            "started": "1"
        }
        place.leases().path(trial.id, lease.number).write_text(json.dumps(gone))
    a_worker(place).work()
    line = place.results.lines()[trial.id]
    assert line["status"] == "failed"
    assert line["error"] == f"{DEATHS} processes were killed at it after epoch 0"


def test_a_trial_whose_processes_died_is_tried_again_when_that_is_asked_for(tmp_path):
    _, place = begun(tmp_path, TWO)
    trial = place.trials()[0]
    for number in range(1, DEATHS + 1):
        place.leases().path(trial.id, number).write_text('{"note": "after epoch 0"}')
    os.utime(place.leases().path(trial.id, DEATHS), (1.0, 1.0))
    a_worker(place).work()
    assert place.results.lines()[trial.id]["status"] == "failed"
    place.forget_failed()
    a_worker(place).work()
    assert place.results.lines()[trial.id]["status"] == "finished"


def test_a_failed_trial_in_the_hands_of_a_worker_is_not_taken_from_it(tmp_path, monkeypatch):
    """Another process has asked for it before, and its worker has begun."""
    _, place = begun(tmp_path, TWO)
    with monkeypatch.context() as patch:
        patch.setattr(working, "train", None)  # not callable
        a_worker(place).work()
    first, second = place.trials()
    place.run(first.id).path.mkdir(parents=True, exist_ok=True)
    with place.leases().claim(first.id):
        place.forget_failed()
    assert place.run(first.id).path.exists()
    assert second.id not in place.results.lines()


def test_a_run_that_ended_without_being_recorded_is_recorded_and_not_trained_again(
    tmp_path, monkeypatch
):
    _, place = begun(tmp_path, TWO)
    a_worker(place).work()
    before = metrics(place)
    place.results.path.unlink()
    monkeypatch.setattr(working, "train", None)
    a_worker(place).work()
    assert metrics(place) == before


def test_a_folder_is_of_one_study(tmp_path):
    _, place = begun(tmp_path, TWO)
    other = tmp_path / "other.yaml"
    other.write_text(TWO)
    study = read_study(other)
    with pytest.raises(UsageError, match="holds the study tiny"):
        place.open(study, plan(study, tmp_path))


def test_a_study_may_grow_and_is_not_continued_on_other_data(tmp_path):
    file, place = begun(tmp_path, TWO)
    a_worker(place).work()
    file.write_text(TWO + "seeds: [0, 1]\n")
    study = read_study(file)
    place.open(study, plan(study, tmp_path))
    assert len(a_worker(place).open_trials()) == 2
    write_text(tmp_path, "planted", planted(seed=1))
    with pytest.raises(UsageError, match="has trials on another version of planted"):
        place.open(study, plan(study, tmp_path))


def test_a_study_is_not_continued_with_another_version_of_a_plug_in(tmp_path):
    """The lines say which version ran; that of the file that is loaded now is another one."""
    file, place = begun(tmp_path, TWO)
    a_worker(place).work()
    lines = place.results.lines()
    old = {name: {**line, "plugins": {"mine.py": "0" * 64}} for name, line in lines.items()}
    place.results.replace(old)
    study = read_study(file)
    with pytest.raises(UsageError, match=r"2 trials ran another version of mine\.py"):
        place.open(study, plan(study, tmp_path))


def stopped_in_epoch_2(config, spec, folder, resume, watch):
    def until(record):
        watch(record)
        if record["epoch"] == 2:
            raise KeyboardInterrupt
        return True

    return train(config, spec, folder, resume=resume, watch=until)


def test_a_trial_that_was_begun_goes_on_with_no_other_version_of_its_plug_in(tmp_path, monkeypatch):
    """Neither by the next start of the study nor by a worker that joins it."""
    file, place = begun(tmp_path, TWO)
    with monkeypatch.context() as patch:
        patch.setattr(working, "train", stopped_in_epoch_2)
        with pytest.raises(KeyboardInterrupt):
            a_worker(place).work()
    run = place.run(place.trials()[0].id)
    assert len(run.read_history()) == 1
    run.write_plugins([{"name": "mine.py", "path": "mine.py", "sha256": "0" * 64}])
    with pytest.raises(RunFailed, match=r"was trained with --plugin mine\.py"):
        a_worker(place).work()
    assert place.results.lines() == {}
    study = read_study(file)
    with pytest.raises(UsageError, match=r"1 trials ran another version of mine\.py"):
        place.open(study, plan(study, tmp_path))


def test_a_study_whose_splits_read_different_files_goes_on(tmp_path):
    file, place = begun(tmp_path, TWO)
    a_worker(place).work()
    study = read_study(file)
    trials = plan(study, tmp_path)
    place.open(study, [*trials, replace(trials[0], id="0" * 16, data_sha256="1" * 64)])


def test_the_end_of_a_study_that_has_grown_meanwhile_says_what_is_left(tmp_path, capsys):
    """Another process has planned more seeds, with the same folder."""
    file, place = begun(tmp_path, TWO)
    a_worker(place).work()
    file.write_text(TWO + "seeds: [0, 1]\n")
    study = read_study(file)
    place.open(study, plan(study, tmp_path))
    finish(study, [], place)
    assert capsys.readouterr().out.startswith("tiny: 2 of 4 trials ended well")


def test_a_study_is_not_changed_under_workers_that_would_not_know(tmp_path):
    file, place = begun(tmp_path, TWO)
    file.write_text(TWO.replace("epochs: 2", "epochs: 3"))
    study = read_study(file)
    told = "workers are at trials that are not planned any more"
    with place.leases().claim(place.trials()[0].id), pytest.raises(UsageError, match=told):
        place.open(study, plan(study, tmp_path))
    place.open(study, plan(study, tmp_path))


@pytest.mark.slow
def test_workers_that_are_killed_at_random_lose_no_trial_and_record_none_twice(
    tmp_path, monkeypatch
):
    """Three workers, eight trials, six SIGKILLs; each worker that dies is replaced."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    _, undisturbed = begun(tmp_path / "one", EIGHT)
    a_worker(undisturbed).work()
    file, place = begun(tmp_path / "two", EIGHT)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["experiments.study.command"])
    arguments = (file, Where(file.parent, place.path, UNTRACKED))
    workers = [context.Process(target=work, args=arguments) for _ in range(3)]
    for one in workers:
        one.start()
    pick = random.Random(0)
    for _ in range(6):
        time.sleep(pick.uniform(0.2, 0.8))
        victim = pick.randrange(3)
        workers[victim].kill()
        workers[victim].join()
        workers[victim] = context.Process(target=work, args=arguments)
        workers[victim].start()
    for one in workers:
        one.join()
    assert [one.exitcode for one in workers] == [0] * 3
    texts = place.results.path.read_text().splitlines()
    assert len(texts) == len(place.trials()) == 8
    assert metrics(place) == metrics(undisturbed)
