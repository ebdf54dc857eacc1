"""From a command line to a Config: data-set defaults, preset, file, then overrides."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.aliases import current, current_tree, old_kind
from experiments.config.init_from import with_weights
from experiments.config.run_config import Config, config_from_tree, config_tree
from experiments.config.suggest import UnknownField, told
from experiments.config.typed import TAGS
from experiments.data.catalogue import DatasetSpec, locate
from experiments.errors import UsageError, unknown
from experiments.storage.files import REPOSITORY, plain_name
from experiments.storage.yaml_file import read_tree
from experiments.tracking.tracker import flattened
from models.baselines import BASELINES
from models.encoders import ENCODERS
from models.losses.next_item import NEXT_ITEM_LOSSES

PRESETS = REPOSITORY / "experiments" / "presets"
RECBOLE = "recbole:"
MOST_SEGMENTS = 40  # of a dotted key; the deepest field has 6
NAMED = {"encoder": "kind", "next_item": "loss", "split": "kind"}
"""Parts that may be given by a bare name, for its defaults."""
COMMON_FIELDS = ("model", "dataset", "seed", "data_dir", "ties", "split", "evaluate", "track")
KINDS: dict[str, dict[str, Any]] = {"encoder": ENCODERS, "next_item": NEXT_ITEM_LOSSES}


@dataclass(frozen=True)
class AddedPreset:
    """A preset of a plug-in: the plug-in's file, what to call it in messages, and its fields."""

    path: Path
    where: str
    tree: dict[str, Any]


ADDED_PRESETS: dict[str, AddedPreset] = {}


def presets() -> list[str]:
    """Names of the presets: the YAML files, and those of plug-ins."""
    return sorted([*(path.stem for path in PRESETS.glob("*.yaml")), *ADDED_PRESETS])


def models() -> list[str]:
    """All that --model takes, but for RecBole's."""
    return [*presets(), *BASELINES]


def check_added_presets() -> None:
    """UsageError for a plug-in's preset that names an unknown part or field."""
    for preset in ADDED_PRESETS.values():
        try:
            config_from_tree(current_tree(preset.tree))
        except UsageError as error:
            raise UsageError(f"{preset.where}: {error}") from None


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
    tree = base or merged(dataset_tree(spec, str(model)), preset_tree(str(model)))
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
        return [key for key, _ in flattened(config_tree(config_from_tree(tree)))]
    except UsageError:
        return []


def changed_fields(config: Config) -> dict[str, tuple[Any, Any]]:
    """Dotted fields that are not as the preset and the data set have them: value, theirs.

    Where to track is none of it.  Nothing for a preset that is gone.
    """
    place = {"model": config.model, "dataset": config.dataset, "data_dir": config.data_dir}
    try:
        usual = resolve(None, [(key, value) for key, value in place.items() if value is not None])
    except UsageError:
        return {}
    before, now = (dict(flattened(config_tree(one))) for one in (usual[0], config))
    return {
        name: (now.get(name, "none"), before.get(name, "none"))
        for name in {**now, **before}
        if now.get(name) != before.get(name) and name.split(".")[0] not in ("track", "seed")
    }


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


def check_model_name(model: str) -> None:
    """A config.yaml may name a preset that is gone; a run's folder is named by it all the same."""
    name = model.removeprefix(RECBOLE)
    if name and not plain_name(name):  # an empty one is told where it is looked up
        raise UsageError(f"model: {model!r} cannot name a model: use a plain name, without folders")


def preset_tree(model: str) -> dict[str, Any]:
    """What a preset's YAML says; nothing for baselines and RecBole's models."""
    if model in BASELINES or model.startswith(RECBOLE):
        return {}
    if model not in presets():
        raise UsageError(f"model: {unknown(model, [*models(), 'recbole:SASRec'])}")
    if model in ADDED_PRESETS:
        return current_tree(ADDED_PRESETS[model].tree)
    return current_tree(read_tree(PRESETS / f"{model}.yaml"))


def dataset_tree(spec: DatasetSpec, model: str) -> dict[str, Any]:
    """What a data set decides where nothing else does.

    RecBole's models know prefixes only, and get random batches, as RecBole makes them: they are
    padded to the full length anyway.
    """
    tree: dict[str, Any] = {"encoder": {"max_length": spec.max_length}}
    split = [(key, value) for key, value in spec.defaults.items() if key.startswith("split.")]
    tree = with_overrides(tree, split)
    if model.startswith(RECBOLE):
        return {**tree, "examples": "prefixes", "train": {"bucket_pool": 1}}
    if model in BASELINES:
        return tree
    check_kinds(spec)
    return with_overrides(
        {**tree, "examples": spec.examples}, [current(*field) for field in spec.defaults.items()]
    )


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
    if key == "encoder.max_length":
        return True
    if model in BASELINES:
        return group in COMMON_FIELDS
    if model.startswith(RECBOLE):
        return group in (*COMMON_FIELDS, "epochs", "examples", "train", "recbole")
    return group != "recbole"


