"""A run's folder, its repetition, its continuation, and what it learns."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.cli.main import main
from experiments.config.run_config import Config, config_tree
from experiments.evaluation.ranking import Evaluation, metrics
from experiments.training import run as a_run
from experiments.training import train as training
from models.recbole_plug import SASRec
from tests.experiments.small_data import (
    FAST,
    ITEMS,
    RUN_FILES,
    SMALL,
    planted,
    read_history,
    read_json,
    train,
    write_text,
)

RESULT = {
    "dataset", "data_sha256", "model", "seed", "config_sha256", "commit", "dirty", "versions",
    "device", "best_epoch", "epochs", "parameters", "seconds", "targets_per_second",
    "peak_rss_mb", "metrics",
}  # fmt: skip
METRICS = [f"{name}@{k}" for k in (5, 10, 20) for name in ("hr", "ndcg", "mrr")]
EPOCHS = 3
CL4SREC = ("--model", "cl4srec", "--epochs", str(EPOCHS), *SMALL)
SELECTIVE = 315  # a seed with which no other metric agrees
TARGETS = sum(len(items) - 3 for items in planted())
REPEATS = [[*user[:place], user[0]] for place, user in enumerate(planted(8, 12, 12), start=3)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_text(folder, "planted", planted())
    write_text(folder, "repeats", REPEATS)
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three epochs, to read and not to change."""
    out = tmp_path_factory.mktemp("runs") / "run"
    train(data, out, *CL4SREC)
    return out


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the popularity baseline on the embedded ml-100k."""
    out = tmp_path_factory.mktemp("runs") / "films"
    assert main(["train", "--model", "popularity", "--out", str(out), "--track.mode=disabled"]) == 0
    return out


def continued(data: Path, out: Path, *arguments: str) -> int:
    return main(["train", "--out", str(out), "--resume", *arguments])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def ranks(run: Path) -> dict[str, list[Any]]:
    return {name: values.tolist() for name, values in np.load(run / "ranks.npz").items()}


def assert_same_run(one: Path, other: Path) -> None:
    """Equal bit for bit, but for times."""
    assert read_history(one) == read_history(other)
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert ranks(one) == ranks(other)
    first, second = read_json(one / "result.json"), read_json(other / "result.json")
    for key in ("metrics", "best_epoch", "epochs", "config_sha256"):
        assert first[key] == second[key]


# what a run leaves ------------------------------------------------------------------------------


def test_a_run_leaves_exactly_the_files_of_the_contract(run):
    assert sorted(path.name for path in run.iterdir()) == RUN_FILES


def test_the_result_has_every_key_and_metric_of_the_contract(run):
    result = read_json(run / "result.json")
    assert result.keys() >= RESULT
    assert list(result["seconds"]) == ["prepare", "train", "evaluate", "total"]
    assert list(result["metrics"]) == ["valid", "test"]
    for split in result["metrics"].values():
        assert list(split) == ["excluded", "ranked"]
        for values in split.values():
            assert list(values) == METRICS
            assert all(0 <= value <= 1 for value in values.values())
    assert result["versions"].keys() >= {"python", "torch", "recbole", "wandb"}
    assert len(result["data_sha256"]) == len(result["config_sha256"]) == 64


def test_seconds_are_of_all_epochs_also_of_those_before_a_run_was_resumed(run, data, tmp_path):
    train(data, tmp_path / "run", "--model", "cl4srec", "--epochs=2", *SMALL)
    assert continued(data, tmp_path / "run", "--epochs", "3") == 0
    for out in (run, tmp_path / "run"):
        result = read_json(out / "result.json")
        seconds = result["seconds"]["train"]
        each = [json.loads(line)["seconds"] for line in (out / "history.jsonl").open()]
        assert len(each) == 3
        assert seconds == pytest.approx(sum(each), abs=0.01)
        assert result["targets_per_second"] * seconds == pytest.approx(3 * TARGETS, rel=0.05)


def test_a_line_of_history_is_an_epoch_with_losses_and_validation(run):
    history = read_history(run)
    assert [record["epoch"] for record in history] == [1, 2, 3]
    assert [record["step"] for record in history] == [4, 8, 12]
    for record in history:
        assert record.keys() >= {"train/loss", "train/next_item", "train/gradient_norm"}
        assert record.keys() >= {f"valid/ranked/{name}" for name in METRICS}
        assert all(map(math.isfinite, record.values()))


def test_a_task_is_logged_with_everything_that_explains_it(run):
    names = {key.removeprefix("contrast/augmented_views/") for key in read_history(run)[0]}
    assert names >= {
        "loss", "weight", "accuracy", "positive_similarity", "negative_similarity", "alignment",
        "uniformity", "identity_rate", "identity_rate/crop", "gradient_norm",
    }  # fmt: skip


def test_the_saved_ranks_reproduce_the_metrics(run):
    saved = np.load(run / "ranks.npz")
    test = read_json(run / "result.json")["metrics"]["test"]
    assert metrics(saved["excluded"]) == test["excluded"]
    assert metrics(saved["ranked"]) == test["ranked"]
    assert saved["user_ids"].tolist() == [str(user) for user in range(1, 61)]


@pytest.mark.parametrize("split", ["valid", "test"])
def test_evaluating_again_gives_exactly_the_same_metrics(run, split, capsys):
    before = contents(run)
    assert main(["evaluate", str(run), "--split", split, "--json"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last) == {split: read_json(run / "result.json")["metrics"][split]}
    assert contents(run) == before


def test_evaluating_follows_the_data_to_another_folder(data, tmp_path, capsys):
    write_text(tmp_path / "old", "planted", planted())
    result = train(tmp_path / "old", tmp_path / "run", *CL4SREC)
    (tmp_path / "old").rename(tmp_path / "new")
    arguments = ["evaluate", str(tmp_path / "run"), "--json", "--data-dir", str(tmp_path / "new")]
    assert main(arguments) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last) == {"test": result["metrics"]["test"]}


@pytest.mark.parametrize("command", ["evaluate", "recommend"])
def test_a_finished_run_is_not_read_with_another_version_of_its_data(
    command, run, tmp_path, capsys
):
    reverse = [[31 - item for item in items] for items in planted()]  # as many users and items
    write_text(tmp_path, "planted", reverse)
    more = ["--history", "1"] if command == "recommend" else []
    assert main([command, str(run), "--data-dir", str(tmp_path), *more]) == 2
    assert "another version of the data" in capsys.readouterr().err


def test_the_written_config_repeats_the_run(data, run, tmp_path):
    result = tmp_path / "again"
    assert main(["train", "--config", str(run / "config.yaml"), "--out", str(result)]) == 0
    assert_same_run(run, result)


# repetition -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("examples", "encoder"), [("prefixes", "self_attention"), ("windows", "gru")]
)
def test_a_seed_repeats_a_run_and_another_seed_does_not(examples, encoder, data, tmp_path):
    arguments = ["--model", "cl4srec", "--epochs", "2", "--examples", examples]
    arguments += ["--encoder.dim=16", "--encoder.max_length=8", f"--encoder.kind={encoder}"]
    arguments += ["--train.batch_size=32", "--track.mode=disabled"]
    for out, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        train(data, tmp_path / out, *arguments, "--seed", seed)
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert read_history(tmp_path / "a") != read_history(tmp_path / "c")


def test_a_contrast_of_weight_zero_is_sasrec_bit_for_bit(data, tmp_path):
    plain, idle = tmp_path / "plain", tmp_path / "idle"
    train(data, plain, *CL4SREC, "--contrast=[]")
    train(data, idle, *CL4SREC, "--contrast.0.weight=0")
    assert read_history(plain) == read_history(idle)
    assert (plain / "model.safetensors").read_bytes() == (idle / "model.safetensors").read_bytes()


def test_every_epoch_has_its_own_dropout_and_views(data, tmp_path, monkeypatch):
    seeds: list[tuple[int, int]] = []
    losses = SASRec.losses

    def noting(self: SASRec, batch: Any, rng: torch.Generator, diagnose: bool = False) -> Any:
        seeds.append((torch.initial_seed(), rng.initial_seed()))
        return losses(self, batch, rng, diagnose)

    monkeypatch.setattr(SASRec, "losses", noting)
    train(data, tmp_path / "run", *CL4SREC)
    assert len(set(seeds)) == EPOCHS
    assert len({seed for pair in seeds for seed in pair}) == 2 * EPOCHS


def test_data_and_tracking_do_not_change_a_run(run, tmp_path):
    write_text(tmp_path / "elsewhere", "planted", planted())
    train(tmp_path / "elsewhere", tmp_path / "run", *CL4SREC, "--track.group=mine")
    assert_same_run(run, tmp_path / "run")


# selection --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stopped(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that stopped because validation did not improve; to read and not to change."""
    out = tmp_path_factory.mktemp("runs") / "stopped"
    train(data, out, "--model", "sasrec", *FAST, "--train.patience=2")
    return out


