"""Read a raw file as a recipe says, in the form that a look tells where it does not say."""

from __future__ import annotations

import re
from dataclasses import replace

from experiments.data.interactions import Interactions
from experiments.data.known import declared, families, known
from experiments.data.reading.json_rows import record_form
from experiments.data.reading.layout import CANDIDATES, NoColumn, first_lines, read_layout
from experiments.data.reading.read import TABLES, has_header
from experiments.data.reading.read_table import TableRead, read_rows
from experiments.data.reading.read_text import read_lines
from experiments.data.reading.recipe import Recipe, plain_recipe
from experiments.data.reading.source import LOOK, Source
from experiments.data.splits.split_files import LISTS, assembled, of_lists
from experiments.errors import UsageError
from experiments.storage.hashing import file_sha256

OF_COLUMNS = (
    *("separator", "header", "quotes", "user", "item", "time", "time_format"),
    *("keep", "min", "drop_missing"),
)
"""Fields of a recipe that say something of a table's columns."""
LINES = {"lists": "a line a user (lists)", "pairs": "a line an interaction (pairs)"}


def read_raw(source: Source, recipe: Recipe) -> TableRead:
    """All that a raw file says, in any form.

    Errors: UsageError for whatever is wrong with it, and where its form cannot be told.
    """
    form = form_of(source, recipe)
    if form == "inter" and source.member is None and LISTS in read_layout(source.path).names:
        _check_no_columns(source, recipe)
        return TableRead(_of_lists(source), [], ["form: a list and the item after it a row"])
    if form in ("lists", "pairs", "text"):
        _check_no_columns(source, recipe)
        read, form = read_lines(source, "auto" if form == "text" else form)
        return TableRead(read, [], [f"form: {LINES[form]}; the order of the file is that of time"])
    if form == "inter":
        recipe = replace(recipe, format="inter", time_format=_as_they_are(recipe))
    try:
        return read_rows(source, recipe, "csv" if form == "inter" else form)
    except NoColumn as error:
        if recipe.columns_named or {"user_id", "item_id", "timestamp"} <= set(error.names):
            raise
        raise UsageError(f"{error}; {_advice(error.names)}") from None


def _check_no_columns(source: Source, recipe: Recipe) -> None:
    """Errors: UsageError for what a recipe says of columns, where a file has none."""
    given = plain_recipe(recipe)
    told = [name for name in OF_COLUMNS if name in given]
    if told:
        raise UsageError(
            f"{source}: its lines are histories, without columns that "
            f"{', '.join(told)} could be about"
        )


def _advice(names: list[str]) -> str:
    """Which recipes a file's columns are those of, or how to name them."""
    fitting = []
    for name in [*known(), *families()]:
        raw = declared(name).raw
        if raw and any(_fits(form, names) for form in raw.forms):
            fitting.append(name)
    if fitting:
        return f"{' and '.join(fitting)} have such columns: --recipe NAME reads it as one of them"
    return (
        "say which are what with --user-column, --item-column and --time-column, by name, or by "
        "number from 0 where no line names them"
    )


def _fits(form: Recipe, names: list[str]) -> bool:
    """Whether a file with these columns is in a recipe's form."""
    columns = (form.user, form.item, form.time)
    texts = [column for column in columns if not isinstance(column, int)]
    return len(texts) == len(columns) and all(
        bool({column} & set(names) if isinstance(column, str) else set(column or ()) & set(names))
        for column in texts
    )


def form_of(source: Source, recipe: Recipe) -> str:
    """One of FORMATS, or `text`: lists or pairs. Where the recipe does not say, a look decides.

    Errors: UsageError for a file that is not known to be anything.
    """
    if recipe.format != "auto":
        return recipe.format
    with source.opened() as file:
        head = file.read(LOOK).removeprefix(b"\xef\xbb\xbf")
    if head.startswith(b"PAR1") or source.suffix == ".parquet":
        return "parquet"
    if re.match(rb"\s*(\{|\[\s*\{)", head):
        return record_form(source)
    if source.suffix == ".inter" or b":token" in head.split(b"\n", 1)[0]:
        return "inter"
    told = recipe.columns_named or recipe.separator or recipe.header is not None
    if told or source.suffix in TABLES or has_header(source):
        return "csv"
    if not head.split(b"\n", 1)[0].translate(None, b"0123456789 \t\r"):
        return "text"
    raise UsageError(f"{source} line 1: {_guess(source)}")


def _of_lists(source: Source) -> Interactions:
    """RecBole's rows of a list and the item after it: whole histories, without times."""
    file = {"train": source.path}
    lists = of_lists(file, {"train": read_layout(source.path)})
    together = assembled(source.path, *lists, None)
    return replace(together, parts=None, sha256=file_sha256(source.path))


def _as_they_are(recipe: Recipe) -> str:
    """RecBole's files hold times as they are meant to be read."""
    return "plain" if recipe.time_format == "auto" else recipe.time_format


def _guess(source: Source) -> str:
    """What a table without a header seems to be, and how to say so."""
    (line,) = first_lines(source, 1)
    separator = max(CANDIDATES, key=lambda text: line.count(text) * len(text))
    if separator not in line:
        return (
            "is no table, and not `user item item ...` of positive integers; --format lists or "
            "pairs takes ids that are words"
        )
    fields = ", ".join(f"{n} {text[:20]!r}" for n, text in enumerate(line.split(separator)[:12]))
    return (
        f"{line.count(separator) + 1} fields separated by {separator!r} ({fields}): say which "
        "are what by number or name, such as --user-column 0 --item-column 1 --time-column 3, "
        "or give --recipe NAME (see `run.py data --list`)"
    )
