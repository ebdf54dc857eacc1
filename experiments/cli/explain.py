"""What a field means: its values, default and source; what a kind, preset or data set is.

Plug-ins' are included.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augment import OPERATORS, Correlation
from experiments.cli.field_reference import (
    CHOICES,
    GROUPS,
    default,
    docstrings,
    hidden_groups,
    kinds_bases,
    owner_fields,
    shown_type,
)
from experiments.cli.listing import SOURCE
from experiments.config.presets import ADDED_PRESETS, PRESETS, AddedPreset
from experiments.config.run_config import Config
from experiments.config.typed import CATALOGUES, hints_of
from experiments.data.known import ADDED, FOLDER, AddedDataset, family_of
from experiments.errors import UsageError, unknown
from experiments.storage.files import REPOSITORY
from experiments.storage.run_folder import as_yaml
from models.augmented_input import AugmentConfig
from models.tasks import ContrastiveTask, Task
from models.tasks.contrast_fields import ContrastFields

WIDTH = 96
OF_PLUGINS: dict[str, Mapping[str, AddedPreset | AddedDataset]] = {
    "preset": ADDED_PRESETS,
    "data set": ADDED,
}


@dataclass(frozen=True)
class Field:
    """key: as on the command line, with N for a task's place or name.  whose: "" or which kind has
    it.  owner: the class that declares it."""

    key: str
    whose: str
    owner: Any
    name: str

    @property
    def values(self) -> str:
        return shown_type(hints_of(self.owner)[self.name])

    @property
    def default(self) -> str:
        return default(self.owner, self.name).strip("`")

    @property
    def meaning(self) -> str:
        return " ".join(docstrings(self.owner).get(self.name, "").split())


def every_field() -> Iterator[Field]:
    """In the order of the configuration."""
    hidden = set(hidden_groups())
    yield from fields_of("", "", Config, hidden)
    for group, (shared, catalogue, whose) in CHOICES.items():
        yield from fields_of(f"{group}.", whose, shared)
        if shared is Task:
            yield from fields_of(f"{group}.", "every contrast", ContrastFields)
        tag = CATALOGUES[shared][0]
        for kind, cls in catalogue.items():
            owned = {name: base for base in kinds_bases(cls) for _, name in owner_fields(base)}
            for name, base in owned.items():
                yield Field(f"{group}.{name}", f"{tag}: {kind}", base, name)
    yield from fields_of("augment.", "", AugmentConfig)
    yield from fields_of("augment.correlation.", "", Correlation)
    yield from fields_of("contrast.N.correlation.", "task: augmented_views", Correlation)
    for kind, operator in OPERATORS.items():
        yield from fields_of("operators.N.", f"operator: {kind}", operator)
    for group, cls in GROUPS.items():
        yield from fields_of(f"{group}.", "", cls)


def fields_of(prefix: str, whose: str, cls: Any, leave: set[str] | None = None) -> Iterator[Field]:
    for owner, name in owner_fields(cls):
        if name not in (leave or ()):
            yield Field(prefix + name, whose, owner, name)


def field_lines() -> list[str]:
    """One line for each field: key, default, whose it is, and its meaning's first sentence."""
    lines = []
    for field in every_field():
        whose = f" ({field.whose})" if field.whose else ""
        begins = re.split(r"(?<=\.)\s", field.meaning)[0]
        lines.append(f"  {field.key}={field.default}{whose}  {begins}")
    return ["fields:", *lines]