def test_training_stops_when_validation_has_not_improved_for_patience_evaluations(stopped):
    result = read_json(stopped / "result.json")
    assert result["epochs"] == len(read_history(stopped)) == result["best_epoch"] + 2
    assert result["epochs"] < 200


def test_the_weights_of_the_best_epoch_are_evaluated_and_not_those_of_the_last(stopped):
    result, history = read_json(stopped / "result.json"), read_history(stopped)
    scores = [record["valid/excluded/ndcg@10"] for record in history]
    assert result["best_epoch"] == 1 + scores.index(max(scores)) < len(history)
    best = history[result["best_epoch"] - 1]
    for rule, values in result["metrics"]["valid"].items():
        named = {f"valid/{rule}/{name}": value for name, value in values.items()}
        assert named.items() <= best.items()


def test_the_best_epoch_is_that_of_ndcg_at_10_with_seen_items_excluded(data, tmp_path, monkeypatch):
    """Ranks by which every other metric, and the other rule, would choose another epoch."""
    rng = np.random.default_rng(SELECTIVE)
    drawn = [rng.integers(1, 25, (2, 8)).astype(float) for _ in range(6)]
    made = [Evaluation(*ranks, 0, np.arange(8)) for ranks in drawn]
    scores = [one.metrics() for one in made]
    chosen = {
        (rule, name): int(np.argmax([score[rule][name] for score in scores]))
        for rule in ("excluded", "ranked")
        for name in METRICS
    }
    best = chosen.pop(("excluded", "ndcg@10"))
    assert best not in chosen.values()
    monkeypatch.setattr(a_run.Run, "validate", lambda run: made[run.progress.epoch - 1])
    result = train(data, tmp_path / "run", "--model", "sasrec", *SMALL, "--epochs=6")
    assert result["best_epoch"] == best + 1
    for rule, name in [("excluded", "ndcg@20"), ("ranked", "mrr@10"), ("excluded", "hr@5")]:
        other = ("--model", "sasrec", *SMALL, "--epochs=6", f"--train.monitor={rule}/{name}")
        result = train(data, tmp_path / name, *other)
        assert result["best_epoch"] == chosen[rule, name] + 1


