"""Fields of the configuration on a command line: --dotted.key=value."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from typing import Any

from experiments.aliases import current
from experiments.errors import UsageError

TOP_LEVEL = ("model", "dataset", "seed", "epochs", "examples", "protocol")


NAMES = ("model", "dataset", "examples", "protocol")  # texts, whatever they look like


TEXTS = ("slurm.time",)  # YAML reads 12:00:00 as a number


def check_text(argv: list[str]) -> None:
    """UsageError for what no file name or configuration can hold."""
    for argument in argv:
        if "\0" in argument:
            raise UsageError(f"argument {argument!r}: holds a NUL character")
        if argument.startswith("-") and argument.endswith("=--"):  # argparse would leave it out
            raise UsageError(f"argument {argument!r}: -- is no value")
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UsageError(f"argument {argument!r}: is not UTF-8 text") from None


def joined(argv: list[str], options: Collection[str], fields: bool | tuple[str, ...]) -> list[str]:
    """The arguments with every `--field value` as `--field=value`; others as they are.

    options: what the command knows itself, which argparse reads.
    """
    result: list[str] = []
    waiting = iter(range(len(argv)))
    for place in waiting:
        word, after = argv[place], argv[place + 1 : place + 2]
        name = word.removeprefix("--")
        field = word.startswith("--") and "=" not in word and word not in options
        if field and name and takes(fields, name) and after and not is_option(after[0]):
            next(waiting)
            word = f"{word}={after[0]}"
        result.append(word)
    return result


def is_option(word: str) -> bool:
    """False for a negative number, too."""
    return word.startswith("-") and not word[1:2].isdigit() and word[1:2] != "."


def overrides(arguments: argparse.Namespace, rest: list[str]) -> list[tuple[str, Any]]:
    """The fields that were set, in order: top-level ones first, then --dotted.key=value."""
    from experiments.storage.yaml_file import plain

    set_fields = []
    if arguments.fields is True:
        given = {name: vars(arguments).get(name) for name in TOP_LEVEL}
        set_fields = [
            (name, text if name in NAMES else plain(text, name))
            for name, text in given.items()
            if text is not None
        ]
        if arguments.data_dir is not None:
            set_fields.append(("data_dir", str(arguments.data_dir.absolute())))
    for argument in rest:
        key, equals, text = argument.removeprefix("--").partition("=")
        if not takes(arguments.fields, key) or not argument.startswith("--"):
            raise UsageError(f"unknown argument {argument!r}; {known_fields(arguments)}")
        if not equals:
            raise UsageError(f"--{key} needs a value: write --{key}=VALUE or --{key} VALUE")
        set_fields.append((key, text if key in TEXTS else plain(text, key)))
    named = [told_current(key, value) for key, value in set_fields]
    check_given_once([key for key, _ in set_fields], [key for key, _ in named])
    return named


def known_fields(arguments: argparse.Namespace) -> str:
    """What a command takes besides its options, and where these are told."""
    names = arguments.fields if isinstance(arguments.fields, tuple) else ()
    groups = " and ".join(f"--{group}.*" for group in names)
    which = f"of the configuration's fields it takes {groups}; " if groups else ""
    return f"{which}see `run.py {arguments.name_of_command} --help`"


def check_given_once(given: list[str], named: list[str]) -> None:
    """UsageError for a field that is set under its old name and its new one."""
    for before, now in zip(given, named, strict=True):
        if before != now and now in given:
            raise UsageError(f"--{before} is called --{now} now, and both are given")


def told_current(key: str, value: Any) -> tuple[str, Any]:
    """The field and its value as they are called now, with one line of note where they were not."""
    now, meant = current(key, value)
    if now != key:
        print(f"note: --{key} is called --{now} now", file=sys.stderr)
    elif meant is not value and meant != value:
        print(f"note: --{key}: {value} is called {meant} now", file=sys.stderr)
    return now, meant


def takes(fields: bool | tuple[str, ...], key: str) -> bool:
    """Whether a command takes this field: any, none, or those of some groups."""
    return key.split(".")[0] in fields if isinstance(fields, tuple) else fields
