"""Growth with the width of the model: what is asked of each width, and what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import experiments.bench.command as command
from experiments.bench.measure import measure_ours
from experiments.bench.scale import Case, write_random
from experiments.bench.subject import Measured, Subject
from experiments.bench.widths import WIDTHS, fewer, grow_in_width, subject, width_table
from experiments.config.resolve import resolve
from experiments.report.speed import BLOCKS, block
from models.losses.next_item import CrossEntropy

SMALL = Case(interactions=300, items=20)


def measure(subject: Subject, dataset: str, data_dir: str | None, steps: int) -> Measured:
    """Ten steps an epoch, a second each; bfloat16 takes half of that."""
    assert (Path(str(data_dir)) / f"{dataset}.txt").exists()
    seconds = 0.5 if subject.fields.get("train.precision") == "bfloat16" else 1.0
    return Measured(seconds, 10, 100, 0.1, 0.3, peak_mb=200.0, matmul_flops=4e10)


@pytest.mark.parametrize("bfloat16", [True, False])
def test_every_width_is_measured_in_each_precision_that_the_processor_has(bfloat16: bool) -> None:
    said: list[str] = []
    rows = grow_in_width(SMALL, 30, bfloat16, measure, said.append)
    assert [row.width for row in rows] == [64, 128, 256, 512]
    assert [row.float32.epoch_seconds for row in rows] == [10.0] * 4
    assert [row.float32.gflops for row in rows] == [4.0] * 4
    assert {row.bfloat16 and row.bfloat16.gflops for row in rows} == {8.0 if bfloat16 else None}
    assert len(said) == len(width_table(rows).splitlines()) - 1 == (8 if bfloat16 else 4)


@pytest.mark.parametrize(
    ("steps", "timed"), [(30, [30, 15, 7, 5]), (100, [100, 50, 25, 12]), (2, [2, 2, 2, 2])]
)
def test_a_wider_model_is_timed_for_fewer_steps(steps: int, timed: list[int]) -> None:
    assert [fewer(steps, width) for width in WIDTHS] == timed


def test_a_width_is_that_of_embeddings_and_blocks_and_all_items_are_scored(tmp_path: Path) -> None:
    write_random(tmp_path / "random.txt", SMALL)
    asked = subject(256, "bfloat16")
    where = [("model", asked.model), ("dataset", "random"), ("data_dir", str(tmp_path))]
    config, _ = resolve(None, [*where, ("examples", asked.examples), *asked.fields.items()])
    assert (config.encoder.dim, getattr(config.encoder, "inner", None)) == (256, 1024)
    assert (type(config.next_item), config.examples) == (CrossEntropy, "windows")
    assert config.train.precision == "bfloat16"


@pytest.mark.parametrize("units", [True, False])
def test_what_scale_writes_is_what_the_report_reads(
    units: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "in_process", measure)
    monkeypatch.setattr(command, "has_bfloat16", lambda: units)
    monkeypatch.setattr(command, "BEAUTY", SMALL)
    folder = tmp_path / "bench"
    command.bench_scale(100, 10, 30, folder, as_json=True)
    record = json.loads((folder / "scale.json").read_text())
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == record
    assert record["width_data"] == {"interactions": 300, "items": 20}
    assert [row["width"] for row in record["widths"]] == [*WIDTHS]
    keys = {"step_ms", "epoch_seconds", "peak_mb", "gflops"}
    assert {frozenset(row["float32"]) for row in record["widths"]} == {frozenset(keys)}
    assert all((row["bfloat16"] is not None) == units for row in record["widths"])
    assert (folder / "scale.png").read_bytes().startswith(b"\x89PNG")
    told = [block(tmp_path, name) for name, (file, _) in BLOCKS.items() if file == "scale.json"]
    assert "| 512 | 10.0 | 4 | 200 |" in told[-1]
    assert ("bfloat16" in told[-1]) == units
    assert "100 | 10 |" in told[0]


def test_a_width_is_trained_and_its_products_are_counted_without_a_profile(tmp_path: Path) -> None:
    write_random(tmp_path / "random.txt", SMALL)
    measured = measure_ours(subject(128, "float32"), "random", str(tmp_path), steps=1)
    assert measured.step_seconds > 0
    assert measured.matmul_flops > 0
    assert (measured.shares, measured.product_flops, measured.evaluate_seconds) == ({}, 0.0, None)
