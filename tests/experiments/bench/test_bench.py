"""The bench's arithmetic on figures with a known answer, and one whole run of it."""

from __future__ import annotations

import inspect
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from augment.examples import Rows
from experiments.bench.bound import epoch_flops
from experiments.bench.child import measured_apart
from experiments.bench.compare import SUBJECTS, ratios, seconds_per_target, subjects_here
from experiments.bench.measure import answer, settings_of
from experiments.bench.measure_recbole import measure_recbole
from experiments.bench.meters import WARM_UP, time_steps
from experiments.bench.presets import multiples, preset_subjects, preset_table
from experiments.bench.scale import Case, Uneven, cases, growth_table, scale, write_random
from experiments.bench.steps import first_users
from experiments.bench.subject import Measured, Subject
from experiments.cli.main import main
from experiments.config.presets import presets
from experiments.config.run_config import Config
from models.encoders import SelfAttentionConfig
from tests.experiments.small_data import histories_of, planted, write_text


def figures(
    step: float, targets: int = 100, evaluate: float = 1.0, peak: float = 100.0
) -> Measured:
    return Measured(step, 10, targets, 0.0, evaluate, peak, matmul_flops=1e9, product_seconds=0.15)


def test_ratios_compare_seconds_a_target_pair_by_pair_and_take_the_median_round() -> None:
    found = {
        "RecBole SASRec, as shipped": [figures(3.0)] * 3,
        "RecBole SASRec": [figures(2.0, evaluate=12.0, peak=400.0)] * 3,
        "SASRec prefixes": [figures(0.2), figures(0.1), figures(0.4)],
        "CL4SRec prefixes": [figures(0.3), figures(0.15), figures(0.8)],
        "DuoRec prefixes": [figures(0.5), figures(0.25), figures(0.8)],
        "SASRec windows": [figures(1.0, targets=1000)] * 3,
        "CL4SRec windows": [figures(1.5, targets=1000)] * 3,
        "SASRec windows, width 256": [figures(4.0)] * 3,
        "SASRec windows, width 256, bfloat16": [figures(1.6)] * 3,
    }
    assert ratios(found, rate=1e9) == {
        "train_prefixes": 10.0,
        "train_windows": 20.0,
        "evaluate": 12.0,
        "contrast_step_prefixes": 1.5,
        "contrast_step_windows": 1.5,
        "duorec_step_prefixes": 2.5,
        "peak_memory": 0.25,
        "of_bound": 0.5,
        "of_shaped_bound": 0.75,
        "wide_bfloat16": 2.5,
    }
    assert found.keys() == SUBJECTS.keys()


def test_bfloat16_has_no_ratio_where_the_processor_has_no_products_in_it() -> None:
    found = {name: [figures(1.0)] for name in SUBJECTS if "bfloat16" not in name}
    assert ratios(found, rate=1e9)["wide_bfloat16"] is None


def test_seconds_a_target_are_an_epochs_seconds_over_its_targets() -> None:
    assert seconds_per_target(figures(0.5, targets=50)) == pytest.approx(0.1)


def test_the_warm_up_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 0.0, "steps": 0}

    def step() -> None:
        clock["steps"] += 1
        clock["now"] += 100.0 if clock["steps"] <= WARM_UP else 2.0

    monkeypatch.setattr("time.perf_counter", lambda: clock["now"])
    assert time_steps(step, 10) == 2.0
    assert clock["steps"] == WARM_UP + 10


@pytest.mark.parametrize("whole", [True, False])
def test_matrix_products_of_one_history_are_counted_as_by_hand(whole: bool) -> None:
    config = Config(encoder=SelfAttentionConfig(dim=4, layers=2, heads=1, inner=8))
    rows = Rows(np.array([0]), np.array([3]), np.array([0]), np.array([0]) if whole else None)
    query_and_output, keys_values, feed_forward = 2 * 2 * 4 * 4, 2 * 4 * 8, 2 * 2 * 4 * 8
    every = 3 * (query_and_output + keys_values + feed_forward) + (1 + 2 + 3) * 2 * 2 * 4
    last = query_and_output + feed_forward + 3 * keys_values + 3 * 2 * 2 * 4
    output = 2 * 4 * 7 * (3 if whole else 1)
    expected = 3 * (every + (every if whole else last) + output)
    assert epoch_flops(config, rows, num_items=7) == expected


def test_an_epoch_of_a_preset_holds_what_is_mined_and_is_compared_round_by_round() -> None:
    found = {
        "sasrec": [figures(0.1), figures(0.2), figures(0.1)],
        "iclrec": [replace(figures(0.2), start_seconds=1.0), figures(0.5), figures(0.1)],
    }
    assert multiples(found) == {"sasrec": 1.0, "iclrec": 2.5}
    assert "2.50" in preset_table(found).splitlines()[2]


