"""What is measured, and what is found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SIZES = {  # RecBole's own for its SASRec: whatever suits the data, both sides do the same work
    "train.batch_size": 256, "encoder.dim": 64, "encoder.layers": 2, "encoder.heads": 2,
    "encoder.inner": 256, "encoder.dropout": 0.5, "encoder.attention_dropout": 0.5,
}  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """What is measured: a preset of ours, or RecBole's SASRec through RecBole's own code."""

    model: str
    examples: str = "prefixes"
    recbole: bool = False
    anomaly: bool = False  # RecBole as its own import leaves it: detecting anomalies
    evaluate: bool = True
    evaluated_users: int | None = None  # the first so many; None: all
    fields: dict[str, Any] = field(default_factory=dict)  # overrides of our configuration
    profiled: bool = True  # whether a step's parts and its matrix products are measured, too
    trace: str | None = None  # file for a torch.profiler trace of some steps


@dataclass(frozen=True)
class Measured:
    """One process's figures.  Seconds of an epoch are steps x the mean of a step."""

    step_seconds: float
    steps: int
    targets: int
    prepare_seconds: float
    evaluate_seconds: float | None
    peak_mb: float  # net of imports
    start_seconds: float = 0.0  # of what is mined as an epoch starts
    prepare_mb: float = 0.0  # highest while preparing, net of imports
    shares: dict[str, float] = field(default_factory=dict)
    matmul_flops: float = 0.0  # of an epoch, real positions only
    product_flops: float = 0.0  # of a step's matrix products as they are made, padding included
    product_seconds: float = 0.0  # of the same products alone