def test_validation_may_come_every_other_epoch_and_always_comes_last(data, tmp_path):
    train(data, tmp_path / "run", "--model", "sasrec", *SMALL, "--epochs", "5",
          "--train.evaluate_every=2")  # fmt: skip
    validated = ["valid/excluded/ndcg@10" in record for record in read_history(tmp_path / "run")]
    assert validated == [False, True, False, True, True]


def test_the_test_split_is_looked_at_once(data, tmp_path, monkeypatch):
    looked: list[str] = []
    evaluate = a_run.evaluate

    def counting(*arguments: Any) -> Any:
        looked.append(arguments[2])
        return evaluate(*arguments)

    monkeypatch.setattr(a_run, "evaluate", counting)
    train(data, tmp_path / "run", *CL4SREC)
    assert looked == ["valid"] * (EPOCHS + 1) + ["test"]


def test_a_run_that_must_not_look_at_test_does_not(data, run, tmp_path, monkeypatch, capsys):
    looked: list[str] = []
    evaluate = a_run.evaluate

    def noting(*arguments: Any) -> Any:
        looked.append(arguments[2])
        return evaluate(*arguments)

    monkeypatch.setattr(a_run, "evaluate", noting)
    out = tmp_path / "run"
    result = train(data, out, *CL4SREC, "--evaluate.test=false")
    assert set(looked) == {"valid"}
    assert sorted(f.name for f in out.iterdir()) == [f for f in RUN_FILES if f != "ranks.npz"]
    assert "groups" not in result
    assert list(result["targets_seen"]) == ["valid"]
    assert result["metrics"] == {"valid": read_json(run / "result.json")["metrics"]["valid"]}
    printed = capsys.readouterr().out
    assert "valid, at the best epoch" in printed
    assert "test was not looked at (evaluate.test: false)" in printed
    assert main(["evaluate", str(out), "--split", "test", "--json"]) == 0  # still possible later
    test = json.loads(capsys.readouterr().out.splitlines()[-1])["test"]
    assert test == read_json(run / "result.json")["metrics"]["test"]


