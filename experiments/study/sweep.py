"""A study as W&B sweeps, for those who let W&B hand out the trials."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.errors import UsageError
from experiments.metric_names import VALID_NDCG10
from experiments.storage.yaml_file import as_text

if TYPE_CHECKING:
    from experiments.study.ranges import Range
    from experiments.study.spec import Study

Json = dict[str, Any]
Axes = dict[str, tuple[Any, ...]]
METRIC = {"name": VALID_NDCG10, "goal": "maximize"}


@dataclass(frozen=True)
class Place:
    """A model on a data set, with the fields of a variant.

    plain: as the baseline that the others are compared with, which neither draws nor searches.
    """

    model: str
    dataset: str
    variant: str = ""
    fields: Json = field(default_factory=dict)
    plain: bool = False


def sweep_config(
    study: Study, data_dir: Path | None = None, plugins: Sequence[str] = ()
) -> dict[str, Json]:
    """The sweeps that together train the study, by name: what `wandb sweep FILE` reads.

    One for each model, data set and named variant.  A grid is swept as a grid, `random` at
    random (W&B draws, so not the draws that the study itself makes), `search` by W&B's Bayes
    on the first seed, without a look at test; what it finds best is not trained on all seeds.
    An `exclude` that combines fields splits a sweep into several.  The baseline is a grid of its
    own, on all seeds.
    plugins: what the commands of agents load.
    Errors: UsageError for a range that W&B cannot draw from.
    """
    sweeps: dict[str, Json] = {}
    for place in places(study):
        what = "baseline" if place.plain and place.model in study.base else place.variant
        label = " ".join(filter(None, (study.name, place.model, place.dataset, what)))
        own = settings_of(study, place)
        fixed = {**own, "dataset": place.dataset, "model": place.model}
        fixed |= {"variant": place.variant} if place.variant else {}
        parts = list(without_excluded(study, axes_of(study, place), fixed))
        for number, axes in enumerate(parts, 1):
            name = label if len(parts) == 1 else f"{label} {number}"
            command = command_of(place, own, data_dir, plugins)
            sweeps[name] = {"name": name, **one_sweep(study, place, axes), "command": command}
    return sweeps


def places(study: Study) -> Iterator[Place]:
    """The baseline, as the study trains it, and each model with each variant."""
    from experiments.study.variants import searched, shared_by

    if study.baseline is not None:
        in_base = study.baseline in study.base
        varied = study.variants or study.random or not all(shared_by(study, k) for k in study.grid)
        if not in_base or (varied and not searched(study, study.baseline)):
            yield from (Place(study.baseline, dataset, plain=True) for dataset in study.datasets)
    for model, dataset in product(study.base, study.datasets):
        for variant, fields in study.variants.items() or [("", {})]:
            yield Place(model, dataset, variant, fields)


def axes_of(study: Study, place: Place) -> Axes:
    """Seeds, and the fields of the grid that are varied there."""
    seeds = study.seeds[:1] if study.search and not place.plain else study.seeds
    return {"seed": seeds, **{k: v for k, v in study.grid.items() if varied(study, place, k)}}


def varied(study: Study, place: Place, key: str) -> bool:
    """Whether a field of the study is one of this model; a baseline has no contrast, but where
    it is varied like the others."""
    from experiments.config.resolve import reads
    from experiments.study.variants import of_baseline

    compared = place.plain or (study.search and place.model == study.baseline)
    return of_baseline(study, key) if compared else reads(place.model, key)


def settings_of(study: Study, place: Place) -> Json:
    """The fields of all its trials."""
    own = {key: value for key, value in study.set.items() if varied(study, place, key)}
    own |= place.fields
    return own | ({"evaluate.test": False} if study.search and not place.plain else {})


def without_excluded(study: Study, axes: Axes, fixed: Json) -> Iterator[Axes]:
    """Axes whose products together are all points that no entry of `exclude` fits.

    One of the axes that entries name keeps its several values; the others are fixed, in turn.
    """
    concerned = [key for key in axes if any(key in entry for entry in study.exclude)]
    most = max(concerned, key=lambda key: len(axes[key]), default="seed")
    others = [key for key in concerned if key != most]
    for values in product(*(axes[key] for key in others)):
        point = dict(zip(others, values, strict=True))
        left = tuple(v for v in axes[most] if not study.excludes({**fixed, **point, most: v}))
        if left:
            yield {**axes, **{key: (value,) for key, value in point.items()}, most: left}


def one_sweep(study: Study, place: Place, axes: Axes) -> Json:
    """How a sweep goes through which parameters, by the names that W&B gives its parts."""
    what = {"metric": METRIC, "parameters": parameters(study, place, axes)}
    if place.plain:
        return {"method": "grid", **what}
    if study.random is not None:
        cap = study.random.draws * math.prod(len(values) for values in axes.values())
        return {"method": "random", **what, "run_cap": cap}
    if study.search is not None:
        return {"method": "bayes", **what, "run_cap": study.search.trials}
    return {"method": "grid", **what}


def command_of(
    place: Place, own: Mapping[str, Any], data_dir: Path | None, plugins: Sequence[str]
) -> list[str]:
    """What W&B's agent runs; it puts --key=value for each parameter in the place of ${args}."""
    data = [] if data_dir is None else ["--data-dir", str(data_dir.absolute())]
    loaded = [word for name in plugins for word in ("--plugin", name)]
    settings = [f"--{key}={as_text(value)}" for key, value in own.items()]
    words = ["python", "run.py", "train", "--model", place.model, "--dataset", place.dataset]
    return ["${env}", *words, *data, *loaded, *settings, "${args}"]


def parameters(study: Study, place: Place, axes: Axes) -> Json:
    """Seeds, the grid's values, and what the ranges say, as W&B's parameters."""
    settings: Json = {key: {"values": [handed(v) for v in values]} for key, values in axes.items()}
    for part in (study.random, study.search) if not place.plain else ():
        ranges = part.ranges.items() if part else ()
        settings |= {key: drawn(key, range_) for key, range_ in ranges if varied(study, place, key)}
    return settings


def drawn(key: str, range_: Range) -> Json:
    """A range as a distribution of W&B; steps as values, since W&B's are inexact decimals."""
    if range_.choices:
        return {"values": [handed(value) for value in range_.choices]}
    if range_.step is not None:
        return {"values": [range_.point(step) for step in range(range_.steps + 1)]}
    if range_.log and range_.integer:
        raise UsageError(
            f"ranges.{key}: W&B draws no whole numbers by their logarithm; write them as choices"
        )
    kind = "log_uniform_values" if range_.log else "int_uniform" if range_.integer else "uniform"
    return {"distribution": kind, "min": range_.low, "max": range_.high}


def handed(value: Any) -> Any:
    """A value as a sweep's parameter.

    W&B's agent writes str(value) behind --key=, in which None is no YAML: whatever is neither
    a number nor a text is handed to it as text, as the command line reads it.
    """
    plain = isinstance(value, (int, float, str)) and not isinstance(value, bool)
    return value if plain else as_text(value)
