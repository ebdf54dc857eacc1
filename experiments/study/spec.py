"""A study file: a question as YAML, read into a typed Study."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from experiments.aliases import current, current_key
from experiments.config.presets import preset_tree, presets, published_presets
from experiments.config.typed import build
from experiments.dotted import flattened
from experiments.errors import UsageError, one_line, unknown
from experiments.storage.files import plain_name
from experiments.storage.yaml_file import read_tree
from experiments.study.overridden import Setting, overridden
from experiments.study.ranges import Range
from models.ranges import check_count

STUDIES = Path(__file__).parent.parent / "studies"
MOST_TRIALS = 100_000
WARM_UP = 3
"""Epochs that a trial of a search has before it is compared, where nothing is said."""
CONTRASTIVE = ("contrast", "augment")
"""Groups of fields that a baseline has no use for."""
NO_AXIS = ("model", "dataset", "seed", "data_dir", "track")
"""Fields that a study has its own keys for, or that decide nothing."""

PLACES = ("dataset", "model", "seed", "variant")
"""What `exclude` may name next to the fields that a study sets."""


@dataclass(frozen=True)
class Random:
    """Sets of fields drawn at random: one more axis of a study."""

    draws: int
    ranges: dict[str, Range]
    seed: int = 0

    def __post_init__(self) -> None:
        check_count("draws", self.draws)
        check_count("seed", self.seed, least=0)
        if not self.ranges:
            raise ValueError("ranges must name at least one field")


@dataclass(frozen=True)
class Search:
    """The best fields by validation NDCG@10, looked for by Optuna's TPE on the first seed.

    The trials of a search do not look at test.  The best of each model and data set is then
    run on all seeds.  pruner: what ends a hopeless trial after an epoch.  warm_up: the first
    epoch after which the median may end one; dropout, width and a low learning rate make a model
    start slowly that may end best.
    """

    trials: int
    ranges: dict[str, Range]
    seed: int = 0
    pruner: Literal["median", "hyperband", "none"] = "median"
    warm_up: int = WARM_UP

    def __post_init__(self) -> None:
        check_count("trials", self.trials)
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must lie in [0, 2^32), got {self.seed}")
        check_count("warm_up", self.warm_up, least=0)
        if self.warm_up != WARM_UP and self.pruner != "median":
            raise ValueError(f"warm_up is of pruner: median, and this is pruner: {self.pruner}")
        if not self.ranges:
            raise ValueError("ranges must name at least one field")


@dataclass(frozen=True)
class Study:
    """Which trainings answer a question: models x data sets x seeds x axes.

    Axes are `grid` (a product of fields' values), `variants` (named sets of fields) and
    `random`.  `set` holds fields of every trial whose model reads them.  `baseline` is the model
    that the others are compared with: it is run with the same data sets, seeds, `set`, and those
    axes of the grid that are not of `contrast` or `augment`.  `exclude` drops trials that match
    all keys of one of its entries.  `given` is what a command line has added to `set`.  `namesake`:
    the repository has another study of this name.
    """

    name: str
    question: str
    base: tuple[str, ...]
    datasets: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    baseline: str | None = None
    set: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    random: Random | None = None
    search: Search | None = None
    exclude: tuple[dict[str, Any], ...] = ()
    given: dict[str, Any] = field(default_factory=dict)
    namesake: bool = False

    def __post_init__(self) -> None:
        for name in ("base", "datasets", "seeds"):
            values = getattr(self, name)
            if not values:
                raise ValueError(f"{name} must name at least one")
            if len(texts(values)) < len(values):
                raise ValueError(f"{name} names one twice: {', '.join(map(str, values))}")
        for key, values in self.grid.items():
            if not values:
                raise ValueError(f"grid.{key} must have at least one value")
            if len(texts(values)) < len(values):
                raise ValueError(f"grid.{key} names one twice: {', '.join(map(str, values))}")
        if self.search and (self.random or self.grid or self.variants):
            raise ValueError("search: goes with neither random, grid nor variants")
        if self.search and "evaluate.test" in {*self.set, *self.search.ranges}:
            raise ValueError("search: leaves test to the best; evaluate.test cannot be set")
        if self.size > MOST_TRIALS:
            raise ValueError(f"a study has at most {MOST_TRIALS:,} trials, this has {self.size:,}")
        for seed in self.seeds:
            if not 0 <= seed < 2**32:
                raise ValueError(f"seeds must lie in [0, 2^32), got {seed}")
        for key in (*self.set, *(key for key, _ in self.differing)):
            if key.split(".")[0] in NO_AXIS:
                raise ValueError(f"{key}: not a field to vary; base, datasets and seeds say it")
        for (first, ours), (second, theirs) in combinations(self.axes.items(), 2):
            if pair := overridden(ours, theirs, self.models):
                what = "it; leave it" if pair[0] == pair[1] else f"{pair[0]}; leave that"
                raise ValueError(f"{second}.{pair[1]}: {first} varies {what} out of one")
        known = list(dict.fromkeys([*PLACES, *self.set, *(key for key, _ in self.differing)]))
        for key in (key for entry in self.exclude for key in entry):
            if key not in known:
                raise ValueError(f"exclude: {unknown(key, known)}")
            if self.search and key in self.search.ranges:
                raise ValueError(f"exclude: {key}: a search draws it; narrow search.ranges")

    @property
    def models(self) -> list[str]:
        """Those that it trains."""
        return list(dict.fromkeys([*self.base, *([self.baseline] if self.baseline else [])]))

    @property
    def size(self) -> int:
        """Trials at most: of the product of all axes, before any are excluded or found equal."""
        axes = [self.base, self.datasets, self.seeds, *self.grid.values(), self.variants or (None,)]
        drawn = self.random.draws if self.random else 1
        return math.prod(map(len, axes)) * drawn * (self.search.trials if self.search else 1)

    @property
    def varied(self) -> dict[str, dict[str, Any]]:
        """The fields that the grid, draws and a search vary, by where the file has them."""
        parts = {"random.ranges": self.random, "search.ranges": self.search}
        return {"grid": self.grid} | {name: part.ranges for name, part in parts.items() if part}

    @property
    def axes(self) -> dict[str, list[Setting]]:
        """What sets fields for some trainings only, by where the file has it, in the order in
        which they go on top of each other: each field with its values."""
        of_variants = [
            (key, value) for part in self.variants.values() for key, value in part.items()
        ]
        given = {name: of_range(part) for name, part in self.varied.items() if name != "grid"}
        grid = [(key, value) for key, values in self.grid.items() for value in values]
        return {"grid": grid, "variants": of_variants, **given}

    @property
    def differing(self) -> list[Setting]:
        """The fields in which its trainings differ: those of the axes and of all variants."""
        return [setting for part in self.axes.values() for setting in part]

    def excludes(self, values: dict[str, Any]) -> bool:
        """Whether an entry of `exclude` fits: all its keys are among these values."""
        return any(
            entry and all(key in values and values[key] == value for key, value in entry.items())
            for entry in self.exclude
        )


def of_range(ranges: dict[str, Range]) -> list[Setting]:
    """A range of numbers as a field that is set, to whatever number."""
    return [(key, value) for key, range_ in ranges.items() for value in range_.ends]


SAID_ELSEWHERE = ("name", "question", "given", "namesake")
"""By the file's name and place, its first comment, the command."""
KEYS = [*(one.name for one in fields(Study) if one.name not in SAID_ELSEWHERE), "fields_of"]
"""What a study file may say.  fields_of: a preset whose fields, but for contrast and augment, go
in front of `set`."""


def texts(values: tuple[Any, ...]) -> frozenset[str]:
    return frozenset(str(value) for value in values)


def read_study(path: Path) -> Study:
    """A study from its file; UsageError for anything unknown, missing or out of range."""
    tree = read_tree(path, exponents=True)
    if not plain_name(path.stem):
        raise UsageError(f"{path}: {path.stem!r}: a study is called by its file, and no folder so")
    for key in tree:
        if key not in KEYS:
            raise UsageError(f"{path}: {key}: {unknown(key, KEYS)}")
    if isinstance(seeds := tree.get("seeds"), int):
        first = list(range(max(1, min(seeds, 5))))
        raise UsageError(f"{path}: seeds: expected a list, got {seeds}: name them, such as {first}")
    try:
        tree = with_current_names(tree)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    own = tree.get("set") or {}
    if "fields_of" in tree:
        tree["set"] = with_fields_of(tree.pop("fields_of"), own, path)
    if isinstance(tree.get("base"), str):
        tree["base"] = [tree["base"]]
    for key in ("base", "datasets"):
        if key not in tree:
            raise UsageError(f"{path}: {key} is missing")
    try:
        study: Study = build(
            Study,
            {
                **tree,
                "name": name_of(path),
                "question": question_of(path),
                "namesake": is_namesake(path),
            },
            "",
        )
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    kept = [(key, value) for key, value in study.set.items() if key in own]  # fields_of may vary
    for axis in study.varied:
        if pair := overridden(kept, study.axes[axis], study.models):
            what = "it" if pair[0] == pair[1] else pair[1]
            raise UsageError(f"{path}: set.{pair[0]}: {axis} varies {what}; leave it out of one")
    places = {"dataset": study.datasets, "model": study.models, "variant": study.variants}
    for key, value in (pair for entry in study.exclude for pair in entry.items()):
        if key in places and value not in [*places[key]]:
            raise UsageError(f"{path}: exclude: {key}: {unknown(value, places[key])}")
    return study


def with_fields_of(preset: Any, own: Any, path: Path) -> Any:
    """`set` behind the fields of a preset, but for those that a baseline has no use for."""
    if preset not in (known := [*presets(), *published_presets()]):
        raise UsageError(f"{path}: fields_of: {unknown(str(preset), known)}")
    if not isinstance(own, dict):
        return own  # refused where it is read
    theirs = {key: part for key, part in preset_tree(preset).items() if key not in CONTRASTIVE}
    return {**dict(flattened(theirs)), **own}


def with_current_names(tree: dict[str, Any]) -> dict[str, Any]:
    """A study's fields, and their values, as they are called now."""
    tree = dict(tree)
    for key in ("set", "grid"):
        if isinstance(tree.get(key), dict):
            tree[key] = current_fields(tree[key], lists=key == "grid")
    if isinstance(tree.get("variants"), dict):
        tree["variants"] = {
            name: current_fields(part) if isinstance(part, dict) else part
            for name, part in tree["variants"].items()
        }
    if isinstance(tree.get("exclude"), list):
        tree["exclude"] = [
            current_fields(entry) if isinstance(entry, dict) else entry for entry in tree["exclude"]
        ]
    for key in ("random", "search"):
        part = tree.get(key)
        if isinstance(part, dict) and isinstance(part.get("ranges"), dict):
            tree[key] = {**part, "ranges": current_fields(part["ranges"])}
    return tree


def current_fields(part: dict[str, Any], lists: bool = False) -> dict[str, Any]:
    """lists: a list holds values of the field, one of which is meant."""
    named = {}
    for key, value in part.items():
        if isinstance(key, str) and current_key(key) in part.keys() - {key}:
            raise UsageError(f"{key} is called {current_key(key)} now, and both are given")
        if not isinstance(key, str):
            named[key] = value
        elif lists and isinstance(value, list):
            named[current_key(key)] = [current(key, choice)[1] for choice in value]
        else:
            name, value = current(key, value)
            if isinstance(value, dict) and isinstance(value.get("choices"), list):
                value = {
                    **value,
                    "choices": [current(key, choice)[1] for choice in value["choices"]],
                }
            named[name] = value
    return named


def name_of(path: Path) -> str:
    """Its path below experiments/studies, such as quick/temperature; else the file's stem."""
    whole = path.resolve()
    if whole.is_relative_to(STUDIES):
        return whole.relative_to(STUDIES).with_suffix("").as_posix()
    return path.stem


def is_namesake(path: Path) -> bool:
    """Whether the file is none of experiments/studies and is called like one that is."""
    known = STUDIES / f"{name_of(path)}.yaml"
    return not path.resolve().is_relative_to(STUDIES) and known.is_file()


def question_of(path: Path) -> str:
    """The first line of the comment that heads the file."""
    text = path.read_text(encoding="utf-8-sig", errors="replace").lstrip()
    first = text.split("\n", 1)[0]
    words = first.removeprefix("#").split() if first.startswith("#") else []
    return one_line(" ".join(words))
