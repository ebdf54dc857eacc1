"""What is measured of one subject on a GPU, on the processor as far as it goes."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

import experiments.bench.bound
from experiments.bench.gpu import in_process
from experiments.bench.measure_gpu import COMPILED, GpuSubject, OnGpu, measure
from experiments.errors import RunFailed
from tests.experiments.small_data import planted, write_text

SMALL = {
    "encoder.dim": 16, "encoder.inner": 16, "encoder.layers": 1, "train.batch_size": 64,
}  # fmt: skip


def test_steps_are_measured_next_to_their_products_and_what_all_scores_would_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments.bench.bound, "SIDE", 16)
    write_text(tmp_path, "planted", planted(40))
    subject = GpuSubject("sasrec", "windows", device="cpu", fields=SMALL)
    on = measure(subject, "planted", str(tmp_path), 2)
    assert 0.0 < on.product_seconds < on.step_seconds
    assert on.evaluate_seconds is not None
    assert on.square_flops > 0.0
    assert on.scores_mb == pytest.approx(on.targets / on.steps * 30 * 4 / 2**20)
    assert (on.gpu_peak_mb, on.busy_seconds, on.compile) == (None, None, {})


@pytest.mark.slow
def test_a_compiled_encoder_takes_the_same_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments.bench.bound, "SIDE", 16)
    monkeypatch.setitem(COMPILED, "compiled", {"backend": "aot_eager"})
    write_text(tmp_path, "planted", planted(40))
    plain = GpuSubject("sasrec", "windows", device="cpu", evaluate=False, fields=SMALL)
    on = measure(replace(plain, compiled="compiled"), "planted", str(tmp_path), 1)
    assert on.compile["seconds"] > 0.0
    assert on.product_flops == measure(plain, "planted", str(tmp_path), 1).product_flops


@pytest.mark.slow
def test_a_subject_measured_in_a_process_of_its_own_answers_with_its_figures(
    tmp_path: Path,
) -> None:
    write_text(tmp_path, "planted", planted(40))
    subject = GpuSubject("sasrec", device="cpu", evaluate=False, fields=SMALL)
    on = in_process(subject, "planted", str(tmp_path), 2, 100.0)
    assert vars(on).keys() == {one.name for one in fields(OnGpu)}
    tf32 = replace(subject, fields={"train.precision": "tf32"})
    with pytest.raises(RunFailed, match=r"^UsageError: train.precision: tf32 is of NVIDIA GPUs"):
        in_process(tf32, "planted", str(tmp_path), 2, 100.0)
