"""From a command line to a Config: data-set defaults, preset, file, then overrides."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from experiments.aliases import current, current_tree
from experiments.config.init_from import with_weights
from experiments.config.overrides import NAMED, merged, unfolded, with_overrides
from experiments.config.presets import RECBOLE, check_model_name, preset_tree
from experiments.config.run_config import Config, config_from_tree, config_tree
from experiments.config.suggest import UnknownField, told
from experiments.data.catalogue import DatasetSpec, locate
from experiments.dotted import flattened
from experiments.errors import UsageError
from experiments.storage.yaml_file import read_tree
from models.baselines import BASELINES
from models.encoders import ENCODERS
from models.losses.next_item import NEXT_ITEM_LOSSES

COMMON_FIELDS = ("model", "dataset", "seed", "data_dir", "ties", "split", "evaluate", "track")
KINDS: dict[str, dict[str, Any]] = {"encoder": ENCODERS, "next_item": NEXT_ITEM_LOSSES}


def resolve(file: Path | None, overrides: list[tuple[str, Any]]) -> tuple[Config, DatasetSpec]:
    """The configuration of a run and the data it reads.

    Later wins: data-set defaults, preset, overrides in order; a file is a run's complete
    config.yaml and takes the place of the first two.
    """
    base = current_tree(read_tree(file)) if file else {}
    overrides = [current(key, value) for key, value in overrides]
    if file and any(key == "model" for key, _ in overrides):
        raise UsageError(f"--model: {file} says which model; set other fields, or leave it out")
    top = {**base, **{key: value for key, value in overrides if "." not in key}}
    model = top.get("model", Config.model)
    spec = locate(str(top.get("dataset", Config.dataset)), as_path(top.get("data_dir")))
    preset = {} if base else unfolded(preset_tree(str(model)))
    tree = base or merged(dataset_tree(spec, str(model)), preset)
    check_model_name(str(model))
    refuse_idle_fields(str(model), overrides)
    try:
        tree_now = with_weights(with_overrides(tree, overrides), [key for key, _ in overrides])
        config = config_from_tree(with_batches(tree_now))
    except UnknownField as error:
        contrasting = fields_of(preset_tree("cl4srec"))
        raise told(error, fields_of(tree) or fields_of({}), contrasting) from None
    if file:
        check_whole(file, base)
    return config, spec


def fields_of(tree: dict[str, Any]) -> list[str]:
    """The dotted names of all fields of a configuration; none of one that is not valid."""
    try:
        return list(flat_fields(config_from_tree(tree)))
    except UsageError:
        return []


def changed_fields(config: Config) -> dict[str, tuple[Any, Any]]:
    """Dotted fields that are not as the preset and the data set have them: value, theirs.

    Of another kind, only the fields that are not as this kind has them.  Where to track is none
    of it.  Nothing for a preset that is gone.
    """
    place = {"model": config.model, "dataset": config.dataset, "data_dir": config.data_dir}
    given = [(key, value) for key, value in place.items() if value is not None]
    now = flat_fields(config)
    try:
        before = flat_fields(resolve(None, given)[0])
    except UsageError:
        return {}
    naming = [f"{part}.{tag}" for part, tag in NAMED.items()]  # which other fields there are
    kinds = {key: now[key] for key in naming if now[key] != before[key]}
    try:
        usual = flat_fields(resolve(None, [*given, *kinds.items()])[0]) if kinds else before
    except UsageError:  # fields of the data set that this kind has not
        usual = before
    return {
        name: (now.get(name, "none"), before.get(name, usual.get(name, "none")))
        for name in {**now, **usual}
        if name in kinds or now.get(name) != usual.get(name)
        if name.split(".")[0] not in ("track", "seed") and name != "init_from.sha256"
    }


def flat_fields(config: Config) -> dict[str, Any]:
    """Every field by its dotted name."""
    return dict(flattened(config_tree(config)))


def check_whole(file: Path, tree: dict[str, Any]) -> None:
    """UsageError for a part of a run's config.yaml: its preset is not read again."""
    missing = [key for key in ("encoder", "contrast", "train") if key not in tree]
    if missing:
        raise UsageError(
            f"{file}: is no whole configuration ({', '.join(missing)} missing); give a run's "
            "config.yaml, or --model and --key=value"
        )


