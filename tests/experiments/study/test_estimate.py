"""How long a study will take is told by what took as long: the same kind of device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experiments.study.estimate import timings
from experiments.training.device_name import is_cpu
from experiments.training.environment import device_name

H100 = "NVIDIA H100 80GB HBM3"


def line(trial: str, device: str, seconds: float) -> dict[str, object]:
    return {
        "study": "s", "trial": trial, "variant": trial, "dataset": "beauty", "model": "sasrec",
        "seed": 0, "status": "finished", "device": device, "epochs": 10, "axes": {},
        "seconds/total": seconds, "config": {"examples": "prefixes"},
    }  # fmt: skip


@pytest.mark.parametrize(("gpu", "expected"), [(False, 30.0), (True, 5.0)])
def test_only_times_of_the_same_kind_of_device_count(
    gpu: bool, expected: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    lines = {"a": line("a", "x86_64, 1 threads", 300.0), "b": line("b", H100, 50.0)}
    assert timings(tmp_path, lines) == {"beauty sasrec prefixes": (expected, 10)}


def test_a_processor_is_told_from_a_card_by_its_name() -> None:
    assert is_cpu(device_name(torch.device("cpu")))
    assert not is_cpu(H100)
