"""README's tables of time and memory say what the bench recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.errors import UsageError
from experiments.report.speed import BLOCKS, block, recorded

MACHINE = {"cpu": "A processor", "cores": 2}
MEASURED = {
    "step_seconds": 0.05, "steps": 500, "targets": 100_000, "evaluate_seconds": 2.0,
    "peak_mb": 1234.5, "matmul_flops": 1e12,
    "shares": {"contrast": 0.0, "optimizer": 0.1, "encoder": 0.6},
}  # fmt: skip
COST = {"step_ms": 90.0, "epoch_seconds": 10.0, "peak_mb": 312.2, "gflops": 80.1}
RECORDS: dict[str, dict[str, Any]] = {
    "side_by_side.json": {
        **MACHINE, "dataset": "toys", "rounds": 2, "gflops": 100.0,
        "ratios": {
            "train_prefixes": 9.04, "train_windows": 18.0, "evaluate": 17.0, "of_bound": 0.4,
            "contrast_step_prefixes": 1.9, "contrast_step_windows": 1.3,
            "duorec_step_prefixes": 2.2,
        },
        "measured": {
            "RecBole SASRec": {**MEASURED, "step_seconds": 0.5},
            "SASRec prefixes": {**MEASURED, "evaluate_seconds": None},
        },
    },
    "presets.json": {
        **MACHINE, "dataset": "toys", "rounds": 3,
        "epoch_over_sasrec": {"sasrec": 1.0, "cl4srec": 1.96},
    },
    "scale.json": {
        **MACHINE, "steps": 30,
        "sizes": [
            {"interactions": 2_000_000, "items": 10_000, "prepare_seconds": 0.44,
             "prepare_mb": 113.2, "step_ms": 16.4, "epoch_seconds": 1090.0, "peak_mb": 208.0},
        ],
        "width_data": {"interactions": 198_502, "items": 12_101},
        "widths": [
            {"width": 64, "steps": 30, "float32": COST,
             "bfloat16": {**COST, "epoch_seconds": 5.0, "gflops": 160.2}},
            {"width": 128, "steps": 15, "float32": {**COST, "epoch_seconds": 110.4},
             "bfloat16": None},
        ],
    },
    "gpu.json": {
        **MACHINE, "dataset": "toys", "steps": 50, "budget": 540.0, "card": "A card",
        "card_mb": 81_920, "driver": "580.1", "cuda": "13.0", "versions": {"torch": "2.13.0"},
        "goals": [
            {"goal": "a training in 30 s", "measured": 12.34, "at_most": 30.0, "met": True,
             "unit": "s", "subject": "toys, float32"},
            {"goal": "an epoch in 60 s", "measured": None, "at_most": None, "met": None,
             "unit": "s", "subject": "none"},
        ],
        "recbole_over_ours": 8.76,
        "measured": {
            "toys, float32": {
                **MEASURED, "product_seconds": 0.01, "square_flops": 1e12, "busy_seconds": 0.04,
                "gpu_peak_mb": 2345.6, "training_seconds": None, "compile": {},
            },
        },
        "failed": {"toys, tf32": "OutOfMemoryError: none left"},
        "left_out": ["toys, bfloat16"],
    },
}  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "bench").mkdir()
    for name, record in RECORDS.items():
        (tmp_path / "bench" / name).write_text(json.dumps(record))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("bench", "A processor, 2 cores; toys, 2 rounds in turn, medians."),
        ("bench", "| RecBole SASRec | 250 | 400 | 2.0 | 1,234 |"),
        ("bench", "| SASRec prefixes | 25.0 | 4,000 |  | 1,234 |"),
        ("bench", "SASRec trains 9.0 times as many targets a second as RecBole's"),
        ("bench", "Of its step (profiled): encoder 60%, optimizer 10%."),
        ("bench", "need 10.0 s at the rate of a square product (100 GFLOP/s): 40% of the 25.0 s"),
        ("bench/presets", "SASRec plus a contrast of two randomly augmented views"),
        ("bench/presets", "| 2.0 |"),
        ("bench/gpu", "- Goal, met: a training in 30 s (12.3 of 30 s)."),
        ("bench/gpu", "- Goal, not measured: an epoch in 60 s."),
        (
            "bench/gpu",
            "| toys, float32 | 50.00 | 25.00 |  | 4,000 | 2.00 | 4% | 20% | 80% | 2,346 |",
        ),
        ("bench/gpu", "- Failed: toys, tf32 (OutOfMemoryError: none left)."),
        ("bench/gpu", "- Left out, since 540 s were over (1): toys, bfloat16."),
        ("bench/scale", "| 2,000,000 | 10,000 | 0.4 | 113 | 16 | 1,090 | 208 |"),
        ("bench/widths", "| width | epoch s, float32 | GFLOP/s, float32 | peak MB, float32 | epo"),
        ("bench/widths", "| 64 | 10.0 | 80 | 312 | 5.0 | 160 | 312 |"),
        ("bench/widths", "| 128 | 110 | 80 | 312 |  |  |  |"),
        ("bench/widths", "12,101 items; 30 steps at width 64, 15 at 128."),
    ],
)
def test_a_block_says_what_was_measured(name: str, told: str, results: Path) -> None:
    assert told in block(results, name)


def test_only_what_is_on_record_has_a_block(results: Path) -> None:
    assert recorded(results) == [*BLOCKS]
    (results / "bench" / "presets.json").unlink()
    assert recorded(results) == ["bench", "bench/scale", "bench/widths", "bench/gpu"]


def test_what_no_gpu_has_measured_yet_is_said_to_be_so(results: Path) -> None:
    (results / "bench" / "gpu.json").unlink()
    assert block(results, "bench/gpu").startswith("Not measured yet")
    assert "bench/gpu" in recorded(results)


def test_a_file_from_before_widths_were_measured_is_read(results: Path) -> None:
    path = results / "bench" / "scale.json"
    old = {key: value for key, value in RECORDS["scale.json"].items() if "width" not in key}
    path.write_text(json.dumps(old))
    assert block(results, "bench/widths") == "Not measured yet on A processor, 2 cores."
    assert "| 2,000,000 | 10,000 |" in block(results, "bench/scale")


@pytest.mark.parametrize("text", ["{", "[]", '{"cpu": "x"}', "null"])
@pytest.mark.parametrize("name", BLOCKS)
def test_another_file_is_named_with_what_is_wrong(name: str, text: str, results: Path) -> None:
    path = results / "bench" / BLOCKS[name][0]
    path.write_text(text)
    with pytest.raises(UsageError, match=f"{path}: not a file of `run.py bench`"):
        block(results, name)
