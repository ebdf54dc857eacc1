"""Operators and tasks from outside the repository: a file, or an installed package."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.aliases import CLASSES, FIELDS, METHODS
from experiments.errors import UsageError


def load_plugin(name: str) -> None:
    """Run a Python file or import a module and add its OPERATORS and TASKS to the catalogues.

    name: FILE.py, or the dotted name of a module that can be imported.
    It runs with your rights: name only what you trust.  UsageError when it does not load,
    declares nothing, or takes a name that is taken.
    """
    from augment import OPERATORS
    from models.tasks import TASKS

    catalogues: dict[str, dict[str, Any]] = {"OPERATORS": OPERATORS, "TASKS": TASKS}
    with old_names():
        module = load_module(name)
    declared = {key: getattr(module, key) for key in catalogues if hasattr(module, key)}
    if not declared:
        raise UsageError(f"--plugin {name}: declares neither OPERATORS nor TASKS")
    for key, entries in declared.items():
        check_entries(name, key, entries)
        take_old_names(name, module, entries.values())
        for entry, cls in entries.items():
            taken = catalogues[key].setdefault(entry, cls)
            if taken is not cls and taken.__module__ != cls.__module__:
                raise UsageError(f"--plugin {name}: {key} has a {entry!r} already")
            catalogues[key][entry] = cls


@contextmanager
def old_names() -> Iterator[None]:
    """Let a plug-in import what models.tasks had under another name before."""
    import models.tasks

    for before, after in CLASSES.items():
        setattr(models.tasks, before, getattr(models.tasks, after))
    try:
        yield
    finally:
        for before in CLASSES:
            delattr(models.tasks, before)


def take_old_names(name: str, module: Any, classes: Iterable[Any]) -> None:
    """Let methods that a plug-in's classes define or call have their old names, with a note.

    UsageError for a field that a class declares under an old name: nothing would read it.
    """
    imported = [before for before in CLASSES if hasattr(module, before)]
    notes = dict.fromkeys(f"{before} is called {CLASSES[before]}" for before in imported)
    ours = ("augment", "models", "builtins", "torch", "typing")
    lineage = dict.fromkeys(base for cls in classes for base in cls.__mro__)
    fields = {rule.old: rule.new for rule in FIELDS if rule.within == "contrast"}
    for cls in lineage:
        own = cls.__module__.split(".")[0] not in ours
        for before, after in METHODS.items():
            if not own and after in vars(cls) and before not in vars(cls):
                setattr(cls, before, vars(cls)[after])  # for super().pair(...)
            if own and before in vars(cls) and after not in vars(cls):
                setattr(cls, after, vars(cls)[before])
                notes[f"{cls.__name__}.{before} is called {after}"] = None
        for before in fields.keys() & vars(cls).get("__annotations__", {}).keys() if own else ():
            if hasattr(cls, fields[before]):
                raise UsageError(
                    f"--plugin {name}: the field {before!r} of {cls.__name__} is called "
                    f"{fields[before]!r} now; rename it"
                )
    for note in notes:
        print(f"note: --plugin {name}: {note} now", file=sys.stderr)


def check_entries(name: str, key: str, entries: Any) -> None:
    """UsageError for anything but a dict of names and dataclasses that can be configured."""
    from experiments.config.typed import hints_of, readable

    if not isinstance(entries, dict):
        raise UsageError(f"--plugin {name}: {key} must be a dict of names and classes")
    for entry, cls in entries.items():
        if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
            raise UsageError(f"--plugin {name}: {key}[{entry!r}] is no dataclass")
        try:
            hints = hints_of(cls)
        except NameError as error:
            raise UsageError(f"--plugin {name}: {key}[{entry!r}]: {error}") from error
        for field in dataclasses.fields(cls):
            hint = hints[field.name]
            if not readable(hint):
                raise UsageError(
                    f"--plugin {name}: the field {field.name!r} of {key}[{entry!r}] is {hint}, "
                    "which no YAML gives: use int, float, str, bool, Literal, tuple[T, ...], "
                    "dict[str, T], T | None or a dataclass of these"
                )
            if any(inspect.isfunction(vars(base).get(field.name)) for base in cls.__mro__):
                raise UsageError(
                    f"--plugin {name}: the field {field.name!r} of {key}[{entry!r}] has the name "
                    "of a method that it would replace: give it another"
                )


def plugin_file(name: str) -> Path:
    """The source file of a plug-in; UsageError when there is none."""
    if is_file_name(name):
        if not (name.endswith(".py") and os.path.isfile(name)):
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


def is_file_name(name: str) -> bool:
    return name.endswith(".py") or "/" in name


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
