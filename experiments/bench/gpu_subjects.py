"""What the bench measures on a GPU, the most important first."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from experiments.bench.compare import WIDE
from experiments.bench.measure_gpu import COMPILED, GpuSubject
from experiments.bench.scale import EVALUATED, SAMPLED, Case, Uneven

BEAUTY, ML_20M, MILLION = "beauty", "ml-20m", "a million items"
MADE_UP = {  # data in these sizes
    BEAUTY: Uneven(198_502, 12_101, users=22_363, shortest=5),
    ML_20M: Uneven(20_000_000, 27_000, users=136_000, shortest=20),
    MILLION: Case(2_000_000, 1_000_000),
}
PRECISIONS = ("float32", "bfloat16", "tf32")
RECBOLE = "RecBole SASRec"
WHOLE = "whole training"


@dataclass(frozen=True)
class Load:
    """A model on data: what is measured in every precision."""

    name: str
    data: str  # one of MADE_UP
    examples: str
    fields: dict[str, Any] = field(default_factory=dict)
    evaluated_users: int | None = None


@dataclass(frozen=True)
class Planned:
    """A subject, and the data that it is measured on."""

    data: str
    subject: GpuSubject


def loads(beauty: str) -> list[Load]:
    """The most important first.  beauty: what the data in Beauty's place are called."""
    narrow = {"encoder.dim": 64}
    long = {**narrow, "encoder.max_length": 200}
    lazy = {**narrow, "next_item": SAMPLED, "train.lazy_rows": True}
    return [
        Load(f"{beauty}, d 64, prefixes", BEAUTY, "prefixes", narrow),
        Load(f"{ML_20M}, d 64, windows of 200", ML_20M, "windows", long, EVALUATED),
        Load(f"{MILLION}, cross-entropy", MILLION, "windows", narrow, EVALUATED),
        Load(f"{MILLION}, sampled softmax", MILLION, "windows", lazy, EVALUATED),
        Load(f"{beauty}, d 256, prefixes", BEAUTY, "prefixes", WIDE),
        Load(f"{beauty}, d 64, windows", BEAUTY, "windows", narrow),
        Load(f"{beauty}, d 256, windows", BEAUTY, "windows", WIDE),
    ]


def planned(device: str, beauty: str, fields: dict[str, dict[str, Any]]) -> dict[str, Planned]:
    """Every subject by its name, in the order in which they are to be measured.

    fields: dotted ones of all runs on the data of a name.
    """
    of = {load.name: load for load in loads(beauty)}
    first, *others = of.values()
    plan = dict([whole(first)])
    plan[f"{RECBOLE}, {beauty}"] = Planned(BEAUTY, GpuSubject("SASRec", recbole=True))
    for precision, load in product(PRECISIONS, of.values()):
        plan |= [steps(load, precision, None)]
    plan |= [whole(load) for load in others if load.data == BEAUTY]
    for precision, load, how in product(PRECISIONS, of.values(), COMPILED):
        plan |= [steps(load, precision, how)]
    return {
        name: Planned(
            one.data,
            replace(
                one.subject,
                device=device,
                fields={**fields.get(one.data, {}), **one.subject.fields},
            ),
        )
        for name, one in plan.items()
    }


def whole(load: Load) -> tuple[str, Planned]:
    """A training in float32, from the data to the test."""
    subject = GpuSubject("sasrec", load.examples, fields=load.fields, whole=True)
    return f"{load.name}, float32, {WHOLE}", Planned(load.data, subject)


def steps(load: Load, precision: str, compiled: str | None) -> tuple[str, Planned]:
    """Steps in a precision; evaluation is in float32 whatever it is."""
    subject = GpuSubject(
        "sasrec",
        load.examples,
        evaluate=precision == "float32" and compiled is None,
        evaluated_users=load.evaluated_users,
        fields={**load.fields, "train.precision": precision},
        compiled=compiled,
    )
    how = "" if compiled is None else f", {compiled}"
    return f"{load.name}, {precision}{how}", Planned(load.data, subject)