def test_every_preset_is_measured_on_the_same_examples_sasrec_first() -> None:
    subjects = preset_subjects(presets())
    assert next(iter(subjects)) == "sasrec"
    assert set(subjects) == set(presets())
    assert {subject.examples for subject in subjects.values()} == {"prefixes"}


def test_growth_is_measured_by_factors_of_ten_from_one_size() -> None:
    sizes = [(case.interactions, case.items) for case in cases(2000, 100)]
    more_interactions = [(2000, 100), (20_000, 100), (200_000, 100)]
    assert sizes == [*more_interactions, (20_000, 1000), (20_000, 10_000)]


def test_made_up_data_has_its_size_and_every_item(tmp_path: Path) -> None:
    write_random(tmp_path / "random.txt", Case(interactions=2000, items=150))
    rows = [list(map(int, line.split())) for line in (tmp_path / "random.txt").open()]
    assert [row[0] for row in rows] == list(range(1, 201))
    assert {len(row) for row in rows} == {11}
    assert {item for row in rows for item in row[1:]} == set(range(1, 151))


def test_made_up_histories_have_their_sizes_no_short_one_and_some_far_longer(
    tmp_path: Path,
) -> None:
    write_random(tmp_path / "made.txt", Uneven(9000, 800, users=1000, shortest=5))
    rows = [list(map(int, line.split())) for line in (tmp_path / "made.txt").open()]
    lengths = sorted(len(row) - 1 for row in rows)
    assert [row[0] for row in rows] == [*range(1, 1001)]
    assert sum(lengths) == 9000
    assert lengths[0] == 5
    assert lengths[-1] > 50


def test_growth_is_a_table(tmp_path: Path) -> None:
    asked: list[str | None] = []

    def measure(subject: Subject, dataset: str, data_dir: str | None, steps: int) -> Measured:
        assert (Path(str(data_dir)) / f"{dataset}.txt").exists()
        asked.append(data_dir)
        return replace(figures(0.01 * steps), prepare_mb=5.0)

    found = scale(100, 10, 2, measure, lambda line: None)
    assert len(found) == len(asked) == 5
    assert [len(line) for line in growth_table(found).splitlines()] == [83] * 6
    assert found[-1].items == 1000
    assert found[0].step_ms == pytest.approx(20.0)


@pytest.mark.slow
def test_a_bench_prints_its_table_and_its_ratios(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One subject in a process of its own, all others here: imports take most of the time."""

    def measured(module: str, request: dict[str, Any]) -> dict[str, Any]:
        apart = request["subject"] == vars(SUBJECTS["SASRec windows"])
        return measured_apart(module, request) if apart else answer(request)

    monkeypatch.setattr("experiments.bench.compare.measured_apart", measured)
    monkeypatch.setattr("experiments.bench.bound.SIDE", 16)
    memory = itertools.count(1.0)  # of a process that measures one alone it grows as well
    for module in ("measure", "measure_recbole", "steps"):
        monkeypatch.setattr(f"experiments.bench.{module}.memory_mb", lambda _: next(memory))
    trace = tmp_path / "trace.json"
    write_text(tmp_path / "data", "planted", planted(40))
    data = ("--dataset", "planted", "--data-dir", str(tmp_path / "data"))
    place = ("--trace", str(trace), "--to", str(tmp_path))
    assert main(["bench", "--steps=2", "--rounds=1", *data, *place, "--json"]) == 0
    printed = capsys.readouterr().out
    record: dict[str, Any] = json.loads(printed.splitlines()[-1])
    assert all(value is None or value > 0 for value in record["ratios"].values())
    assert all(name in printed for name in subjects_here())
    assert sum(record["measured"]["SASRec prefixes"]["shares"].values()) == pytest.approx(1)
    assert "output layer" in trace.read_text()
    assert json.loads((tmp_path / "side_by_side.json").read_text()) == record


def test_both_sides_are_measured_on_the_processor_whatever_else_there_is() -> None:
    settings = settings_of(Subject("sasrec"), "ml-100k", None)
    assert settings["train.device"] == "cpu"
    assert inspect.signature(measure_recbole).parameters["device"].default == torch.device("cpu")


def test_only_the_first_users_are_ranked_among_all_items() -> None:
    some = first_users(histories_of([[1, 2, 3], [4, 5, 6, 7], [1, 1, 1]], 9), 2)
    assert (some.num_users, some.num_items) == (2, 9)
    assert some.items.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert first_users(some, 50).user_ids.tolist() == ["0", "1"]
