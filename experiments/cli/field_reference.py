"""Every field of a configuration as Markdown tables, read from the dataclasses.

`python -m experiments.cli.field_reference` writes it into experiments/docs/configuration.md.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import re
import sys
import textwrap
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from augment import OPERATORS, Correlation
from experiments.cli.listing import SOURCE
from experiments.config.init_from import InitFromConfig
from experiments.config.run_config import Config
from experiments.config.train_config import EvaluateConfig, TrainConfig
from experiments.config.typed import CATALOGUES, PLAIN, hints_of, required, to_tree
from experiments.data.splits.kinds import SPLITS, SplitConfig
from experiments.report.pipe_table import pipe_table
from experiments.storage.atomic import replace
from experiments.storage.files import REPOSITORY
from experiments.tracking.config import TrackConfig
from models.augmented_input import AugmentConfig
from models.encoders import ENCODERS, EncoderConfig
from models.feature_input import FeaturesConfig
from models.losses.next_item import NEXT_ITEM_LOSSES, NextItemLoss
from models.tasks import TASKS, ContrastiveTask, Task
from models.tasks.contrast_fields import ContrastFields

PAGE = REPOSITORY / "experiments" / "docs" / "configuration.md"
COLUMNS = ("field", "values", "default", "meaning", "source")
START, END = "<!-- fields -->", "<!-- end fields -->"
GROUPS = {
    "features": FeaturesConfig,
    "init_from": InitFromConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "track": TrackConfig,
}
CHOICES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "split": (SplitConfig, SPLITS, "every split"),
    "encoder": (EncoderConfig, ENCODERS, "every encoder"),
    "next_item": (NextItemLoss, NEXT_ITEM_LOSSES, "every loss"),
    "contrast.N": (Task, TASKS, "every task"),
}
"""Groups with several kinds: the class that these share, their catalogue, whose its fields are."""
EVERYWHERE = (EncoderConfig, NextItemLoss, Task, ContrastFields)
"""Classes whose fields stand in a table of their own, not in that of each subclass."""


def field_reference() -> str:
    """All groups of fields in the order of the configuration, each as a heading and a table."""
    parts = section("Top level", Config, owner_fields(Config), leave=set(hidden_groups()))
    for group, (shared, catalogue, whose) in CHOICES.items():
        parts += choice(group, shared, catalogue, whose)
    parts += section("`augment.`", AugmentConfig, owner_fields(AugmentConfig))
    title = "`correlation.` of `augment` and of `augmented_views`"
    parts += section(title, Correlation, owner_fields(Correlation))
    for name, operator in OPERATORS.items():
        parts += section(f"Operator `{name}`", operator, owner_fields(operator))
    for group, cls in GROUPS.items():
        parts += section(f"`{group}.`", cls, owner_fields(cls))
    return "\n\n".join(parts)


def hidden_groups() -> Iterator[str]:
    """Fields of the configuration that are groups of fields themselves."""
    yield from (group.split(".")[0] for group in (*CHOICES, *GROUPS, "augment"))


def choice(group: str, shared: type, catalogue: dict[str, Any], whose: str) -> list[str]:
    """The fields that all kinds have, then those of each kind."""
    tag = CATALOGUES[shared][0]
    parts = []
    if fields := owner_fields(shared):
        parts += section(f"`{group}.` of {whose}", shared, fields)
    if shared is Task:
        parts += section(f"`{group}.` of contrasts", ContrastFields, owner_fields(ContrastFields))
    for name, cls in catalogue.items():
        also = "Has the fields of contrasts." if issubclass(cls, ContrastiveTask) else ""
        owned = [one for base in kinds_bases(cls) for one in owner_fields(base)]
        latest = {name: (owner, name) for owner, name in owned}  # a subclass sets a default anew
        parts += section(f"`{group}.{tag}={name}`", cls, list(latest.values()), also=also)
    return parts


def kinds_bases(cls: type) -> list[type]:
    """The class and those bases whose fields have no table of their own, bases first."""
    bases = [base for base in cls.__mro__ if dataclasses.is_dataclass(base)]
    return [base for base in reversed(bases) if base not in EVERYWHERE]


def owner_fields(cls: type) -> list[tuple[type, str]]:
    """(class, field) of each field that its own body declares."""
    own = vars(cls).get("__annotations__", {})
    return [(cls, field.name) for field in dataclasses.fields(cls) if field.name in own]


def section(
    title: str,
    cls: Any,
    fields: list[tuple[type, str]],
    leave: set[str] | None = None,
    also: str = "",
) -> list[str]:
    """A heading, the first sentence of the class, and a row for each field."""
    about = [first_line(cls), links(inspect.getdoc(cls) or ""), also]
    rows = [row(owner, name) for owner, name in fields if name not in (leave or ())]
    table = [pipe_table(COLUMNS, rows)] if rows else []
    return [f"### {title}", " ".join(part for part in about if part), *table]


def row(owner: Any, name: str) -> list[str]:
    """One field of a class."""
    meaning = " ".join(docstrings(owner).get(name, "").split())
    values = shown_type(hints_of(owner)[name])
    cells = [f"`{name}`", values, default(owner, name), meaning, links(meaning)]
    return [cell.replace("|", "\\|") for cell in cells]


def first_line(cls: Any) -> str:
    return (inspect.getdoc(cls) or "").split("\n")[0]


def links(text: str) -> str:
    """The sources that a text names, papers as links."""
    found = dict.fromkeys(SOURCE.findall(" ".join(text.split())))
    return ", ".join(link(one) for one in found)


def link(source: str) -> str:
    """arXiv:2010.14395 as a link; what is neither arXiv's nor a DOI stays."""
    if source.startswith("arXiv:"):
        return f"[{source}](https://arxiv.org/abs/{source.removeprefix('arXiv:')})"
    if source.startswith("doi:"):
        return f"[{source}](https://doi.org/{source.removeprefix('doi:')})"
    return source


