"""What a data set's YAML says about the raw files that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from experiments.data.reading.recipe import Recipe, recipe_of
from experiments.errors import UsageError, unknown

CATEGORY = "CATEGORY"  # in the YAML of a family: the part of the name that is not fixed
COUNTED = ("users", "items", "interactions")
_TEXTS = ("page", "licence", "size", "does")


@dataclass(frozen=True)
class Raw:
    """Raw files, in the forms that they are had in.

    published: users, items and interactions of the whole raw data, where a page or paper says
    so; a file with other counts is read all the same.
    """

    page: str  # where to get them: the project's page
    licence: str  # in a word
    size: str  # of what is to be got, roughly
    does: str  # what the recipe keeps and leaves out
    forms: tuple[Recipe, ...]
    published: dict[str, int] = field(default_factory=dict)

    @property
    def files(self) -> list[str]:
        """The names that the raw file may have."""
        return [name for form in self.forms for name in form.files]

    def form_of(self, name: str) -> Recipe:
        """The form of a file by its name, by its suffix, or else the first one."""
        for form in self.forms:
            if any(fnmatchcase(name, pattern) for pattern in form.files):
                return form
        suffix = PurePosixPath(name).suffix
        for form in self.forms:
            if any(PurePosixPath(pattern).suffix == suffix for pattern in form.files):
                return form
        return self.forms[0]


def raw_of(values: Mapping[str, Any], where: str) -> Raw:
    """Errors: UsageError, beginning with where, for what is missing, unknown or of a wrong type."""
    known = (*_TEXTS, "forms", "published")
    for name in values:
        if name not in known:
            raise UsageError(f"{where}: {unknown(name, known)}")
    for name in _TEXTS:
        if not isinstance(values.get(name), str):
            raise UsageError(f"{where}: {name} must be a text, not {values.get(name)!r}")
    forms = values.get("forms")
    if not isinstance(forms, list) or not forms or not all(isinstance(f, dict) for f in forms):
        raise UsageError(f"{where}: forms must be a list of recipes")
    published = values.get("published", {})
    if not isinstance(published, dict) or not all(
        name in COUNTED and type(count) is int for name, count in published.items()
    ):
        raise UsageError(f"{where}: published must be whole numbers of {', '.join(COUNTED)}")
    recipes = tuple(recipe_of(form, f"{where}.forms.{n}") for n, form in enumerate(forms))
    for n, recipe in enumerate(recipes):
        if not recipe.files:
            raise UsageError(f"{where}.forms.{n}: files is missing: the names of the raw file")
    return Raw(**{name: values[name] for name in _TEXTS}, forms=recipes, published=published)


def filled_in(value: Any, category: str) -> Any:
    """A tree of plain values, with the name of a category for CATEGORY in its texts."""
    if isinstance(value, dict):
        return {key: filled_in(entry, category) for key, entry in value.items()}
    if isinstance(value, list):
        return [filled_in(entry, category) for entry in value]
    return value.replace(CATEGORY, category) if isinstance(value, str) else value
