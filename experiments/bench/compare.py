"""Side by side with RecBole's own code: alternating processes on the same data, one table."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from experiments.bench.child import measured_apart
from experiments.bench.subject import Measured, Subject
from experiments.errors import RunFailed

WIDE = {"encoder.dim": 256}
BFLOAT16 = "SASRec windows, width 256, bfloat16"
SUBJECTS: dict[str, Subject] = {
    "RecBole SASRec, as shipped": Subject("SASRec", recbole=True, anomaly=True, evaluate=False),
    "RecBole SASRec": Subject("SASRec", recbole=True),
    "SASRec prefixes": Subject("sasrec"),
    "CL4SRec prefixes": Subject("cl4srec", evaluate=False),
    "DuoRec prefixes": Subject("duorec", evaluate=False),
    "SASRec windows": Subject("sasrec", "windows", evaluate=False),
    "CL4SRec windows": Subject("cl4srec", "windows", evaluate=False),
    "SASRec windows, width 256": Subject("sasrec", "windows", evaluate=False, fields=WIDE),
    BFLOAT16: Subject(
        "sasrec", "windows", evaluate=False, fields={**WIDE, "train.precision": "bfloat16"}
    ),
}


def subjects_here() -> dict[str, Subject]:
    """SUBJECTS, without bfloat16 where the processor has no products in it."""
    return {name: s for name, s in SUBJECTS.items() if name != BFLOAT16 or has_bfloat16()}


def has_bfloat16() -> bool:
    """Whether the processor has units for products in bfloat16."""
    import torch

    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def measure_all(
    subjects: dict[str, Subject],
    dataset: str,
    data_dir: str | None,
    steps: int,
    rounds: int,
    say: Callable[[str], None],
) -> dict[str, list[Measured]]:
    """Each subject in a process of its own, all of them once a round, in turn."""
    measured: dict[str, list[Measured]] = {name: [] for name in subjects}
    for number in range(rounds):
        for name, subject in subjects.items():
            say(f"round {number + 1} of {rounds}: {name}")
            measured[name].append(in_process(subject, dataset, data_dir, steps))
    return measured


def in_process(subject: Subject, dataset: str, data_dir: str | None, steps: int) -> Measured:
    """One measurement; RunFailed with the process's last line when it fails."""
    try:
        request = request_of(subject, dataset, data_dir, steps)
        return Measured(**measured_apart("experiments.bench.measure", request))
    except RunFailed as error:
        raise RunFailed(f"measuring {subject.model} failed: {error}") from None


def request_of(subject: Subject, dataset: str, data_dir: str | None, steps: int) -> dict[str, Any]:
    """What a process of its own is asked; fewer steps of RecBole's, which take longer."""
    return {
        "subject": vars(subject),
        "dataset": dataset,
        "data_dir": data_dir,
        "steps": max(5, steps // 4) if subject.recbole else steps,
    }


def middle(measured: list[Measured]) -> Measured:
    """The median of each figure over the rounds."""

    def median(name: str) -> Any:
        values = [getattr(m, name) for m in measured if getattr(m, name) is not None]
        return statistics.median(values) if values else None

    first = measured[0]
    return Measured(
        step_seconds=median("step_seconds"),
        steps=first.steps,
        targets=first.targets,
        prepare_seconds=median("prepare_seconds"),
        evaluate_seconds=median("evaluate_seconds"),
        peak_mb=median("peak_mb"),
        start_seconds=median("start_seconds"),
        prepare_mb=median("prepare_mb"),
        shares=first.shares,
        matmul_flops=first.matmul_flops,
        product_flops=median("product_flops"),
        product_seconds=median("product_seconds"),
    )


def seconds_per_target(measured: Measured) -> float:
    return measured.step_seconds * measured.steps / measured.targets


def ratios(measured: dict[str, list[Measured]], rate: float) -> dict[str, float | None]:
    """RecBole's cost over ours (train, evaluate); ours over ours or RecBole's (the rest).

    Medians over rounds of the ratio within a round.  None for bfloat16 where it was not measured.
    """

    def over(above: str, below: str, figure: Callable[[Measured], Any]) -> float:
        pairs = zip(measured[above], measured[below], strict=True)
        return round(float(statistics.median(figure(a) / figure(b) for a, b in pairs)), 3)

    ours = middle(measured["SASRec prefixes"])
    return {
        "train_prefixes": over("RecBole SASRec", "SASRec prefixes", seconds_per_target),
        "train_windows": over("RecBole SASRec", "SASRec windows", seconds_per_target),
        "evaluate": over("RecBole SASRec", "SASRec prefixes", lambda m: m.evaluate_seconds),
        "contrast_step_prefixes": over(
            "CL4SRec prefixes", "SASRec prefixes", lambda m: m.step_seconds
        ),
        "contrast_step_windows": over(
            "CL4SRec windows", "SASRec windows", lambda m: m.step_seconds
        ),
        "duorec_step_prefixes": over(
            "DuoRec prefixes", "SASRec prefixes", lambda m: m.step_seconds
        ),
        "peak_memory": over("SASRec prefixes", "RecBole SASRec", lambda m: m.peak_mb),
        "of_bound": round(ours.matmul_flops / rate / (ours.step_seconds * ours.steps), 3),
        "of_shaped_bound": round(ours.product_seconds / ours.step_seconds, 3),
        "wide_bfloat16": over("SASRec windows, width 256", BFLOAT16, lambda m: m.step_seconds)
        if BFLOAT16 in measured
        else None,
    }
