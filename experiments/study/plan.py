"""From a study to its trials, each with an id of its configuration and data."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from experiments.aliases import current
from experiments.config.resolve import resolve
from experiments.config.run_config import Config, config_sha256
from experiments.config.typed import build
from experiments.data.catalogue import DatasetSpec, data_sha256, load
from experiments.data.features import files_sha256
from experiments.data.histories import Histories
from experiments.data.splits.kinds import LeaveOneOut, SplitConfig
from experiments.errors import UsageError
from experiments.record.line import workload
from experiments.storage.hashing import json_sha256
from experiments.storage.yaml_file import as_text
from experiments.study.spec import Study
from experiments.study.variants import Fields, Variant, variants
from models.tasks import FeatureTask

READABLE: set[tuple[str, SplitConfig, str, int]] = set()
"""Data, their split, features and their width that this process has read without an error."""
SPLIT: set[tuple[str, str, SplitConfig]] = set()
"""Data, orders of ties and splits that it has read without an error."""


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
    trial: Trial = build(Trial, tree, "trial")
    variant = trial.variant
    axes, fields = (
        dict(current(key, value) for key, value in part.items())
        for part in (variant.axes, variant.fields)
    )
    return replace(trial, variant=replace(variant, axes=axes, fields=fields))


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
    trials: dict[str, Trial] = {}
    known: dict[tuple[str, str], tuple[Config, DatasetSpec]] = {}
    for dataset, seed, variant in product(study.datasets, study.seeds, variants(study)):
        if excluded(study, dataset, seed, variant):
            continue
        place = (dataset, variant.label)
        if place not in known:
            known[place] = settings_of(variant, dataset, seed, data_dir)
        config, spec = known[place]
        trial = trial_of(variant, dataset, seed, replace(config, seed=seed), spec)
        trials.setdefault(trial.id, trial)
    return list(trials.values())


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
    return trial_of(variant, dataset, seed, *settings_of(variant, dataset, seed, data_dir))


def settings_of(
    variant: Variant, dataset: str, seed: int, data_dir: Path | None
) -> tuple[Config, DatasetSpec]:
    """What `resolved` says of a trial; its errors name the variant."""
    try:
        return resolved(overrides(variant, dataset, seed), data_dir)
    except UsageError as error:
        raise UsageError(f"{variant.label} on {dataset}: {error}") from None


def trial_of(variant: Variant, dataset: str, seed: int, config: Config, spec: DatasetSpec) -> Trial:
    """The trial whose configuration and data these are."""
    sha256 = config_sha256(config)
    data = data_sha256(spec, config.split)
    read = (data, config.ties, config.split)
    if read[1:] != (Config.ties, LeaveOneOut()) and read not in SPLIT:
        load(spec, config.ties, config.split)  # these data may have no times
        SPLIT.add(read)
    name = identity(sha256, data, features_sha256(config, spec))
    similar = workload(dataset, variant.model, config.examples, vars(config.encoder))
    return Trial(name, dataset, seed, variant, sha256, data, similar, config.epochs)


def resolved(fields: list[tuple[str, Any]], data_dir: Path | None) -> tuple[Config, DatasetSpec]:
    where = [] if data_dir is None else [("data_dir", str(data_dir.absolute()))]
    return resolve(None, [*fields, *where])


def features_sha256(config: Config, spec: DatasetSpec) -> dict[str, str]:
    """Of the files that item features are read from, by task, and by the encoder.

    Errors: UsageError for a file that is missing or does not fit the data: each is read once.
    """
    tasks = [task for task in config.contrast if isinstance(task, FeatureTask) and task.weight]
    hashes = {
        task.name: files_sha256(task.sources(), spec, f"contrast.{task.name}") for task in tasks
    }

    def read_once(name: str, width: int, read: Callable[[Histories, DatasetSpec], object]) -> None:
        data = data_sha256(spec, config.split)
        key = (data, config.split, hashes[name], width)
        if key not in READABLE:
            read(load(spec, split=config.split), spec)
            READABLE.add(key)

    for task in tasks:
        from experiments.training.build import with_features  # loads RecBole

        read_once(task.name, task.feature_dim, partial(with_features, task))
    if config.features.source is not None:
        from experiments.training.build import input_features
        from experiments.training.run import INPUT

        hashes[INPUT] = files_sha256({"source": config.features.source}, spec, "features")
        read_once(INPUT, config.features.columns, partial(input_features, config.features))
    return hashes


def identity(config_sha256: str, data_sha256: str, features_sha256: dict[str, str]) -> str:
    """A trial's id: equal for equal configurations on equal data, anywhere."""
    facts = [config_sha256, data_sha256, sorted(features_sha256.items())]
    return json_sha256(facts)[:16]


def about(study: str, question: str, trial: Trial) -> Fields:
    """What a line of the results says of a trial before it has been trained."""
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


def excluded(study: Study, dataset: str, seed: int, variant: Variant) -> bool:
    """Whether the study leaves this trial out."""
    own = {**variant.fields, **variant.axes}
    return study.excludes({**own, "dataset": dataset, "seed": seed})
