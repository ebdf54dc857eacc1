"""What a plug-in adds to the catalogues: a file, or an installed package, from outside."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.aliases import METHODS
from experiments.config.loaded_plugins import is_file_name, note_loaded
from experiments.config.plugin_names import old_names, take_old_names
from experiments.errors import UsageError

KINDS = ("OPERATORS", "TASKS", "ENCODERS", "LOSSES", "PRESETS", "DATASETS")
"""Dicts by name: of classes, then of what a preset's and a data set's YAML would hold."""


def load_plugins(names: Iterable[str]) -> None:
    """Load each; a preset may name what a later one adds.  UsageError as for `load_plugin`; then
    none of their presets stays."""
    from experiments.config.presets import ADDED_PRESETS, check_added_presets

    before = dict(ADDED_PRESETS)
    try:
        for name in names:
            load_plugin(name)
        check_added_presets()
    except UsageError:
        ADDED_PRESETS.clear()
        ADDED_PRESETS.update(before)
        raise


def load_plugin(name: str) -> None:
    """Run a Python file or import a module and add what it declares (KINDS) to the catalogues.

    name: FILE.py, or the dotted name of a module that can be imported.
    It runs with your rights: name only what you trust.  UsageError when it does not load,
    declares nothing, or takes a name that is taken.
    """
    with old_names():
        module = load_module(name)
    declared = {key: getattr(module, key) for key in KINDS if hasattr(module, key)}
    if not declared:
        raise UsageError(f"--plugin {name}: declares none of {', '.join(KINDS)}")
    for key, entries in declared.items():
        if not (isinstance(entries, dict) and all(isinstance(entry, str) for entry in entries)):
            what = "fields" if key in ("PRESETS", "DATASETS") else "classes"
            raise UsageError(f"--plugin {name}: {key} must be a dict of names and {what}")
    for key, (catalogue, base) in class_catalogues().items():
        entries = declared.get(key, {})
        check_entries(name, key, entries, base)
        take_old_names(name, module, entries.values())
        for entry, cls in entries.items():
            taken = catalogue.setdefault(entry, cls)
            loaded_again = taken.__module__ == cls.__module__ == module.__name__
            if taken is not cls and not loaded_again:
                raise UsageError(f"--plugin {name}: {key} has a {entry!r} already")
            catalogue[entry] = cls
    path = plugin_file(name)
    add_presets(name, path, declared.get("PRESETS", {}))
    add_datasets(name, path, declared.get("DATASETS", {}))
    classes = [cls for key in class_catalogues() for cls in declared.get(key, {}).values()]
    note_loaded(name, path, classes, declared.get("DATASETS", {}))


def class_catalogues() -> dict[str, tuple[dict[str, Any], type]]:
    """The catalogue that each kind of class goes to, and what all of them inherit."""
    from augment import OPERATORS
    from models.encoders import ENCODERS, EncoderConfig
    from models.losses.next_item import NEXT_ITEM_LOSSES, NextItemLoss
    from models.tasks import TASKS, Task

    return {
        "OPERATORS": (OPERATORS, object),
        "TASKS": (TASKS, Task),
        "ENCODERS": (ENCODERS, EncoderConfig),
        "LOSSES": (NEXT_ITEM_LOSSES, NextItemLoss),
    }


def add_presets(name: str, path: Path, entries: dict[str, Any]) -> None:
    """Let `--model` know them.  UsageError for a name that is taken, or for no mapping."""
    from experiments.config.presets import ADDED_PRESETS, AddedPreset, check_model_name, models
    from experiments.storage.yaml_file import check_tree

    for entry, tree in entries.items():
        known = ADDED_PRESETS.get(entry)
        if entry in models() and (known is None or known.path != path):
            raise UsageError(f"--plugin {name}: PRESETS has a {entry!r} already")
        check_model_name(entry)
        where = f"--plugin {name}: PRESETS[{entry!r}]"
        ADDED_PRESETS[entry] = AddedPreset(path, where, check_tree(tree, where))


def add_datasets(name: str, path: Path, entries: dict[str, Any]) -> None:
    """Let `--dataset` know them.  UsageError for a name that is taken, or what no YAML may say."""
    from experiments.data.catalogue import check_name
    from experiments.data.declaration import declaration_of
    from experiments.data.known import ADDED, AddedDataset, known
    from experiments.storage.yaml_file import check_tree

    for entry, tree in entries.items():
        where = f"--plugin {name}: DATASETS[{entry!r}]"
        checked = check_tree(tree, where)
        made = declaration_of(checked, where)
        check_name(entry)
        before = ADDED.get(entry)
        if entry in known() and (before is None or before.path != path):
            raise UsageError(f"--plugin {name}: DATASETS has a {entry!r} already")
        ADDED[entry] = AddedDataset(path, checked, made)


def check_entries(name: str, key: str, entries: dict[str, Any], base: type) -> None:
    """UsageError for anything but dataclasses of this kind that can be configured."""
    from experiments.config.typed import TAGS, hints_of, readable

    for entry, cls in entries.items():
        where = f"--plugin {name}: {key}[{entry!r}]"
        if not (
            isinstance(cls, type)
            and dataclasses.is_dataclass(cls)
            and "__dataclass_fields__" in vars(cls)  # its own, not one that it inherits
        ):
            raise UsageError(f"{where} is no dataclass of its own: put @dataclass above the class")
        if not issubclass(cls, base):
            raise UsageError(f"{where} is no {base.__name__}")
        if cls.__hash__ is None:
            how = "eq=False, repr=False" if key in ("TASKS", "LOSSES") else "frozen=True"
            raise UsageError(f"{where} cannot be hashed: declare it by @dataclass({how})")
        try:
            hints = hints_of(cls)
        except NameError as error:
            raise UsageError(f"--plugin {name}: {key}[{entry!r}]: {error}") from error
        for field in dataclasses.fields(cls):
            if field.name in TAGS:
                raise UsageError(
                    f"--plugin {name}: the field {field.name!r} of {key}[{entry!r}] has a name "
                    "that chooses a kind in a configuration: give it another"
                )
            hint = hints[field.name]
            if not readable(hint):
                raise UsageError(
                    f"--plugin {name}: the field {field.name!r} of {key}[{entry!r}] is {hint}, "
                    "which no YAML gives: use int, float, str, bool, Literal, tuple[T, ...], "
                    "dict[str, T], T | None or a dataclass of these"
                )
            methods = (vars(base).get(field.name) for base in cls.__mro__)
            if field.name not in METHODS and any(map(inspect.isfunction, methods)):
                raise UsageError(
                    f"--plugin {name}: the field {field.name!r} of {key}[{entry!r}] has the name "
                    "of a method that it would replace: give it another"
                )


def plugin_file(name: str) -> Path:
    """The source file of a plug-in; UsageError when there is none."""
    if is_file_name(name):
        if not os.path.isfile(name):
            raise UsageError(f"--plugin {name}: there is no such file")
        if not name.endswith(".py"):
            raise UsageError(f"--plugin {name}: is not a Python file")
        return Path(name)
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        spec = None
    except Exception as error:  # of the package around it, which is imported to find it
        reason = " ".join(str(error).split())
        raise UsageError(f"--plugin {name}: {type(error).__name__}: {reason}") from error
    if spec is None or spec.origin is None:
        raise UsageError(f"--plugin {name}: is neither a FILE.py nor a module that can be imported")
    return Path(spec.origin)


def load_module(name: str) -> Any:
    path = plugin_file(name)
    try:
        if not is_file_name(name):
            return importlib.import_module(name)
        unique = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:12]
        spec = importlib.util.spec_from_file_location(f"plugin_{path.stem}_{unique}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[module.__name__] = module  # dataclasses look their module up there
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"--plugin {name}: {type(error).__name__}: {reason}") from error
    return module
