"""Names that a plug-in of an earlier version uses: they still mean what they meant."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from experiments.aliases import CLASSES, FIELDS, METHODS
from experiments.errors import UsageError


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
        declared = vars(cls).get("__annotations__", {})  # a field is no method of that name
        for before, after in METHODS.items():
            if not own and after in vars(cls) and before not in vars(cls):
                setattr(cls, before, vars(cls)[after])  # for super().pair(...)
            if own and before in vars(cls) and after not in vars(cls) and before not in declared:
                setattr(cls, after, vars(cls)[before])
                notes[f"{cls.__name__}.{before} is called {after}"] = None
        for before in fields.keys() & declared.keys() if own else ():
            if hasattr(cls, fields[before]):
                raise UsageError(
                    f"--plugin {name}: the field {before!r} of {cls.__name__} is called "
                    f"{fields[before]!r} now; rename it"
                )
    for note in notes:
        print(f"note: --plugin {name}: {note} now", file=sys.stderr)
