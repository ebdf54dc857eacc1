"""The bench of a GPU, on the processor as far as it goes: all subjects, in tiny sizes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import experiments.bench.bound
import experiments.bench.child
import experiments.bench.gpu_subjects
from experiments.bench.child import OutOfTime
from experiments.bench.gpu import Bench, Found, Measure
from experiments.bench.gpu_goals import gpu_record
from experiments.bench.gpu_subjects import BEAUTY, MILLION, ML_20M, PRECISIONS, RECBOLE
from experiments.bench.measure_gpu import COMPILED, GpuSubject, OnGpu, measure
from experiments.bench.scale import Case, Uneven
from experiments.cli.main import main
from experiments.errors import RunFailed, UsageError
from experiments.report.gpu_speed import gpu, text
from tests.experiments.small_data import planted, write_text

TINY = {
    BEAUTY: Uneven(400, 40, users=50, shortest=5),
    ML_20M: Uneven(600, 40, users=30, shortest=6),
    MILLION: Case(200, 60),
}
SMALL = {"encoder.inner": 16, "encoder.layers": 1}
SHORT = {BEAUTY: {**SMALL, "epochs": 2}, ML_20M: SMALL, MILLION: SMALL}
FIRST = f"{BEAUTY}, d 64, prefixes, float32"
ABOUT = {
    "dataset": None, "steps": 2, "budget": 500.0, "card": "A card", "card_mb": 81920,
    "driver": "580.1", "cuda": "13.0", "versions": {"torch": "2.13.0"},
}  # fmt: skip


def figures(**more: Any) -> OnGpu:
    few = OnGpu(0.002, 100, 25_600, 0.1, None, 100.0, matmul_flops=1e11, product_seconds=0.001)
    return replace(few, square_flops=1e12, scores_mb=1000.0, **more)


def bench(measure: Measure, **more: Any) -> Bench:
    return Bench(
        **{
            "dataset": None, "data_dir": None, "steps": 2, "budget": 500.0,
            "keep": lambda found: None, "say": lambda line: None, "device": "cpu",
            "made_up": TINY, "fields": SHORT, "measure": measure, **more,
        }
    )  # fmt: skip


def clock(step: float) -> Callable[[], float]:
    """Every look at it is `step` seconds after the one before."""
    times = iter(range(10_000))
    return lambda: next(times) * step


def here(
    subject: GpuSubject, dataset: str, data_dir: str | None, steps: int, seconds: float
) -> OnGpu:
    """A measurement in this process."""
    try:
        return measure(subject, dataset, data_dir, steps)
    except UsageError as error:
        raise RunFailed(str(error)) from None


@pytest.mark.slow
def test_every_subject_is_measured_and_one_that_cannot_be_is_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(experiments.bench.bound, "SIDE", 16)
    monkeypatch.setattr(experiments.bench.gpu_subjects, "PRECISIONS", ("float32", "tf32"))
    monkeypatch.delitem(COMPILED, "CUDA graphs")
    monkeypatch.setitem(COMPILED, "compiled", {"disable": True})
    kept: list[int] = []
    whole = bench(here, keep=lambda found: kept.append(len(found.measured) + len(found.failed)))
    found = whole.run()
    names = list(whole.subjects())
    assert sorted([*found.measured, *found.failed]) == sorted(names)
    assert kept == [*range(1, len(names) + 1), len(names)]
    assert [*found.failed] == [name for name in names if "tf32" in name]
    assert all("tf32 is of NVIDIA GPUs" in told for told in found.failed.values())
    assert all(on.step_seconds > 0.0 for on in found.measured.values())
    assert all(on.targets > on.steps > 0 for on in found.measured.values())
    ours = found.measured[FIRST]
    assert ours.product_seconds > 0.0
    assert ours.square_flops > 0.0
    assert ours.evaluate_seconds is not None
    assert ours.scores_mb == pytest.approx(ours.targets / ours.steps * 40 * 4 / 2**20)
    trained = found.measured[f"{FIRST}, whole training"]
    assert trained.training_epochs == 2
    assert trained.training_seconds is not None
    assert trained.training_seconds > 2 * trained.steps * trained.step_seconds
    record = {**ABOUT, **gpu_record(found, whole.beauty)}
    assert record == json.loads(json.dumps(record))
    assert [goal["met"] for goal in record["goals"]] == [True, True, None]  # no GPU, no memory
    for shown in (gpu(record), text(record)):
        assert all(name in shown for name in names)
        assert "not measured: cross-entropy over a million items" in shown


def test_what_a_subject_leaves_of_the_budget_is_for_the_next_and_the_rest_is_left_out() -> None:
    allowed: list[float] = []

    def count(*asked: Any) -> OnGpu:
        allowed.append(asked[-1])
        return figures()

    short = bench(count, budget=100.0, clock=clock(10.0))  # it looks twice for each subject
    found = short.run()
    names = list(short.subjects())
    assert allowed == [80.0, 60.0, 40.0, 20.0, 0.0]
    assert [*found.measured] == names[:5]
    assert found.left_out == names[5:]
    record = {**ABOUT, "budget": 100.0, **gpu_record(found, BEAUTY)}
    assert f"Left out, since 100 s were over ({len(names) - 5}): {names[5]}; " in gpu(record)


def test_a_subject_that_fails_or_outlasts_the_budget_leaves_the_others_as_they_are() -> None:
    asked: list[GpuSubject] = []

    def fail(subject: GpuSubject, *_: Any) -> OnGpu:
        asked.append(subject)
        if len(asked) == 2:
            raise RunFailed("OutOfMemoryError: CUDA out of memory.")
        if len(asked) == 4:
            raise OutOfTime
        return figures()

    whole = bench(fail)
    found, names = whole.run(), list(whole.subjects())
    assert found.failed == {names[1]: "OutOfMemoryError: CUDA out of memory."}
    assert found.left_out == [names[3]]
    assert [*found.measured] == [names[0], names[2], *names[4:]]
    shown = gpu({**ABOUT, **gpu_record(found, BEAUTY)})
    assert f"- Failed: {names[1]} (OutOfMemoryError: CUDA out of memory.)." in shown


def test_what_answers_the_goals_comes_first_and_every_precision_is_compiled_too() -> None:
    subjects = bench(here).subjects()
    names = list(subjects)
    assert names[0] == f"{FIRST}, whole training"
    assert names[1] == f"{RECBOLE}, {BEAUTY}"
    assert names[2] == FIRST
    seen = {
        (one.subject.fields["train.precision"], one.subject.compiled)
        for one in subjects.values()
        if "train.precision" in one.subject.fields
    }
    assert seen == {(p, how) for p in PRECISIONS for how in (None, *COMPILED)}


def test_made_up_beauty_is_trained_as_beauty_is_and_other_data_as_they_are(tmp_path: Path) -> None:
    made_up = bench(here, fields={}).subjects()
    trained = made_up[f"{FIRST}, whole training"].subject.fields
    assert trained["epochs"] == 16
    assert (
        trained["train.batch_size"]
        == made_up[f"{RECBOLE}, {BEAUTY}"].subject.fields["train.batch_size"]
    )
    write_text(tmp_path, "planted", planted(9))
    others = bench(here, dataset="planted", data_dir=str(tmp_path), fields={})
    first = others.subjects()["planted, d 64, prefixes, float32, whole training"]
    assert "epochs" not in first.subject.fields
    places: list[tuple[str, str | None]] = []

    def note(subject: GpuSubject, dataset: str, data_dir: str | None, *_: Any) -> OnGpu:
        places.append((dataset, data_dir))
        return figures()

    replace(others, measure=note).run()
    assert places[0] == ("planted", str(tmp_path))
    assert len(set(places)) == 3


def test_goals_are_met_missed_or_not_measured() -> None:
    found = Found(
        {
            f"{FIRST}, whole training": figures(training_seconds=31.0),
            f"{ML_20M}, d 64, windows of 200, float32": figures(),
            f"{MILLION}, cross-entropy, float32": figures(gpu_peak_mb=900.0),
            FIRST: figures(),
            f"{FIRST}, compiled": figures(compile={"seconds": 20.0, "graph_breaks": 0.0,
                                                   "without_cuda_graphs": 0.0}),
            f"{RECBOLE}, {BEAUTY}": replace(figures(), step_seconds=0.02),
        }
    )  # fmt: skip
    record = {**ABOUT, **gpu_record(found, BEAUTY)}
    assert [goal["met"] for goal in record["goals"]] == [False, True, True]
    assert [goal["met"] for goal in gpu_record(Found(), BEAUTY)["goals"]] == [None] * 3
    assert record["recbole_over_ours"] == 10.0
    shown = gpu(record)
    assert "A card (80 GB, driver 580.1, CUDA 13.0, torch 2.13.0)" in shown
    assert "| beauty, d 64, prefixes, float32 | 2.00 | 0.20 |  | 128,000 |  | 50% | 50% |" in shown
    assert "- Goal, not met: a whole training" in shown
    assert "RecBole's SASRec takes 10.0 times as long a target as ours" in shown
    assert f"{FIRST}, compiled: a step is 1.00 times as quick as without." in shown


def test_without_a_gpu_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["bench", "--gpu", "--to", str(tmp_path / "to")]) == 2
    out, errors = capsys.readouterr()
    assert (out, errors.count("\n")) == ("", 1)
    assert "bench --gpu: needs an NVIDIA GPU" in errors
    assert not (tmp_path / "to").exists()


def test_the_command_prints_what_it_writes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    card = {key: ABOUT[key] for key in ("card", "card_mb", "driver", "cuda")}
    monkeypatch.setattr("experiments.bench.command.check_gpu", lambda: None)
    monkeypatch.setattr("experiments.bench.command.card", lambda: card)
    monkeypatch.setattr("experiments.bench.gpu.in_process", lambda *_: figures())
    monkeypatch.setattr("experiments.bench.gpu.MADE_UP", TINY)
    assert main(["bench", "--gpu", "--budget=60", "--to", str(tmp_path), "--json"]) == 0
    out, errors = capsys.readouterr()
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert json.loads(out.splitlines()[-1]) == record
    assert text(record) in out
    assert f"{FIRST} (" in errors
    assert {"versions", "cpu", "cores", "budget", "steps", *card} <= record.keys()
