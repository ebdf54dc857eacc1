"""From a study to its trials: which fields are varied, and what each variant is called."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from experiments.build import with_features
from experiments.config import Config, config_sha256
from experiments.data.catalogue import DatasetSpec, load
from experiments.data.source import fingerprint
from experiments.errors import UsageError
from experiments.resolve import reads, resolve
from experiments.study.ranges import Range
from experiments.study.spec import Study
from experiments.typed import TAGS, build
from models.tasks import FeatureTask

Fields = dict[str, Any]
CONTRASTIVE = ("contrast", "augment")  # groups of fields that a baseline has no use for


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


@dataclass(frozen=True)
class Trial:
    """One training of a study: a variant on a data set from a seed.

    id: of the resolved configuration and the data, whatever the study.
    similar, epochs: trainings whose time tells this one's, and its limit.
    """

    id: str
    dataset: str
    seed: int
    variant: Variant
    config_sha256: str
    data_sha256: str
    similar: str
    epochs: int

    def overrides(self) -> list[tuple[str, Any]]:
        """The fields to set, in the order of a command line."""
        return overrides(self.variant, self.dataset, self.seed)

    def tree(self) -> dict[str, Any]:
        """Plain values, for the manifest."""
        return asdict(self)


def trial_from(tree: dict[str, Any]) -> Trial:
    """A Trial from its plain values; UsageError for others."""
    try:
        trial: Trial = build(Trial, tree, "")
    except TypeError as error:  # a key is missing
        raise UsageError(f"trial: {error}") from None
    return trial


def overrides(variant: Variant, dataset: str, seed: int) -> list[tuple[str, Any]]:
    own = variant.fields.items()
    return [("model", variant.model), ("dataset", dataset), ("seed", seed), *own]


def plan(study: Study, data_dir: Path | None) -> list[Trial]:
    """Every trial: one data set after the other, and on each one seed after the other, so that
    something whole is there early.

    Trials that resolve to the same configuration and data are one trial, under the label that
    comes first.  Errors: UsageError for fields that a model does not have, data that is not there,
    two variants with one label.
    """
    found: dict[str, Trial] = {}
    for dataset, seed, variant in product(study.datasets, study.seeds, variants(study)):
        if not excluded(study, dataset, seed, variant):
            trial = planned(variant, dataset, seed, data_dir)
            found.setdefault(trial.id, trial)
    return list(found.values())


def doubles(study: Study, trials: list[Trial]) -> list[str]:
    """Labels of variants without a trial of their own: another one resolves to the same."""
    own = {trial.variant.label for trial in trials}
    places = list(product(study.datasets, study.seeds))
    return [
        variant.label
        for variant in variants(study)
        if variant.label not in own
        and not all(excluded(study, dataset, seed, variant) for dataset, seed in places)
    ]


def planned(variant: Variant, dataset: str, seed: int, data_dir: Path | None) -> Trial:
    """A trial with its id; the data must be there, since it is part of what is identified."""
    try:
        config, spec = resolved(overrides(variant, dataset, seed), data_dir)
    except UsageError as error:
        raise UsageError(f"{variant.label} on {dataset}: {error}") from None
    sha256 = config_sha256(config)
    data = data_sha256(spec.path)
    name = identity(sha256, data, features_sha256(config, spec))
    similar = f"{dataset} {variant.model} {config.protocol}"
    return Trial(name, dataset, seed, variant, sha256, data, similar, config.epochs)


def resolved(fields: list[tuple[str, Any]], data_dir: Path | None) -> tuple[Config, DatasetSpec]:
    where = [] if data_dir is None else [("data_dir", str(data_dir.absolute()))]
    return resolve(None, [*fields, *where])


def data_sha256(path: Path) -> str:
    """Of a data file; read again only when it has changed."""
    status = path.stat()
    return fingerprint_of(path, status.st_mtime_ns, status.st_size)


@cache
def fingerprint_of(path: Path, changed: int, size: int) -> str:
    return fingerprint(path)


def features_sha256(config: Config, spec: DatasetSpec) -> dict[str, str]:
    """Of the item features that tasks read, by task."""
    tasks = [task for task in config.contrast if isinstance(task, FeatureTask) and task.weight]
    if not tasks:
        return {}
    histories = load(spec)
    read = [with_features(task, histories, spec) for task in tasks]
    return {task.name: task.sha256 for task in read if isinstance(task, FeatureTask)}


def identity(config_sha256: str, data_sha256: str, features_sha256: dict[str, str]) -> str:
    """A trial's id: equal for equal configurations on equal data, anywhere."""
    facts = [config_sha256, data_sha256, sorted(features_sha256.items())]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def about(study: str, question: str, trial: Trial) -> Fields:
    """What a line of the record says of a trial before it has been trained."""
    return {
        "study": study,
        "question": question,
        "trial": trial.id,
        "variant": trial.variant.label,
        "axes": trial.variant.axes,
        "baseline": trial.variant.baseline,
        "command": command(trial),
        "dataset": trial.dataset,
        "model": trial.variant.model,
        "seed": trial.seed,
        "config_sha256": trial.config_sha256,
    }