def with_batches(tree: dict[str, Any]) -> dict[str, Any]:
    """Random batches for windows, where nothing else is said.

    Of like length they cost SASRec on Beauty a seventh of its NDCG@10 (studies/protocol.yaml);
    prefixes lose nothing by them.
    """
    random = {"train": {"bucket_pool": 1}} if tree.get("examples") == "windows" else {}
    return merged(random, tree)


def as_path(value: Any) -> Path | None:
    return None if value is None else Path(str(value))


def dataset_tree(spec: DatasetSpec, model: str) -> dict[str, Any]:
    """What a data set decides where nothing else does.

    RecBole's models know prefixes only, and get random batches, as RecBole makes them: they are
    padded to the full length anyway.
    """
    tree: dict[str, Any] = {"encoder": {"max_length": spec.max_length}}
    defaults = [current(*field) for field in spec.defaults.items()]
    of_all = [(key, value) for key, value in defaults if key.split(".")[0] in COMMON_FIELDS]
    tree = with_overrides(tree, of_all)
    if model.startswith(RECBOLE):
        return {**tree, "examples": "prefixes", "train": {"bucket_pool": 1}}
    if model in BASELINES:
        return tree
    check_kinds(spec)
    return with_overrides({**tree, "examples": spec.examples}, defaults)


def check_kinds(spec: DatasetSpec) -> None:
    """UsageError for defaults that only some kinds of encoder or loss have, and name none.

    They fall away where another kind is chosen, which needs the kind that they are for.
    """
    for part, kinds in KINDS.items():
        tag = NAMED[part]
        fields = [key.split(".", 1)[1] for key in spec.defaults if key.startswith(f"{part}.")]
        have = [{field.name for field in dataclasses.fields(kind)} for kind in kinds.values()]
        shared = set.intersection(*have)
        special = [name for name in fields if name not in {tag, *shared}]
        if special and tag not in fields:
            raise UsageError(
                f"data set {spec.name}: defaults set {part}.{special[0]}, which not every {part} "
                f"has; name the one it is for, such as {part}.{tag}: {next(iter(kinds))}"
            )


def reads(model: str, key: str) -> bool:
    """Whether a model makes use of a dotted field."""
    group = key.split(".")[0]
    if key in ("encoder.max_length", "train.device", "train.monitor"):
        return True
    if model in BASELINES:
        return group in COMMON_FIELDS
    if model.startswith(RECBOLE):
        own = (*COMMON_FIELDS, "epochs", "examples", "train", "recbole")
        return group in own and key != "train.lazy_rows"
    return group != "recbole"


def refuse_idle_parts(config: Config, overrides: list[tuple[str, Any]]) -> None:
    """Nor are fields that would do nothing beside the others.  Errors: UsageError."""
    switches = {
        "augment": ("augment.probability", config.augment.probability > 0.0, "is 0"),
        "features": ("features.source", config.features.source is not None, "is not set"),
        "init_from": ("init_from.run", config.init_from.run is not None, "is not set"),
    }
    for key, _ in overrides:
        switch, on, off = switches.get(key.split(".")[0], (key, True, ""))
        if key != switch and not on:
            raise UsageError(f"{key}: does nothing while {switch} {off}; set it, too")


def refuse_idle_fields(model: str, overrides: list[tuple[str, Any]]) -> None:
    """A field that this model would not read is a mistake, not a wish."""
    for key, _ in overrides:
        if not reads(model, key):
            raise UsageError(f"{key}: {model} does not read this field")
