"""What a study varies: its variants, what they are called, and what each is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from experiments.config.resolve import reads
from experiments.errors import UsageError
from experiments.record.labels import label_of, short_names
from experiments.study.ranges import Range
from experiments.study.spec import CONTRASTIVE, Study

Fields = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """A model and the fields in which it differs from the study's others.

    label: unique within the study.  axes: what is varied, for tables and plots.
    baseline: label of the variant it is compared with.
    """

    model: str
    label: str
    axes: Fields
    fields: Fields
    baseline: str | None = None


def variants(study: Study) -> list[Variant]:
    """The baseline first, then each base with every combination of the axes.

    What a search looks for is not among them.
    """
    models = [*study.base, *([study.baseline] if study.baseline else [])]
    for key in study.set:
        if not any(reads(model, key) for model in models):
            raise UsageError(f"study {study.name}: set: {key}: none of its models reads that")
    names = short_names(varied_fields(study))
    listed = list(baselines(study, names))
    bases = study.base if study.search is None else ()
    for model, (axes, fields) in product(bases, combinations(study)):
        every = {key: value for key, value in study.set.items() if reads(model, key)}
        label = label_of(model, axes, names)
        against = None
        if study.baseline is not None:
            shared = {key: value for key, value in axes.items() if shared_by(study, key)}
            against = label_of(study.baseline, shared, names)
        against = None if against == label else against
        listed.append(Variant(model, label, {"model": model, **axes}, {**every, **fields}, against))
    unique: dict[str, Variant] = {}
    for variant in listed:
        if not variant.label.isprintable():
            raise UsageError(f"study {study.name}: {variant.label!r} cannot be printed as a name")
        if unique.setdefault(variant.label, variant).fields != variant.fields:
            own = "; as the baseline it has no contrast.* and augment.* of `set`: leave it out of "
            why = f"{own}`base`" if variant.label == variant.model == study.baseline else ""
            raise UsageError(f"study {study.name}: two variants are called {variant.label!r}{why}")
    return list(unique.values())


def baselines(study: Study, names: dict[str, str]) -> Iterator[Variant]:
    """The baseline with every combination of the axes that it shares."""
    if study.baseline is None or (study.baseline in study.base and searched(study, study.baseline)):
        return
    model = study.baseline
    keys = [key for key in study.grid if shared_by(study, key)]
    every = {key: value for key, value in study.set.items() if of_baseline(study, key)}
    for values in product(*(study.grid[key] for key in keys)):
        axes = dict(zip(keys, values, strict=True))
        label = label_of(model, axes, names)
        yield Variant(model, label, {"model": model, **axes}, {**every, **axes})


def shared_by(study: Study, key: str) -> bool:
    """Whether the baseline is varied in this field, too."""
    return key in study.grid and of_baseline(study, key)


def of_baseline(study: Study, key: str) -> bool:
    """Whether a field means anything to the baseline."""
    assert study.baseline is not None
    return key.split(".")[0] not in CONTRASTIVE and reads(study.baseline, key)


def searched(study: Study, model: str) -> dict[str, Range]:
    """Where a search looks for a model's fields; for the baseline, only those that it has."""
    ranges = study.search.ranges if study.search else {}
    return {
        key: range_
        for key, range_ in ranges.items()
        if model != study.baseline or of_baseline(study, key)
    }


def combinations(study: Study) -> list[tuple[Fields, Fields]]:
    """(what is varied, the fields that are set) for every point of the axes' product."""
    points: list[tuple[Fields, Fields]] = []
    grid = [[{key: value} for value in values] for key, values in study.grid.items()]
    named = study.variants or {"": {}}
    for point in product(product(*grid), named.items(), draws(study)):
        steps, (name, fields), drawn = point
        varied = {key: value for step in steps for key, value in step.items()}
        axes = {**varied, **({"variant": name} if name else {}), **drawn}
        points.append((axes, {**varied, **fields, **drawn}))
    return points


def draws(study: Study) -> list[Fields]:
    """The sets of fields of `random`; one empty set without it."""
    if study.random is None:
        return [{}]
    rng = np.random.default_rng(study.random.seed)
    ranges = study.random.ranges.items()
    return [{key: range_.draw(rng) for key, range_ in ranges} for _ in range(study.random.draws)]


def varied_fields(study: Study) -> list[str]:
    """The fields that the axes name, and draws and searches set."""
    return [key for part in study.varied.values() for key in part]
