"""The picture of speed: which panels the bench's files make, and that it stays the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.errors import UsageError
from experiments.report.speed_plot import (
    Bars,
    Curves,
    draw_speed,
    growth_panels,
    recbole_panels,
    speed_picture,
)

MACHINE = {"cpu": "A processor", "cores": 2}
SIZES = [(100, 10), (1000, 10), (10_000, 10), (1000, 100), (1000, 1000)]


def cost(seconds: float) -> dict[str, float]:
    return {"step_ms": seconds, "epoch_seconds": seconds, "peak_mb": 1.0, "gflops": 1.0}


def scale(bfloat16: bool = True) -> dict[str, Any]:
    sizes = [
        {"interactions": n, "items": m, "prepare_seconds": n / 1e4, "epoch_seconds": n / 10,
         "step_ms": 10.0 + m / 1e3}
        for n, m in SIZES
    ]  # fmt: skip
    rows = [
        {"width": d, "float32": cost(d / 8), "bfloat16": cost(d / 16) if bfloat16 else None}
        for d in (64, 128, 256)
    ]
    data = {"interactions": 500, "items": 50}
    return {**MACHINE, "steps": 30, "sizes": sizes, "widths": rows, "width_data": data}


def side_by_side() -> dict[str, Any]:
    one = {"targets": 1000, "steps": 10}
    measured = {
        "RecBole SASRec, as shipped": {**one, "step_seconds": 4.0},
        "RecBole SASRec": {**one, "step_seconds": 2.0},
        "SASRec prefixes": {**one, "step_seconds": 0.2},
        "SASRec windows": {**one, "step_seconds": 0.1},
    }
    return {**MACHINE, "dataset": "toys", "measured": measured}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "bench").mkdir()
    for name, record in (("side_by_side", side_by_side()), ("scale", scale())):
        (tmp_path / "bench" / f"{name}.json").write_text(json.dumps(record))
    return tmp_path


def test_targets_a_second_of_recbole_and_of_ours_are_compared() -> None:
    (bars,) = recbole_panels(side_by_side())
    assert isinstance(bars, Bars)
    assert bars.values == {"RecBole SASRec": 50.0, "SASRec prefixes": 500, "SASRec windows": 1000}


def test_growth_is_drawn_by_width_interactions_and_items() -> None:
    drawn = {one.across: one for one in growth_panels(scale())}
    assert [*drawn] == ["width", "interactions", "items"]
    lines = {across: one.lines for across, one in drawn.items() if isinstance(one, Curves)}
    assert lines["width"] == {
        "float32": [(64, 8.0), (128, 16.0), (256, 32.0)],
        "bfloat16": [(64, 4.0), (128, 8.0), (256, 16.0)],
    }
    assert lines["interactions"]["an epoch"] == [(100, 10.0), (1000, 100.0), (10_000, 1000.0)]
    assert lines["interactions"]["preparation"][-1] == (10_000, 1.0)
    assert lines["items"]["a step"] == [(10, 10.01), (100, 10.1), (1000, 11.0)]


def test_without_bfloat16_there_is_one_line_by_width() -> None:
    by_width = growth_panels(scale(bfloat16=False))[0]
    assert isinstance(by_width, Curves)
    assert [*by_width.lines] == ["float32"]


def test_a_file_from_before_widths_were_measured_is_drawn_without_them() -> None:
    old = {key: value for key, value in scale().items() if not key.startswith("width")}
    shown = growth_panels(old)
    assert [one.across for one in shown] == ["interactions", "items"]
    assert "seconds of an epoch" not in draw_speed(shown).svg


def test_the_picture_names_axes_data_and_machine_and_is_the_same_every_time(results: Path) -> None:
    (first,), (again,) = speed_picture(results), speed_picture(results)
    assert (first.name, first.svg) == ("speed", again.svg)
    assert len(first.svg.encode()) < 60_000
    labels = ["targets a second", "width", "seconds of an epoch", "float32", "bfloat16"]
    labels += ["interactions", "seconds", "items", "ms of a training step", "RecBole SASRec"]
    assert [label for label in labels if f">{label}</text>" not in first.svg] == []
    assert first.svg.count("A processor, 2 cores") == 4
    assert "toys, width 64" in first.svg


def test_a_part_of_the_files_makes_a_part_of_the_picture(results: Path) -> None:
    (results / "bench" / "scale.json").unlink()
    (plot,) = speed_picture(results)
    assert "targets a second" in plot.text
    assert "interactions" not in plot.text
    (results / "bench" / "side_by_side.json").unlink()
    assert speed_picture(results) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"cpu": "x"}', "null", '{"sizes": []}'])
def test_another_file_is_named(text: str, results: Path) -> None:
    path = results / "bench" / "scale.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"{path}: not a file of `run.py bench`"):
        speed_picture(results)
