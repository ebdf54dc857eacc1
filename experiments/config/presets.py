"""What --model takes: the presets in experiments/presets, those of plug-ins, and baselines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.aliases import current_tree
from experiments.config.run_config import config_from_tree
from experiments.errors import UsageError, unknown
from experiments.storage.files import REPOSITORY, plain_name
from experiments.storage.yaml_file import read_tree
from models.baselines import BASELINES

PRESETS = REPOSITORY / "experiments" / "presets"
PUBLISHED = "published/"
"""Papers' own settings: names begin so."""
RECBOLE = "recbole:"


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


def published_presets() -> list[str]:
    """`published/NAME`: methods in the settings of their papers' code."""
    return sorted(f"{PUBLISHED}{path.stem}" for path in (PRESETS / PUBLISHED).glob("*.yaml"))


def models() -> list[str]:
    """All that --model takes, but for RecBole's."""
    return [*presets(), *published_presets(), *BASELINES]


def check_added_presets() -> None:
    """UsageError for a plug-in's preset that names an unknown part or field."""
    for preset in ADDED_PRESETS.values():
        try:
            config_from_tree(current_tree(preset.tree))
        except UsageError as error:
            raise UsageError(f"{preset.where}: {error}") from None


def check_model_name(model: str) -> None:
    """A config.yaml may name a preset that is gone; a run's folder is named by it all the same."""
    name = model.removeprefix(RECBOLE).removeprefix(PUBLISHED)
    if name and not plain_name(name):  # an empty one is told where it is looked up
        raise UsageError(f"model: {model!r} cannot name a model: use a plain name, without folders")


def preset_tree(model: str) -> dict[str, Any]:
    """What a preset's YAML says; nothing for baselines and RecBole's models."""
    if model in BASELINES or model.startswith(RECBOLE):
        return {}
    if model not in (*presets(), *published_presets()):
        raise UsageError(f"model: {unknown(model, [*models(), 'recbole:SASRec'])}")
    if model in ADDED_PRESETS:
        return current_tree(ADDED_PRESETS[model].tree)
    return current_tree(read_tree(PRESETS / f"{model}.yaml"))
