"""The study of a command line, by name or file, with the fields that are set for all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.aliases import current
from experiments.errors import UsageError, did_you_mean
from experiments.record.labels import shown
from experiments.study.overridden import overridden
from experiments.study.spec import STUDIES, Study, read_study


def asked(name: Path, fields: Iterable[tuple[str, Any]] = ()) -> Study:
    """The study of this name or file; fields: set for all its trials whose model reads them."""
    return with_set(read_study(study_file(name)), [current(*field) for field in fields])


def study_file(name: Path) -> Path:
    """quick/weight and quick/weight.yaml are files of the repository, where no file has that path.

    Errors: UsageError for what is neither a file nor a study's name, with the nearest name.
    """
    if name.is_file():
        return name
    for file in (STUDIES / name, STUDIES / f"{name}.yaml"):
        if not name.is_absolute() and file.is_file() and file.resolve().is_relative_to(STUDIES):
            return file
    names = sorted(
        path.relative_to(STUDIES).with_suffix("").as_posix() for path in STUDIES.rglob("*.yaml")
    )
    near = did_you_mean(str(name).removesuffix(".yaml"), names)
    if name.is_dir():
        raise UsageError(f"{name}: is a folder; name a study's .yaml file{near}")
    raise UsageError(f"{name}: no such file, and no study{near}; `run.py list` shows the studies")


def with_set(study: Study, fields: list[tuple[str, Any]]) -> Study:
    """The study with these fields, which its question then names.

    Errors: UsageError for a field that the study varies, or that is given twice.
    """
    for place, (key, value) in enumerate(fields):
        if pair := overridden([(key, value)], study.differing, study.models):
            what = "this field" if pair[1] == key else pair[1]
            raise UsageError(f"--set {key}: study {study.name} varies {what}")
        if overridden(fields[:place], [(key, value)], study.models):
            raise UsageError(f"--set {key}: is given twice")
    if not fields:
        return study
    words = ", ".join(f"{key}={shown(value)}" for key, value in fields)
    given = dict(fields)
    try:
        return replace(
            study,
            question=f"{study.question} (with {words})",
            set={**study.set, **given},
            given=given,
        )
    except ValueError as error:
        raise UsageError(f"--set {error}") from None
