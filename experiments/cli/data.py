"""The `data` command: a raw file to a data set, and where raw files are to be had."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

from experiments.cli.arguments import path
from experiments.errors import UsageError

YES_OR_NO = {"yes": True, "no": False}
EPILOG = """
a known name, such as ml-1m or amazon-2018-Beauty, has a recipe: `run.py data --list`.
Columns are told by name, or by number from 0.  Options that are given go above the recipe.
"""


def data_options(made: argparse.ArgumentParser) -> None:
    made.epilog = EPILOG
    made.add_argument("name", metavar="NAME", nargs="?", help="what the data set is called")
    made.add_argument("--list", action="store_true", help="known raw files: where they are had")
    made.add_argument(
        "--source", type=path, metavar="PATH",
        help="the raw file, packed (not parquet) or not, or a folder or zip archive that holds it",
    )  # fmt: skip
    made.add_argument("--data-dir", type=path, metavar="DIR", help="where data sets are kept")
    made.add_argument("--recipe", metavar="NAME", help="read it as this known name [NAME]")
    form = made.add_argument_group("how the file is written")
    form.add_argument(
        "--format", metavar="FORM",
        help="csv, jsonl, literal, parquet, inter, lists or pairs [auto: a look decides]",
    )  # fmt: skip
    form.add_argument("--separator", metavar="TEXT", help="of fields, of any length [a look]")
    form.add_argument("--header", choices=YES_OR_NO, help="the first line names columns [a look]")
    form.add_argument("--quotes", choices=YES_OR_NO, help='"a, b" is one field [in CSV]')
    for column in ("user", "item", "time"):
        told = ", or none: the file's order" if column == "time" else ""
        form.add_argument(f"--{column}-column", metavar="COLUMN", help=f"its name or number{told}")
    form.add_argument(
        "--time-format", metavar="FORM",
        help="s, ms or us since 1970, number, iso, or a pattern such as %%d/%%m/%%Y [a look]",
    )  # fmt: skip
    kept = made.add_argument_group("what is kept")
    kept.add_argument("--keep", action="append", metavar="COLUMN=V1,V2", help="rows with these")
    kept.add_argument("--min", action="append", metavar="COLUMN=X", help="rows with X or more")
    kept.add_argument(
        "--drop-missing", action="store_true", help="leave out rows without an id or time"
    )
    kept.add_argument(
        "--duplicates", metavar="RULE",
        help="keep all; leave out exact ones; keep the first or last of a user and an item [keep]",
    )  # fmt: skip
    kept.add_argument("--k-core", type=int, metavar="K", help="users and items with K or more")
    kept.add_argument("--user-core", type=int, metavar="K", help="users with K or more")
    kept.add_argument("--item-core", type=int, metavar="K", help="items with K or more")


def data(arguments: argparse.Namespace) -> None:
    """Convert a file to a data set, and say what was counted."""
    if arguments.list:
        print("\n".join(known_raw()))
        return
    for needed in ("name", "source", "data_dir"):
        if getattr(arguments, needed) is None:
            flag = "NAME" if needed == "name" else f"--{needed.replace('_', '-')}"
            raise UsageError(f"data: {flag} is missing; see `run.py data --help`, or --list")
    from experiments.data.conversion.convert import convert

    lines = convert(
        arguments.name, arguments.source, arguments.data_dir, options(arguments), arguments.recipe
    )
    print("\n".join(lines))


def options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields of a recipe that were given."""
    given = {
        "format": arguments.format,
        "separator": unescaped(arguments.separator),
        "header": YES_OR_NO.get(arguments.header),
        "quotes": YES_OR_NO.get(arguments.quotes),
        "user": column(arguments.user_column),
        "item": column(arguments.item_column),
        "time": column(arguments.time_column),
        "time_format": arguments.time_format,
        "drop_missing": arguments.drop_missing or None,
        "duplicates": arguments.duplicates,
        "keep": {name: text.split(",") for name, text in pairs("--keep", arguments.keep)} or None,
        "min": {name: number(name, text) for name, text in pairs("--min", arguments.min)} or None,
        "k_core": arguments.k_core,
        "user_core": arguments.user_core,
        "item_core": arguments.item_core,
    }
    return {name: value for name, value in given.items() if value is not None}


def column(text: str | None) -> str | int | None:
    """A number where the text is one."""
    number = text is not None and text.isdecimal() and text.isascii() and len(text) < 10
    return int(text) if text is not None and number else text


def unescaped(text: str | None) -> str | None:
    """A tab is hard to type: \\t is one."""
    return text.replace("\\t", "\t") if text is not None else None


def pairs(flag: str, given: list[str] | None) -> list[tuple[str, str]]:
    split = [text.partition("=") for text in given or []]
    for name, equals, text in split:
        if not (name and equals and text):
            raise UsageError(f"{flag} {name}{equals}: give it as COLUMN=VALUE")
    names = [name for name, _, _ in split]
    if len(set(names)) < len(names):
        raise UsageError(f"{flag}: the same column twice; give its values as COLUMN=V1,V2")
    return [(name, text) for name, _, text in split]


def number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--min {name}={text}: {text!r} is not a number") from None


def known_raw() -> list[str]:
    """For each known name with a recipe: what is read, where it is had, and what becomes of it."""
    from experiments.data.declaration import read_declaration
    from experiments.data.known import FOLDER, families, known

    lines = []
    for name in sorted([*known(), *families()]):
        raw = read_declaration(FOLDER / f"{name}.yaml").raw
        if raw is None:
            continue
        files = ", ".join(dict.fromkeys(raw.files))
        about = f"{files}; size: {raw.size}; licence: {raw.licence}; {raw.does}"
        lines += [f"{name}  {raw.page}", *textwrap.wrap(about, 96, initial_indent="    ",
                  subsequent_indent="    ", break_long_words=False)]  # fmt: skip
    return [
        "Known raw files, packed (.gz, .bz2, .xz, .zip; not parquet) or not. Get one, then:",
        "python run.py data NAME --source FILE_OR_FOLDER --data-dir DIR",
        "",
        *lines,
    ]
