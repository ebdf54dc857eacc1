"""The bench's arithmetic on figures with a known answer, and one whole run of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.bench.bound import epoch_flops
from experiments.bench.compare import SUBJECTS, ratios, seconds_per_target
from experiments.bench.measure import WARM_UP, Measured, time_steps
from experiments.cli import main
from experiments.config import Config
from experiments.data.batches import Rows
from models.encoders import SelfAttentionConfig


def figures(
    step: float, targets: int = 100, evaluate: float = 1.0, peak: float = 100.0
) -> Measured:
    return Measured(step, 10, targets, 0.0, evaluate, peak, matmul_flops=1e9)


def test_ratios_compare_seconds_a_target_pair_by_pair_and_take_the_median_round() -> None:
    found = {
        "RecBole SASRec, as shipped": [figures(3.0)] * 3,
        "RecBole SASRec": [figures(2.0, evaluate=12.0, peak=400.0)] * 3,
        "SASRec prefix": [figures(0.2), figures(0.1), figures(0.4)],
        "CL4SRec prefix": [figures(0.3), figures(0.15), figures(0.8)],
        "SASRec sequence": [figures(1.0, targets=1000)] * 3,
        "CL4SRec sequence": [figures(1.5, targets=1000)] * 3,
    }
    assert ratios(found, rate=1e9) == {
        "train_prefix": 10.0,
        "train_sequence": 20.0,
        "evaluate": 12.0,
        "contrast_step_prefix": 1.5,
        "contrast_step_sequence": 1.5,
        "peak_memory": 0.25,
        "of_bound": 0.5,
    }
    assert found.keys() == SUBJECTS.keys()


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


@pytest.mark.slow
def test_a_bench_prints_its_table_and_its_ratios(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "trace.json"
    assert main(["bench", "--steps=20", "--rounds=1", "--trace", str(trace), "--json"]) == 0
    printed = capsys.readouterr().out
    record: dict[str, Any] = json.loads(printed.splitlines()[-1])
    assert all(value > 0 for value in record["ratios"].values())
    assert all(name in printed for name in SUBJECTS)
    assert sum(record["measured"]["SASRec prefix"]["shares"].values()) == pytest.approx(1)
    assert "output layer" in trace.read_text()
