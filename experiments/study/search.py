"""Planning a search for the best fields of a model on a data set."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.aliases import original
from experiments.config.resolve import reads
from experiments.errors import UsageError
from experiments.storage.hashing import json_sha256
from experiments.study.plan import Trial, excluded, planned
from experiments.study.sampling import suggestion
from experiments.study.spec import Search, Study
from experiments.study.variants import Fields, Variant, of_baseline, searched

TRIES = 50  # at fields that go together


@dataclass(frozen=True)
class ModelSearch:
    """The search for a model's best fields on one data set: all that workers must know of it.

    fields: of every trial.  first: the seed of the search; seeds: those that the best is run on.
    """

    model: str
    dataset: str
    first: int
    seeds: tuple[int, ...]
    fields: dict[str, Any]
    rules: Search
    baseline: str | None = None

    @property
    def name(self) -> str:
        """Of its folder: trials may be added to a search, anything else makes it another one."""
        rest = asdict(replace(self, seeds=(), baseline=None, rules=replace(self.rules, trials=1)))
        rest["fields"] = dict(original(key, value) for key, value in rest["fields"].items())
        rest["rules"]["ranges"] = {
            original(key, None)[0]: {**rule, "choices": first_choices(key, rule["choices"])}
            for key, rule in rest["rules"]["ranges"].items()
        }
        code = json_sha256(rest)[:8]
        return f"{self.model.replace(':', '-')}-{self.dataset}-{code}"

    def attempt(self, number: int, drawn: Fields, data_dir: Path | None) -> Trial:
        """A trial of the search; it leaves test alone."""
        fields = {**self.fields, **drawn, "evaluate.test": False}
        label = f"{self.model} search {number}"
        variant = Variant(self.model, label, {"model": self.model, **drawn}, fields)
        return planned(variant, self.dataset, self.first, data_dir)

    def best(self, drawn: Fields, data_dir: Path | None) -> list[Trial]:
        """What the search was for: a trial a seed."""
        axes, fields = {"model": self.model, **drawn}, {**self.fields, **drawn}
        variant = Variant(self.model, self.model, axes, fields, self.baseline)
        return [planned(variant, self.dataset, seed, data_dir) for seed in self.seeds]

    def point(self, fixed: Fields, data_dir: Path | None) -> Fields:
        """Ends of all ranges that go together: those fixed, with the lowest of all others, or
        else with drawn ones.  UsageError where none do.

        Four heads do not go with 30 dimensions, and do with 64, whichever is named first.
        """
        ends = {key: range_.ends for key, range_ in self.rules.ranges.items()}
        rng = np.random.default_rng(0)
        refused = None
        for _ in range(TRIES):
            drawn = {key: values[int(rng.integers(len(values)))] for key, values in ends.items()}
            point = {**(self.lowest if refused is None else drawn), **fixed}
            try:
                self.attempt(0, point, data_dir)
                return point
            except UsageError as error:
                refused = refused or error
        assert refused is not None
        raise refused

    @property
    def lowest(self) -> Fields:
        """The low end of every range."""
        return {key: range_.ends[0] for key, range_ in self.rules.ranges.items()}

    def drawn(self, axes: Fields) -> Fields:
        """The fields that are looked for, from a trial's axes; ValueError outside of the ranges."""
        fields = {key: value for key, value in axes.items() if key != "model"}
        if fields.keys() != self.rules.ranges.keys():
            raise ValueError("other fields")
        for key, range_ in self.rules.ranges.items():
            suggestion(range_, fields[key])
        return fields


def first_choices(key: str, choices: tuple[Any, ...]) -> tuple[Any, ...]:
    """By the names that they had first."""
    return tuple(original(key, choice)[1] for choice in choices)


def plan_searches(study: Study, data_dir: Path | None) -> list[ModelSearch]:
    """A search for every model and data set; UsageError for a range that a model cannot take."""
    if study.search is None:
        return []
    searches = []
    for dataset in study.datasets:
        for model in study.base:
            ranges = searched(study, model)
            bare = Variant(model, model, {"model": model}, {})
            seeds = [seed for seed in study.seeds if not excluded(study, dataset, seed, bare)]
            if not ranges or not seeds:
                continue
            is_baseline = model == study.baseline
            keys = [key for key in study.set if reads(model, key)]
            keys = [key for key in keys if not is_baseline or of_baseline(study, key)]
            search = ModelSearch(
                model, dataset, study.seeds[0], tuple(seeds),
                {key: study.set[key] for key in keys},
                replace(study.search, ranges=ranges),
                None if is_baseline else study.baseline,
            )  # fmt: skip
            check_ends(search, data_dir)
            searches.append(search)
    return searches


def check_ends(search: ModelSearch, data_dir: Path | None) -> None:
    """UsageError when the model cannot take an end of a range, or a choice, whatever the others."""
    for key, range_ in search.rules.ranges.items():
        for value in range_.ends:
            search.point({key: value}, data_dir)