# the order of what happened at the same time ----------------------------------------------------


def write_days(folder: Path) -> None:
    """folder/days.inter: of each user, four interactions a day, in the order of the items."""
    rows = [
        f"{user}\t{item}\t{day}"
        for user, items in enumerate(planted(60, 12, 12), start=1)
        for day in range(3)
        for item in sorted(items[4 * day : 4 * day + 4])
    ]
    header = "user_id:token\titem_id:token\ttimestamp:float"
    (folder / "days.inter").write_text("\n".join([header, *rows]) + "\n")


def test_shuffled_ties_are_another_experiment_on_the_same_data(tmp_path, capsys):
    write_days(tmp_path)
    inter = ("--model", "popularity", "--track.mode=disabled")
    runs = {
        (ties, seed): train(
            tmp_path, tmp_path / f"{ties}{seed}", *inter, f"--ties={ties}", f"--seed={seed}",
            dataset="days",
        )
        for ties in ("file", "shuffled") for seed in (0, 1)
    }  # fmt: skip
    file, shuffled = runs["file", 0], runs["shuffled", 0]
    assert file["data_sha256"] == shuffled["data_sha256"]
    assert file["config_sha256"] != shuffled["config_sha256"]
    assert file["metrics"] != shuffled["metrics"]
    assert shuffled["metrics"] == runs["shuffled", 1]["metrics"]  # no matter of the run's seed


def test_a_run_with_shuffled_ties_is_read_again_with_them(tmp_path, capsys):
    write_days(tmp_path)
    out = tmp_path / "run"
    result = train(
        tmp_path, out, "--model", "sasrec", "--epochs=2", *FAST, "--ties=shuffled", dataset="days"
    )
    assert main(["evaluate", str(out), "--json"]) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again == {"test": result["metrics"]["test"]}
    assert continued(tmp_path, out, "--epochs=3") == 0
    train(tmp_path, tmp_path / "at-once", "--model", "sasrec", "--epochs=3", *FAST,
          "--ties=shuffled", dataset="days")  # fmt: skip
    assert ranks(out) == ranks(tmp_path / "at-once")


def test_ties_of_a_file_without_times_cannot_be_shuffled(data, tmp_path, capsys):
    arguments = ["--dataset", "planted", "--data-dir", str(data), "--out", str(tmp_path / "run")]
    assert main(["train", *arguments, "--ties=shuffled"]) == 2
    error = capsys.readouterr().err
    assert f"ties: {data / 'planted.txt'} has no times" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


# continuation -----------------------------------------------------------------------------------


