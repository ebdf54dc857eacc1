"""Runs beside each other: what differs, by how much, and whether users agree."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments.cli.main import main
from experiments.errors import UsageError
from experiments.runs.compare import (
    cell,
    differences,
    differing_fields,
    gains_of_users,
    metrics,
    opened,
    paired_bootstrap,
)
from experiments.runs.comparison_plot import draw_validation
from tests.experiments.small_data import FAST, planted, train, write_text


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_text(folder, "planted", planted())
    write_text(folder, "others", planted(seed=1))
    for name, arguments in {
        "short": ("--model=sasrec", "--epochs=1"),
        "long": ("--model=sasrec", "--epochs=12"),
        "contrast": ("--model=cl4srec", "--epochs=1", "--seed=1"),
        "blind": ("--model=sasrec", "--epochs=1", "--evaluate.test=false"),
    }.items():
        train(folder, folder / name, *FAST, *arguments)
    counting = ("--model=popularity", "--encoder.max_length=8", "--track.mode=disabled")
    train(folder, folder / "popularity", *counting)
    train(folder, folder / "elsewhere", *FAST, "--model=sasrec", "--epochs=1", dataset="others")
    return folder


def test_only_fields_that_differ_are_shown(runs: Path) -> None:
    fields = differing_fields(opened([runs / "short", runs / "long"]))
    assert fields.to_dict(orient="index") == {"epochs": {"short": 1, "long": 12}}


def test_a_field_that_one_leaves_at_its_default_is_shown_with_it(
    runs: Path, tmp_path: Path
) -> None:
    other = ("--model=sasrec", "--epochs=1", "--train.monitor=ranked/mrr@10")
    train(runs, tmp_path / "other", *FAST, *other)
    fields = differing_fields(opened([runs / "short", tmp_path / "other"]))
    assert fields.to_dict(orient="index") == {
        "train.monitor": {"short": "excluded/ndcg@10", "other": "ranked/mrr@10"}
    }


def test_a_run_of_one_epoch_is_seen(runs: Path) -> None:
    panel = Figure().subplots()
    draw_validation(panel, opened([runs / "short", runs / "long"]))
    assert all(line.get_marker() == "o" for line in panel.get_lines())


def test_a_task_that_one_does_not_have_is_one_row(runs: Path) -> None:
    fields = differing_fields(opened([runs / "short", runs / "contrast"]))
    assert list(fields.index) == ["model", "seed", "contrast.0"]
    assert list(fields.loc["contrast.0"]) == ["-", "augmented_views"]


def test_a_field_that_a_baseline_does_not_read_is_no_difference(runs: Path) -> None:
    for name in ("short", "contrast"):
        fields = differing_fields(opened([runs / name, runs / "popularity"]))
        assert list(fields.index) == ["model", "seed"][: 1 + (name == "contrast")]
    three = differing_fields(opened([runs / "short", runs / "popularity", runs / "long"]))
    assert list(three.index) == ["model", "epochs"]
    assert list(three.loc["epochs"]) == [1, "-", 12]


def test_fields_of_a_task_that_one_does_not_have_are_shown_where_the_others_differ(
    runs: Path, tmp_path: Path
) -> None:
    hotter = ("--model=cl4srec", "--epochs=1", "--seed=1", "--contrast.0.temperature=0.77")
    train(runs, tmp_path / "hotter", *FAST, *hotter)
    fields = differing_fields(opened([runs / "short", runs / "contrast", tmp_path / "hotter"]))
    assert list(fields.index) == ["model", "seed", "contrast.0", "contrast.0.temperature"]
    assert list(fields.loc["contrast.0.temperature"])[::2] == ["-", 0.77]


def test_the_difference_is_that_of_the_metrics_and_its_interval_is_around_it(runs: Path) -> None:
    pair = opened([runs / "short", runs / "long"])
    (difference,) = differences(pair)
    ndcg = metrics(pair).loc["test/excluded/ndcg@10"]
    assert difference.mean == pytest.approx(ndcg["long"] - ndcg["short"], abs=1e-9)
    assert difference.low < difference.mean < difference.high
    assert difference.p < 0.05


def test_p_of_several_runs_is_corrected_for_their_number(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = differences(opened([runs / "short", runs / "long"]))[0]
    assert alone.p_holm == alone.p
    names = ["short", "long", "contrast"]
    both = differences(opened([runs / name for name in names]))
    assert both[0].p == alone.p
    assert max(one.p_holm for one in both) >= max(one.p for one in both)
    assert min(one.p_holm for one in both) == min(1.0, 2 * min(one.p for one in both))
    assert main(["compare", *(str(runs / name) for name in names)]) == 0
    assert "Holm's correction for 2 comparisons" in capsys.readouterr().out


def test_a_studys_trial_is_called_by_its_model(runs: Path, tmp_path: Path) -> None:
    trial = shutil.copytree(runs / "contrast", tmp_path / "0123456789abcdef")
    names = [run.name for run in opened([runs / "short", trial])]
    assert names == ["short", "cl4srec 012345"]


def test_a_run_against_its_copy_differs_in_nothing(runs: Path, tmp_path: Path) -> None:
    twice = opened([runs / "short", shutil.copytree(runs / "short", tmp_path / "copy")])
    assert len(differing_fields(twice)) == 0
    assert (differences(twice)[0].mean, differences(twice)[0].p) == (0.0, 1.0)


def test_the_bootstrap_agrees_with_resampling_user_by_user() -> None:
    of_user = np.random.default_rng(3).normal(0.02, 0.1, size=80) * (np.arange(80) % 4 > 0)
    mean, low, high, p = paired_bootstrap(of_user)
    draws = np.random.default_rng(9).integers(80, size=(20_000, 80))
    means = of_user[draws].mean(axis=1)
    assert mean == pytest.approx(of_user.mean())
    assert (low, high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.002)
    assert p == pytest.approx(2 * min((means <= 0).mean(), (means >= 0).mean()), abs=0.01)


def test_where_test_was_not_looked_at_validation_is_compared(runs: Path) -> None:
    pair = opened([runs / "short", runs / "blind"])
    assert all(name.startswith("valid/") for name in metrics(pair).index[:3])
    assert differences(pair) == []


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["short"], "at least two runs"),
        (["short", "elsewhere"], "other targets"),
        (["short", "none"], "there is no such folder"),
        (["short", "long", "short/../short"], "is named twice"),
    ],
)
def test_what_cannot_be_compared_is_refused(names: list[str], told: str, runs: Path) -> None:
    with pytest.raises(UsageError, match=told):
        opened([runs / name for name in names])


def test_metrics_have_four_digits_and_seconds_one() -> None:
    assert [cell("test/excluded/hr@10", value) for value in (0.486, 1.0)] == [".4860", "1.0000"]
    assert [cell("seconds", value) for value in (0.486, 71.25)] == ["0.5", "71.2"]
    assert cell("parameters", 640) == "640"


def test_the_command_prints_draws_and_gives_json(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "plots" / "both.svg"
    assert main(["compare", str(runs / "short"), str(runs / "long"), f"--to={to}", "--json"]) == 0
    printed = capsys.readouterr().out.splitlines()
    told = json.loads(printed[-1])
    assert told["fields"] == {"epochs": {"short": 1, "long": 12}}
    assert told["ndcg@10 against the first"][0]["run"] == "long"
    assert to.read_text(encoding="utf-8").startswith("<?xml")
    assert main(["compare", str(runs / "short"), str(runs / "long"), "--to=x.txt"]) == 2


def test_the_mean_over_users_is_the_metric_where_users_have_several_targets() -> None:
    users, ranks = np.array(["b", "a", "a", "a"]), np.array([1.0, 1.0, 20.0, 3.0])
    gains = gains_of_users(users, ranks)
    assert gains.index.tolist() == ["a", "b"]
    assert gains.mean() == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    assert gains["a"] == 3 * gains["b"] / 2


@pytest.mark.parametrize("content", ["of another run", "cut"])
def test_ranks_that_are_not_those_of_the_run_are_refused_in_one_line(
    content: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(runs / "short", tmp_path / "short")
    ranks = tmp_path / "short" / "ranks.npz"
    other = (runs / "long" / "ranks.npz").read_bytes()
    ranks.write_bytes(other if content == "of another run" else other[:50])
    assert main(["compare", str(tmp_path / "short"), str(runs / "contrast")]) == 2
    assert "ranks.npz" in capsys.readouterr().err