def explain(asked: str) -> list[str]:
    """All that is known of a field, by its dotted key or its last part, or of a kind, a preset or
    a data set, by name.

    Errors: UsageError that names the nearest one.
    """
    known = list(every_field())
    key = normalised(asked)
    found = [field for field in known if field.key == key]
    found = found or [field for field in known if field.key.split(".")[-1] == key]
    lines = [line for field in found for line in [*lines_of(field), ""]]
    for tag, catalogue in CATALOGUES.values():
        if key.split(".")[-1] == tag:
            about = {name: (cls.__doc__ or "").split("\n")[0] for name, cls in catalogue.items()}
            lines += [
                f"{key}: one of",
                *(f"  {name:<20}{text}" for name, text in about.items()),
                "",
            ]
        if asked in catalogue:
            of = [one for one in known if one.whose == f"{tag}: {asked}"]
            lines += [*kind_lines(tag, asked, catalogue[asked], of), ""]
    for what, entries in OF_PLUGINS.items():
        if added := entries.get(asked):
            lines += yaml_lines(what, asked, as_yaml(added.tree), added.path)
    files = yaml_files()
    family, _ = family_of(asked) or (asked, None)
    for what, file in files.get(family, {}).items():
        lines += yaml_lines(what, asked, file.read_text(encoding="utf-8"), file)
    if not lines:
        kinds = [name for _, catalogue in CATALOGUES.values() for name in catalogue]
        near = [one.key for one in known] + [one.key.split(".")[-1] for one in known] + kinds
        near += [*ADDED_PRESETS, *ADDED, *files]
        told = unknown(asked, dict.fromkeys(near)).split("; known")[0]
        raise UsageError(
            f"explain: {told}; `run.py list` names all there is, `run.py list --fields` all fields"
        )
    return lines[:-1]


def normalised(key: str) -> str:
    """contrast.0.weight, contrast.mine.weight -> contrast.N.weight; operators likewise."""
    key = re.sub(r"^contrast\.[^.]+\.", "contrast.N.", key.removeprefix("--"))
    return re.sub(r"^.*\b(?:short_)?operators\.[^.]+\.", "operators.N.", key)


def lines_of(field: Field) -> list[str]:
    """A field: whose it is, its values, default, meaning and source."""
    title = f"{field.key} ({field.whose})" if field.whose else field.key
    papers = ", ".join(dict.fromkeys(SOURCE.findall(field.meaning)))
    rows = [
        ("values", field.values.replace("`", "")),
        ("default", field.default),
        ("meaning", field.meaning),
        ("source", ", ".join(part for part in (papers, place(field.owner)) if part)),
    ]
    return [title, *(line for row in rows if row[1] for line in wrapped(*row))]


def kind_lines(tag: str, name: str, cls: Any, fields: list[Field]) -> list[str]:
    """A kind of encoder, loss, task or operator: what it is, and its own fields."""
    about = inspect.cleandoc(cls.__doc__ or "").split("\n")
    own = [f"  {one.key}={one.default}" for one in fields]
    head = [f"{tag}: {name}", *(f"  {line}".rstrip() for line in about)]
    also = ["  It has the fields of contrasts."] if issubclass(cls, ContrastiveTask) else []
    return [*head, *wrapped("source", place(cls)), *also, *own]


def yaml_files() -> dict[str, dict[str, Path]]:
    """{name: {what it is: its file}} of presets and data sets."""
    found: dict[str, dict[str, Path]] = {}
    for what, folder in (("preset", PRESETS), ("data set", FOLDER)):
        for file in folder.rglob("*.yaml"):
            found.setdefault(file.relative_to(folder).with_suffix("").as_posix(), {})[what] = file
    return found


def yaml_lines(what: str, name: str, text: str, file: Path) -> list[str]:
    """A preset or a data set, as it is written."""
    shown = textwrap.indent(text, "  ").splitlines()
    return [f"{what}: {name}", *shown, *wrapped("source", str(inside(file))), ""]


def place(cls: Any) -> str:
    """The class, and the file that it is in."""
    file = Path(sys.modules[cls.__module__].__file__ or "")
    return f"{cls.__name__} in {inside(file)}"


def inside(file: Path) -> Path:
    """A file of this repository from its root; others as they are."""
    return file.relative_to(REPOSITORY) if file.is_relative_to(REPOSITORY) else file


def wrapped(label: str, text: str) -> list[str]:
    lines = textwrap.wrap(text, WIDTH - 11, break_long_words=False, break_on_hyphens=False)
    return [f"  {label if not place else '':<9}{line}" for place, line in enumerate(lines)]
