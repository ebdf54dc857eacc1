"""Arguments that several commands take, what may be a path, and a parser that says one line."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from experiments.errors import UsageError

LONGEST_NAME, LONGEST_PATH = 255, 4095  # bytes; what file systems take


class Parser(argparse.ArgumentParser):
    """Reports a mistake as one line instead of a page of usage."""

    commands: Mapping[str, Parser] = MappingProxyType({})  # by name, of the whole

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`")

    def options(self) -> set[str]:
        """--out, -k and the like, as it knows them."""
        return {option for action in self._actions for option in action.option_strings}


def add_moved(made: Parser) -> None:
    """For commands that read a run: where its data and its plug-ins are, and where to compute."""
    made.add_argument("--data-dir", type=path, metavar="DIR", help="where the data is now")
    made.add_argument("--device", help="cpu, cuda or cuda:N [as it was trained]")
    add_plugin(made)


def add_data_dir(made: argparse.ArgumentParser) -> None:
    made.add_argument("--data-dir", type=path, metavar="DIR", help="folder of the data files")


def add_read(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--read", choices=["all", "test", "valid"], default="all",
        help="of a user's history: all, or the input of that split's evaluation [all]",
    )  # fmt: skip


def add_plugin(made: Parser) -> None:
    made.add_argument(
        "--plugin", action="append", default=[], metavar="FILE.py|MODULE",
        help="a Python file with OPERATORS, TASKS, ENCODERS, LOSSES, PRESETS or DATASETS",
    )  # fmt: skip


def add_json(made: Parser) -> None:
    made.add_argument("--json", action="store_true", help="print the result as the last line")


def path(text: str) -> Path:
    """A path that a file can have; argparse puts the name of the argument in front of an error."""
    if not text:
        raise argparse.ArgumentTypeError("an empty text names no file or folder")
    longest = max(len(part.encode()) for part in text.split("/"))
    if longest > LONGEST_NAME or len(text.encode()) > LONGEST_PATH:
        raise argparse.ArgumentTypeError(f"no file has so long a name: {text[:40]}...")
    return Path(text)