def refuse_idle_fields(model: str, overrides: list[tuple[str, Any]]) -> None:
    """A field that this model would not read is a mistake, not a wish."""
    for key, _ in overrides:
        if not reads(model, key):
            raise UsageError(f"{key}: {model} does not read this field")


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`: mappings key by key, everything else replaced.

    A mapping that names another kind (loss: bce over loss: cross_entropy) has other fields: it
    is replaced, too.
    """
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and not other_kind(old, value):
            value = merged(old, value)
        result[key] = value
    return result


def other_kind(base: dict[str, Any], over: dict[str, Any]) -> bool:
    return any(tag in base and tag in over and base[tag] != over[tag] for tag in TAGS)


def with_overrides(tree: dict[str, Any], overrides: list[tuple[str, Any]]) -> dict[str, Any]:
    """Set each dotted key.  What names a choice (encoder.kind) goes first: it resets fields."""
    tree = copy.deepcopy(tree)
    overrides = [
        (f"{key}.{NAMED[key]}", value) if key in NAMED and isinstance(value, str) else (key, value)
        for key, value in overrides
    ]
    is_tag = [key.split(".")[-1] in TAGS for key, _ in overrides]
    first = [o for o, tag in zip(overrides, is_tag, strict=True) if tag]
    then = [o for o, tag in zip(overrides, is_tag, strict=True) if not tag]
    for key, value in first + then:
        assign(tree, key, value)
    return tree


def assign(tree: dict[str, Any], dotted: str, value: Any) -> None:
    """tree["a"]["b"] = value for "a.b"; list entries by index or by name."""
    *parents, last = dotted.split(".")
    if len(parents) >= MOST_SEGMENTS:
        raise UsageError(f"{dotted[:MOST_SEGMENTS]}...: a key has at most {MOST_SEGMENTS} parts")
    node: Any = tree
    for depth, segment in enumerate(parents):
        path = ".".join(parents[: depth + 1])
        if isinstance(node, list):
            index = entry_index(node, segment, path)
            if isinstance(node[index], str):  # a bare name stands for its defaults
                node[index] = {tag_of(path): node[index]}
            node = node[index]
        else:
            if isinstance(node.get(segment), str) and path in NAMED:
                node[segment] = {NAMED[path]: node[segment]}
            node = node.setdefault(segment, {})
        if not isinstance(node, (dict, list)):
            raise UsageError(f"{dotted}: {path} is a single value and has no keys")
    if isinstance(node, list):
        node[entry_index(node, last, dotted)] = value
        return
    if last in TAGS and node.get(last, value) != value:
        kept = {"max_length", "name", "weight"}
        for stale in [key for key in node if key not in kept]:
            del node[stale]
    node[last] = value


def entry_index(entries: list[Any], segment: str, path: str) -> int:
    """The index of a list entry that is given by number, name or kind."""
    if not entries and path.split(".")[0] == "contrast":
        raise UsageError(
            f"{path}: this model has no contrast; take a preset that has one (--model cl4srec), or "
            "add one: --contrast='[augmented_views]'"
        )
    if segment.isascii() and segment.isdigit():
        if len(segment) < 10 and int(segment) < len(entries):
            return int(segment)
        raise UsageError(f"{path}: there are {len(entries)} entries, the first is 0")
    names = [names_of(entry) for entry in entries]
    matches = [index for index, entry in enumerate(names) if segment in entry]
    if len(matches) != 1:
        known = [name for entry in names for name in entry]
        raise UnknownField(path, f"{path}: {unknown(segment, known)}")
    return matches[0]


def names_of(entry: Any) -> list[str]:
    if isinstance(entry, str):
        entry = {"name": entry}
    given = [entry.get(key) for key in ("name", *sorted(TAGS))] if isinstance(entry, dict) else []
    names = [str(name) for name in given if name]
    return list(dict.fromkeys([*names, *(old for name in names if (old := old_kind(name)))]))


def tag_of(path: str) -> str:
    """Which key names an entry of this list: operators hold operators, contrast holds tasks."""
    return "operator" if path.split(".")[-2] == "operators" else "task"