def command(trial: Trial) -> str:
    """What trains the same outside of a study; the folder of the data is left to its reader."""
    names, fields = trial.overrides()[:3], trial.overrides()[3:]
    words = [word for key, value in names for word in (f"--{key}", str(value))]
    words += [f"--{key}={as_text(value)}" for key, value in fields]
    return shlex.join(["run.py", "train", *words])


def as_text(value: Any) -> str:
    """A field's value as the command line reads it."""
    return value if isinstance(value, str) else json.dumps(value)


def excluded(study: Study, dataset: str, seed: int, variant: Variant) -> bool:
    """Whether an entry of `exclude` fits: all its keys are this trial's."""
    values = {**variant.fields, **variant.axes, "dataset": dataset, "seed": seed}
    return any(
        entry and all(key in values and values[key] == value for key, value in entry.items())
        for entry in study.exclude
    )


def variants(study: Study) -> list[Variant]:
    """The baseline first, then each base with every combination of the axes.

    What a search looks for is not among them.
    """
    names = short_names(study)
    found = list(baselines(study, names))
    bases = study.base if study.search is None else ()
    for model, (axes, fields) in product(bases, combinations(study)):
        every = {key: value for key, value in study.set.items() if reads(model, key)}
        label = label_of(model, axes, names)
        against = None
        if study.baseline is not None:
            shared = {key: value for key, value in axes.items() if shared_by(study, key)}
            against = label_of(study.baseline, shared, names)
        against = None if against == label else against
        found.append(Variant(model, label, {"model": model, **axes}, {**every, **fields}, against))
    unique: dict[str, Variant] = {}
    for variant in found:
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
        key: one
        for key, one in ranges.items()
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
    return [{key: one.draw(rng) for key, one in ranges} for _ in range(study.random.draws)]


def short_names(study: Study) -> dict[str, str]:
    """The last word of each varied field, with as many before it as tell it from the others."""
    keys = [*study.grid]
    for part in (study.random, study.search):
        keys += list(part.ranges) if part else []
    names = {}
    for key in keys:
        parts = key.split(".")
        for count in range(1, len(parts) + 1):
            names[key] = ".".join(parts[-count:])
            if Counter(".".join(k.split(".")[-count:]) for k in keys)[names[key]] == 1:
                break
    return names


def label_of(model: str, axes: Fields, names: dict[str, str]) -> str:
    """`cl4srec temperature=0.2`; a named variant is only its name."""
    parts = [
        str(value) if key == "variant" else f"{names[key]}={shown(value)}"
        for key, value in axes.items()
    ]
    return " ".join([model, *parts])


def shown(value: Any) -> str:
    """A field's value in few words: {operator: crop, keep: 0.6} is crop(keep=0.6)."""
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if not isinstance(value, dict):
        return str(value)
    rest = dict(value)
    tag = next((rest.pop(key) for key in sorted(TAGS) if key in rest), "")
    inside = ", ".join(f"{key}={shown(item)}" for key, item in rest.items())
    return f"{tag}({inside})" if inside else str(tag)