def raising(original: Callable[..., Any], calls: int) -> Callable[..., Any]:
    """The original, but interrupted when it is called for the last time."""
    left = [calls]

    def call(*arguments: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return original(*arguments, **more)

    return call


def stopping_at(name: str, time: int) -> Callable[..., None]:
    """os.replace, but interrupted before a file of this name is put in its place that often."""
    ordinary, left = os.replace, [time]

    def replace(source: Any, target: Any) -> None:
        left[0] -= Path(target).name == name
        if left[0] == 0:
            raise KeyboardInterrupt
        ordinary(source, target)

    return replace


@pytest.mark.parametrize(
    ("where", "name", "stop"),
    [
        (torch.Tensor, "backward", raising(torch.Tensor.backward, 1)),  # before the first step
        (torch.Tensor, "backward", raising(torch.Tensor.backward, 11)),  # in the third epoch
        (os, "replace", stopping_at("state.pt", 1)),  # history is written, nothing else
        (os, "replace", stopping_at("state.pt", 2)),  # history is ahead of the state
        (os, "replace", stopping_at("model.safetensors", 1)),  # the best weights are missing
        (os, "replace", stopping_at("ranks.npz", 1)),  # after the final test
        (os, "replace", stopping_at("result.json", 1)),
    ],
)
def test_a_run_that_was_interrupted_continues_to_the_same_result(
    where, name, stop, run, data, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(where, name, stop)
        place = ["--dataset", "planted", "--data-dir", str(data), "--out", str(out)]
        assert main(["train", *place, *CL4SREC]) == 130
    assert capsys.readouterr().err.startswith("interrupted: ")
    assert not (out / "result.json").exists()
    assert continued(data, out) == 0
    assert_same_run(out, run)
    assert sorted(path.name for path in out.iterdir()) == RUN_FILES


@pytest.mark.parametrize("calls", [3, 8])  # in the first epoch, in the second
def test_a_run_that_was_interrupted_before_its_first_validation_continues(
    calls, data, tmp_path, monkeypatch
):
    rare = (*CL4SREC, "--train.evaluate_every=3")
    train(data, tmp_path / "whole", *rare)
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", raising(torch.Tensor.backward, calls))
        place = ["--dataset", "planted", "--data-dir", str(data), "--out", str(out)]
        assert main(["train", *place, *rare]) == 130
    assert not (out / "model.safetensors").exists()
    assert continued(data, out) == 0
    assert_same_run(out, tmp_path / "whole")


def test_a_line_of_history_that_was_cut_off_is_written_again(run, data, tmp_path, monkeypatch):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stopping_at("state.pt", 3))
        place = ["--dataset", "planted", "--data-dir", str(data), "--out", str(out)]
        assert main(["train", *place, *CL4SREC]) == 130
    history = out / "history.jsonl"
    history.write_text(history.read_text()[:-20])
    assert continued(data, out) == 0
    assert_same_run(out, run)


@pytest.mark.parametrize("examples", ["prefixes", "windows"])
def test_raising_the_epochs_equals_an_undisturbed_run(examples, data, tmp_path):
    arguments = ("--model", "cl4srec", "--examples", examples, *SMALL)
    train(data, tmp_path / "whole", *arguments, "--epochs", "4")
    train(data, tmp_path / "parts", *arguments, "--epochs", "2")
    assert continued(data, tmp_path / "parts", "--epochs", "4") == 0
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert (tmp_path / "whole" / "config.yaml").read_text() == (
        tmp_path / "parts" / "config.yaml"
    ).read_text()


@pytest.mark.parametrize("model", ["coserec", "augment-only"])
def test_what_is_mined_from_the_model_is_mined_again_when_a_run_is_resumed(model, data, tmp_path):
    """The table of the epoch before is not saved: the epoch that goes on makes its own."""
    place = {"coserec": "contrast.0.correlation", "augment-only": "augment.correlation"}[model]
    hybrid = (f"--{place}.similar=hybrid", f"--{place}.warm_up=1")
    arguments = ("--model", model, *hybrid, *SMALL)
    train(data, tmp_path / "whole", *arguments, "--epochs", "3")
    train(data, tmp_path / "parts", *arguments, "--epochs", "2")
    assert continued(data, tmp_path / "parts", "--epochs", "3") == 0
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_resuming_a_finished_run_changes_nothing(run, data, tmp_path, capsys):
    out = tmp_path / "run"
    shutil.copytree(run, out)
    assert continued(data, out, "--json") == 0
    assert contents(out) == contents(run)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == read_json(run / "result.json")


def test_resuming_a_run_that_stopped_early_changes_nothing(stopped, data, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(stopped, out)
    assert continued(data, out) == 0
    assert contents(out) == contents(stopped)


def test_a_finished_run_that_is_resumed_says_so(data, tmp_path, capsys):
    out = tmp_path / "run"
    train(data, out, "--model", "popularity", "--track.mode=disabled")
    capsys.readouterr()
    assert continued(data, out) == 0
    assert f"{out}: was finished before" in capsys.readouterr().out


def test_a_resumed_baseline_ranks_again(data, tmp_path):
    out = tmp_path / "run"
    result = train(data, out, "--model", "popularity", "--track.mode=disabled")
    (out / "result.json").unlink()
    assert continued(data, out) == 0
    assert read_json(out / "result.json")["metrics"] == result["metrics"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--seed", "1"], "--seed: a run is resumed as it was"),
        (["--model", "sasrec"], "--model: a run is resumed as it was"),
        (["--train.learning_rate=1"], "--train.learning_rate: a run is resumed as it was"),
        (["--track.mode=offline"], "--track.mode: a run is resumed as it was"),
        (["--epochs", "2"], "--epochs: 2 is below the 3 the run was started with"),
        (["--epochs", "many"], "epochs: expected an integer"),
        (["--config", "config.yaml"], "no --config"),
        (["--train.monitor=ranked/mrr@10"], "--train.monitor: a run is resumed as it was"),
    ],
)
def test_only_the_epochs_of_a_run_may_be_raised(arguments, told, run, data, capsys):
    before = contents(run)
    assert continued(data, run, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert told in error
    assert contents(run) == before


def test_epochs_are_not_raised_after_a_validation_that_came_only_because_they_ended(
    data, tmp_path, capsys
):
    train(
        data,
        tmp_path / "run",
        "--model",
        "sasrec",
        *SMALL,
        "--epochs=3",
        "--train.evaluate_every=2",
    )
    assert continued(data, tmp_path / "run", "--epochs", "6") == 2
    assert "--epochs: epoch 3 was validated as the last one" in capsys.readouterr().err


def test_epochs_may_be_raised_before_the_last_is_trained_whenever_it_would_be_validated(
    data, tmp_path, monkeypatch
):
    """Of three epochs the third is validated as the last; of four the second and the fourth."""
    rare = ("--model", "sasrec", *SMALL, "--train.evaluate_every=2")
    train(data, tmp_path / "whole", *rare, "--epochs=4")
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", raising(torch.Tensor.backward, 8))
        place = ["--dataset", "planted", "--data-dir", str(data), "--out", str(out)]
        assert main(["train", *place, *rare, "--epochs=3"]) == 130
    assert continued(data, out, "--epochs", "4") == 0
    assert_same_run(out, tmp_path / "whole")


def test_weights_that_were_trained_with_rounded_products_are_evaluated_anywhere(
    data, tmp_path, monkeypatch, capsys
):
    """Products are not rounded in an evaluation, so a processor without tf32 serves as well."""
    with monkeypatch.context() as patch:
        patch.setattr("experiments.training.run.check_precision", lambda *_: None)
        train(data, tmp_path / "run", *CL4SREC, "--train.precision=tf32")
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run")]) == 0


def test_a_run_of_fewer_fields_is_resumed_with_those_it_has(data, tmp_path, monkeypatch):
    """As one of an earlier version: what it lacks has the default, and its hashes stay its own."""
    arguments = ("--model", "cl4srec", *SMALL)
    train(data, tmp_path / "whole", *arguments, "--epochs", "4")
    parts = tmp_path / "parts"
    with monkeypatch.context() as patch:
        patch.setattr(training, "config_tree", without_clip_norm)
        train(data, parts, *arguments, "--epochs", "2")
    assert "clip_norm" not in (parts / "config.yaml").read_text()
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", raising(torch.Tensor.backward, 1))
        assert continued(data, parts, "--epochs", "4") == 130
    assert continued(data, parts) == 0
    assert (
        read_json(parts / "result.json")["metrics"]
        == (read_json(tmp_path / "whole" / "result.json")["metrics"])
    )
    assert main(["evaluate", str(parts)]) == 0


def without_clip_norm(config: Config) -> dict[str, Any]:
    tree = config_tree(config)
    del tree["train"]["clip_norm"]
    return tree


def test_resuming_needs_a_run(tmp_path, capsys):
    assert main(["train", "--resume"]) == 2
    assert "--resume needs --out DIR" in capsys.readouterr().err
    assert main(["train", "--resume", "--out", str(tmp_path / "none")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_run_is_not_resumed_on_other_data_or_from_a_damaged_state(tmp_path, capsys):
    out, data = tmp_path / "run", tmp_path / "data"
    write_text(data, "planted", planted())
    train(data, out, *CL4SREC)
    write_text(data, "planted", planted(seed=1))
    assert continued(data, out, "--epochs", "4") == 2
    assert "was trained on another version of the data" in capsys.readouterr().err
    write_text(data, "planted", planted())
    (out / "state.pt").write_bytes(b"damaged")
    assert continued(data, out, "--epochs", "4") == 2
    assert "state.pt: not a state of a run" in capsys.readouterr().err
    (out / "model.safetensors").write_bytes(b"damaged")
    assert main(["evaluate", str(out)]) == 2
    assert "model.safetensors: damaged or of another run" in capsys.readouterr().err


# what goes wrong --------------------------------------------------------------------------------


def test_of_two_runs_that_start_in_one_folder_one_is_refused(data, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    prepare = training.prepare

    def slow(*arguments: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(training, "prepare", prepare)
            train(data, out, *CL4SREC, "--seed", "5")  # the other one is quicker
        return prepare(*arguments)

    monkeypatch.setattr(training, "prepare", slow)
    place = ["--dataset", "planted", "--data-dir", str(data), "--out", str(out)]
    assert main(["train", *place, *CL4SREC]) == 2
    assert "another run was started there" in capsys.readouterr().err
    assert read_json(out / "result.json")["seed"] == 5


def test_a_learning_rate_that_is_too_large_ends_the_run_with_one_line(data, tmp_path, capsys):
    place = ["--dataset", "planted", "--data-dir", str(data), "--out", str(tmp_path / "run")]
    assert main(["train", *place, *CL4SREC, "--train.learning_rate=1e30"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("failed: ")
    assert "train.learning_rate" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run" / "result.json").exists()


# what it learns ---------------------------------------------------------------------------------


LEARNING = (*FAST, "--epochs=15", "--train.evaluate_every=5", "--encoder.dropout=0.1")


@pytest.fixture(scope="module")
def learned(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SASRec that has learned what is planted; to read and not to change."""
    out = tmp_path_factory.mktemp("runs") / "learned"
    train(data, out, "--model", "sasrec", *LEARNING)
    return out


def test_what_is_planted_is_learned(learned):
    assert read_json(learned / "result.json")["metrics"]["test"]["excluded"]["hr@5"] > 0.95


@pytest.mark.filterwarnings("ignore:clusters. ")  # fewer users than intents
@pytest.mark.parametrize(("model", "examples"), [("cl4srec", "windows"), ("iclrec", "prefixes")])
def test_what_is_planted_is_learned_with_a_contrast_too(model, examples, data, tmp_path):
    fields = ("--model", model, "--examples", examples, *LEARNING)
    result = train(data, tmp_path / "run", *fields)
    assert result["metrics"]["test"]["excluded"]["hr@5"] > 0.95


def test_popularity_is_no_better_than_chance_on_what_is_planted(data, tmp_path):
    result = train(data, tmp_path / "run", "--model", "popularity", "--track.mode=disabled")
    assert result["metrics"]["test"]["ranked"]["hr@5"] < 0.4
    assert (result["epochs"], result["best_epoch"], result["parameters"]) == (0, 0, 0)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        name for name in RUN_FILES if name not in ("history.jsonl", "state.pt")
    ]


def test_repeat_last_finds_what_is_repeated_only_where_seen_items_are_ranked(data, tmp_path):
    arguments = ("--model", "repeat-last", "--encoder.max_length=50", "--track.mode=disabled")
    result = train(data, tmp_path / "run", *arguments, dataset="repeats")
    assert result["metrics"]["test"]["ranked"]["hr@20"] == 1.0
    assert set(result["metrics"]["test"]["excluded"].values()) == {0.0}
    assert result["targets_seen"]["test"] == result["users"] == len(REPEATS)


# recommendations --------------------------------------------------------------------------------


def test_a_trained_model_recommends_what_is_planted(learned, capsys):
    assert main(["recommend", str(learned), "--history", "4,5 6", "-k", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found[0]["item"] == "7"
    assert len(found) == 3
    scores = [entry["score"] for entry in found]
    assert scores == sorted(scores, reverse=True)


def test_recommendations_have_titles_where_the_data_has_them(films, capsys):
    assert main(["recommend", str(films), "--history", "50 181", "-k", "3"]) == 0
    first = capsys.readouterr().out.splitlines()[0].split()
    assert first[:2] == ["1", "100"]  # the third most popular; 50 and 181 were seen
    assert " ".join(first[3:]) == "Fargo (1996)"


def test_recommendations_never_repeat_the_history_and_end_with_the_catalogue(run, capsys):
    assert main(["recommend", str(run), "--history", "1 2 3 2", "-k", "99", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert sorted(int(entry["item"]) for entry in found) == list(range(4, 31))
    assert {entry["title"] for entry in found} == {None}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--history", "1 999999"], "unknown '999999'"),
        (["--history", "Fargo"], "unknown 'Fargo'"),
        (["--history", ""], "--history is empty"),
        (["--history", " , "], "--history is empty"),
        (["--history", "1", "-k", "0"], "-k must be a whole number of at least 1, got 0"),
        (["--history", "1", "-k", "few"], "argument -k: invalid int value: 'few'"),
        ([], "--history"),
    ],
)
def test_a_history_that_cannot_be_read_is_told_in_one_line(arguments, told, run, capsys):
    assert main(["recommend", str(run), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert told in error


@pytest.mark.parametrize("command", ["evaluate", "recommend"])
def test_a_folder_without_a_run_is_told_in_one_line(command, tmp_path, capsys):
    more = ["--history", "1"] if command == "recommend" else []
    assert main([command, str(tmp_path), *more]) == 2
    assert "holds no run" in capsys.readouterr().err
    (tmp_path / "config.yaml").write_text("model: sasrec\n")
    assert main([command, str(tmp_path), *more]) == 2
    assert "no model yet" in capsys.readouterr().err


def test_a_run_is_not_resumed_with_other_item_features(data, tmp_path, capsys):
    vectors = np.random.default_rng(0).normal(size=(ITEMS, 4)).astype(np.float32)
    file, out = tmp_path / "features.npy", tmp_path / "run"
    np.save(file, vectors)
    fields = ["--model=alignment", f"--contrast.0.features={file}", "--epochs=1", *SMALL]
    result = train(data, out, *fields)
    assert list(result["features_sha256"]) == ["alignment"]
    assert main(["train", "--out", str(out), "--resume", "--epochs=2"]) == 0
    np.save(file, vectors[::-1])
    assert main(["train", "--out", str(out), "--resume", "--epochs=3"]) == 2
    assert "the run was trained with other item features" in capsys.readouterr().err
    assert main(["evaluate", str(out)]) == 2