@functools.cache
def docstrings(cls: Any) -> dict[str, str]:
    """{field: the text below it} of a class body."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for node, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            found[node.target.id] = str(following.value.value)
    return found


def shown_type(hint: Any) -> str:
    """What may be given, in words: the values of a Literal, else the type."""
    if hint in PLAIN:
        return PLAIN[hint]
    if hint in CATALOGUES:
        return f"one of {', '.join(f'`{name}`' for name in CATALOGUES[hint][1])}"
    if dataclasses.is_dataclass(hint):
        return "a group of fields"
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        inner = next(one for one in arguments if one is not type(None))
        return f"{shown_type(inner)}, or null"
    if origin is tuple:
        return f"a list, each {shown_type(arguments[0])}"
    if origin is dict:
        return "names and values"
    return "any value"


def default(cls: Any, name: str) -> str:
    """As it would be written in YAML; `must be given` where there is none."""
    if name in required(cls):
        return "must be given"
    field = next(one for one in dataclasses.fields(cls) if one.name == name)
    made = field.default_factory
    value = field.default if made is dataclasses.MISSING else made()
    return f"`{written(to_tree(value))}`"


def written(tree: Any) -> str:
    """A plain value on one line of YAML; a text without quotes where it needs none."""
    if tree is None or tree == "":
        return "null" if tree is None else '""'
    text = yaml.safe_dump(tree, default_flow_style=True, sort_keys=False, width=10_000)
    return re.sub(r"\n(\.\.\.\n)?$", "", text)


def with_reference(page: str) -> str:
    """The page with today's tables between its two markers."""
    before, _, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page has no {START} ... {END}")
    return f"{before}{START}\n\n{field_reference()}\n\n{END}{after}"


if __name__ == "__main__":
    replace(PAGE, with_reference(PAGE.read_text(encoding="utf-8")))
    sys.stdout.write(f"-> {PAGE}\n")
