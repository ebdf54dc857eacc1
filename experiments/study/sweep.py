"""A study as W&B sweeps, for those who let W&B hand out the trials."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.errors import UsageError
from experiments.metric_names import VALID_NDCG10
from experiments.storage.yaml_file import as_text
from experiments.study.spec import CONTRASTIVE

if TYPE_CHECKING:
    from experiments.study.ranges import Range
    from experiments.study.spec import Study

Json = dict[str, Any]
Axes = dict[str, tuple[Any, ...]]
METRIC = {"name": VALID_NDCG10, "goal": "maximize"}


def sweep_config(study: Study, data_dir: Path | None = None) -> dict[str, Json]:
    """The sweeps that together train the study, by name: what `wandb sweep FILE` reads.

    One for each model, data set and named variant.  A grid is swept as a grid, `random` at
    random (W&B draws, so not the draws that the study itself makes), `search` by W&B's Bayes
    on the first seed, without a look at test.  An `exclude` that combines fields splits a sweep
    into several.  The baseline is a sweep like the others.
    Errors: UsageError for a range that W&B cannot draw from.
    """
    sweeps: dict[str, Json] = {}
    for model, dataset, (variant, fields) in places(study):
        label = " ".join(word for word in (study.name, model, dataset, variant) if word)
        fixed = {"dataset": dataset, "model": model} | ({"variant": variant} if variant else {})
        parts = list(without_excluded(study, axes_of(study, model), fixed | fields))
        for number, axes in enumerate(parts, 1):
            name = label if len(parts) == 1 else f"{label} {number}"
            command = command_of(study, model, dataset, fields, data_dir)
            sweeps[name] = {"name": name, **one_sweep(study, model, axes), "command": command}
    return sweeps


def places(study: Study) -> Iterator[tuple[str, str, tuple[str, Json]]]:
    """(model, data set, (variant's name, its fields)); the baseline has no variants."""
    if study.baseline is not None and study.baseline not in study.base:
        yield from ((study.baseline, dataset, ("", {})) for dataset in study.datasets)
    yield from product(study.base, study.datasets, list(study.variants.items()) or [("", {})])


def axes_of(study: Study, model: str) -> Axes:
    """Seeds, and the fields of the grid that this model is varied in."""
    seeds = study.seeds[:1] if study.search else study.seeds
    own = {key: values for key, values in study.grid.items() if varied(study, model, key)}
    return {"seed": seeds, **own}


def varied(study: Study, model: str, key: str) -> bool:
    """Whether a field of the study is a field of this model; a mere baseline has no contrast."""
    from experiments.config.resolve import reads

    mere = model == study.baseline and model not in study.base
    return reads(model, key) and not (mere and key.split(".")[0] in CONTRASTIVE)


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


def one_sweep(study: Study, model: str, axes: Axes) -> Json:
    """How a sweep goes through which parameters, by the names that W&B gives its parts."""
    what = {"metric": METRIC, "parameters": parameters(study, model, axes)}
    if study.random is not None:
        cap = study.random.draws * math.prod(len(values) for values in axes.values())
        return {"method": "random", **what, "run_cap": cap}
    if study.search is not None:
        return {"method": "bayes", **what, "run_cap": study.search.trials}
    return {"method": "grid", **what}


def command_of(
    study: Study, model: str, dataset: str, fields: Mapping[str, Any], data_dir: Path | None
) -> list[str]:
    """What W&B's agent runs; it puts --key=value for each parameter in the place of ${args}."""
    place = [] if data_dir is None else ["--data-dir", str(data_dir.absolute())]
    own = {key: value for key, value in study.set.items() if varied(study, model, key)}
    own |= {**fields, **({"evaluate.test": False} if study.search else {})}
    settings = [f"--{key}={as_text(value)}" for key, value in own.items()]
    words = ["python", "run.py", "train", "--model", model, "--dataset", dataset]
    return ["${env}", *words, *place, *settings, "${args}"]


def parameters(study: Study, model: str, axes: Axes) -> Json:
    """Seeds, the grid's values, and what the ranges say, as W&B's parameters."""
    settings: Json = {key: {"values": [handed(v) for v in values]} for key, values in axes.items()}
    for part in (study.random, study.search):
        ranges = part.ranges.items() if part else ()
        settings |= {key: drawn(key, range_) for key, range_ in ranges if varied(study, model, key)}
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
