"""The data sets that are known by name: declared in experiments/datasets, or by a plug-in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.data.declaration import Declaration, read_declaration
from experiments.data.reading.raw import CATEGORY

FOLDER = Path(__file__).parent.parent / "datasets"


@dataclass(frozen=True)
class AddedDataset:
    """A data set of a plug-in: the plug-in's file, what it says, and what that declares."""

    path: Path
    tree: dict[str, Any]
    declaration: Declaration


ADDED: dict[str, AddedDataset] = {}


def known() -> list[str]:
    """The names of the data sets declared in experiments/datasets, or by a plug-in, sorted; no
    families."""
    files = (path.stem for path in FOLDER.glob("*.yaml") if CATEGORY not in path.stem)
    return sorted([*files, *ADDED])


def families() -> list[str]:
    """The names of the declared families, such as amazon-2014-CATEGORY, sorted."""
    return sorted(path.stem for path in FOLDER.glob(f"*{CATEGORY}*.yaml"))


def family_of(name: str) -> tuple[str, str] | None:
    """The family that a name is of, and the category in it."""
    for family in families():
        start = family.removesuffix(CATEGORY)
        if name.startswith(start) and name not in (start, family):
            return family, name.removeprefix(start)
    return None


def is_known(name: str) -> bool:
    return name in known() or family_of(name) is not None


def declared(name: str) -> Declaration:
    """The declaration of a known data set, or of one of a known family."""
    if name in ADDED:
        return ADDED[name].declaration
    family, category = family_of(name) or (name, None)
    return read_declaration(FOLDER / f"{family}.yaml", category)
