"""How long a study will take is told by what took as long: the same kind of device."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from experiments.study.estimate import medians, time_left, timings
from experiments.study.plan import Trial
from experiments.training.device_name import is_cpu
from experiments.training.environment import device_name

H100 = "NVIDIA H100 80GB HBM3"


SMALL = "beauty sasrec prefixes 64 2"


def line(trial: str, device: str, seconds: float, dim: int = 64) -> dict[str, object]:
    return {
        "study": "s", "trial": trial, "variant": trial, "dataset": "beauty", "model": "sasrec",
        "seed": 0, "status": "finished", "device": device, "epochs": 10, "axes": {},
        "seconds/total": seconds,
        "config": {"examples": "prefixes", "encoder": {"dim": dim, "layers": 2}},
    }  # fmt: skip


@pytest.mark.parametrize(("gpu", "expected"), [(False, 30.0), (True, 5.0)])
def test_only_times_of_the_same_kind_of_device_count(
    gpu: bool, expected: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    lines = {"a": line("a", "x86_64, 1 threads", 300.0), "b": line("b", H100, 50.0)}
    assert timings(tmp_path, lines) == {SMALL: (expected, 10)}


def test_of_a_workload_that_this_processor_has_trained_only_its_own_times_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    here = device_name(torch.device("cpu"))
    slow = [line("a", "x86_64, 1 threads", 900.0), line("b", "x86_64, 1 threads", 900.0, dim=256)]
    lines = [*slow, line("c", here, 300.0)]
    assert medians(lines) == {SMALL: (30.0, 10), "beauty sasrec prefixes 256 2": (90.0, 10)}


def test_only_encoders_of_the_same_size_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    lines = [line("a", "x86_64, 1 threads", 300.0), line("b", "x86_64, 1 threads", 900.0, dim=256)]
    assert medians(lines) == {SMALL: (30.0, 10), "beauty sasrec prefixes 256 2": (90.0, 10)}


def test_damaged_lines_of_the_results_tell_no_time(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    good = line("a", "x86_64, 1 threads", 300.0)
    encoder = {"encoder": {"dim": 64, "layers": 2}}
    both = {**good, "config": {"protocol": "prefix", "examples": "prefixes", **encoder}}
    texts = [json.dumps(good), "{torn", "[1]", json.dumps({**good, "config": 3}), json.dumps(both)]
    (tmp_path / "s.jsonl").write_text("\n".join(texts))
    assert timings(tmp_path, {})[SMALL] == (30.0, 10)


def test_a_processor_is_told_from_a_card_by_its_name() -> None:
    assert is_cpu(device_name(torch.device("cpu")))
    assert not is_cpu(H100)


def trial(similar: str, epochs: int) -> Trial:
    """Of which only the kind and the limit of epochs matter here."""
    fields = {field.name: None for field in dataclasses.fields(Trial)}
    return Trial(**{**fields, "similar": similar, "epochs": epochs})  # type: ignore[arg-type]


def test_time_left_is_learned_from_what_this_machine_has_finished(monkeypatch) -> None:
    """Committed: 10 s an epoch of sasrec, 40 of duorec.  Here all takes twice as long."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    duorec = "beauty duorec prefixes 64 2"
    committed = {SMALL: (10.0, 10), duorec: (40.0, 10)}
    here = [line(name, "x86_64, 1 threads", 200.0) for name in "ab"]
    same, other = trial(SMALL, 99), trial(duorec, 5)
    unknown = trial("beauty mine prefixes 64 2", 99)
    assert time_left([same], [], lambda: committed) is None
    assert time_left([same], here, lambda: committed) == 200.0
    assert time_left([other], here, lambda: committed) == 2 * 40.0 * 5
    assert time_left([unknown], here, lambda: committed) == 200.0
    assert time_left([same, other, unknown], here, dict) == 600.0
