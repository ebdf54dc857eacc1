"""Read YAML of keys and values: plain ones only, each key once, within bounds."""

from __future__ import annotations

import copy
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import yaml

from experiments.errors import UsageError
from experiments.storage.files import opened

MOST_BYTES = 1_000_000
MOST_VALUES = 10_000  # with what aliases repeat
MOST_LEVELS = 40
LONGEST_NUMBER = 100  # characters; Python would turn a megabyte of digits into one integer
PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")


def read_tree(path: Path, exponents: bool = False) -> dict[str, Any]:
    """A YAML file of keys and values, safely loaded.

    exponents: 1e-3 is a number, as whoever types it means; PyYAML writes such a text as it is.
    Errors: UsageError for a file that is unreadable, not YAML, or beyond the bounds above, and
    for a key that comes twice.
    """
    with opened(path) as file:
        raw = file.read(MOST_BYTES + 1)
    try:
        tree = copy.deepcopy(parsed(raw, str(path), exponents))
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(tree, dict):
        raise UsageError(f"{path}: expected keys and values, got {type(tree).__name__}")
    return tree


def check_tree(tree: Any, where: str) -> dict[str, Any]:
    """Keys and values that were written in Python, as `read_tree` would give them.

    Errors: UsageError that begins with `where` for anything that no YAML file can hold.
    """
    if not isinstance(tree, dict):
        raise UsageError(f"{where}: expected keys and values, got {type(tree).__name__}")
    try:
        read: dict[str, Any] = parse(yaml.safe_dump(tree, sort_keys=False), where)
    except yaml.YAMLError as error:
        raise UsageError(f"{where}: holds what no YAML can ({error.args[-1]!r})") from None
    return read


@lru_cache(maxsize=64)
def parsed(raw: bytes, where: str, exponents: bool) -> Any:
    """As `parse`; a thousand trials read the same few presets."""
    return parse(raw, where, exponents)


def parse(text: str | bytes, where: str, exponents: bool = False) -> Any:
    """One YAML value: null, true, 3, 0.1, a text, a list, keys and values.  A date is a text.

    exponents: as in `read_tree`.
    Errors: yaml.YAMLError for what is not YAML; UsageError that begins with `where` for a key
    that comes twice and for what is beyond the bounds.
    """
    if len(text) > MOST_BYTES:
        raise UsageError(f"{where}: is longer than {MOST_BYTES:,} bytes")
    loader = (ExponentLoader if exponents else BoundedLoader)(text)
    loader.where = where
    try:
        return loader.get_single_data()
    except (ValueError, LookupError) as error:  # !!int x, !!bool x
        raise yaml.YAMLError(f"a value is not of its type: {error}") from None
    finally:
        loader.dispose()


def plain(text: str, field: str = "value") -> Any:
    """A value as YAML reads it: 3, 0.1, 1e-3, true, null, [crop, mask], or a text; no comments.

    Errors: UsageError that names the field for a key that comes twice, or endless values.
    """
    try:
        value = parse(text, f"--{field}", exponents=True) if text else text
    except yaml.YAMLError:
        return text
    is_cut = isinstance(value, str) and " #" in text and text[0] not in "'\"|>"
    return text if is_cut else value


def as_text(value: Any) -> str:
    """What `plain` reads as this value: a text that looks like a number is quoted."""
    return value if isinstance(value, str) and plain(value) == value else json.dumps(value)


def header(path: Path) -> str:
    """The comment lines of a YAML file of this repository, which say what it is."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line.startswith("#"))


def first_line(comment: str) -> str:
    """What a header says in one line."""
    return comment.split("\n")[0].removeprefix("#").strip()


class BoundedLoader(yaml.SafeLoader):
    """SafeLoader that counts: a few aliases of aliases would else expand to billions of values."""

    yaml_constructors: ClassVar = {
        tag: make
        for tag, make in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in PLAIN
    }
    yaml_implicit_resolvers: ClassVar = {  # type: ignore[misc]  # PyYAML has it on the class
        first: [(tag, form) for tag, form in forms if not tag.endswith(":timestamp")]
        for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    where = ""

    def __init__(self, text: str | bytes) -> None:
        super().__init__(text)
        self.level = 0
        self.begun = 0
        self.values: dict[yaml.Node, int] = {}  # in each finished node, aliases expanded

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        alias = self.check_event(yaml.AliasEvent)
        self.begun += 1
        if self.begun > MOST_VALUES:
            raise self.refused(f"holds more than {MOST_VALUES:,} values")
        self.level += 1
        if self.level > MOST_LEVELS:
            raise self.refused(f"is nested deeper than {MOST_LEVELS} levels")
        node = super().compose_node(parent, index)
        self.level -= 1
        if node is not None and not alias:
            self.finish(node)
        elif node is not None and node not in self.values:
            raise self.refused("an alias stands inside what it names")
        return node

    def finish(self, node: yaml.Node) -> None:
        """Count what is below a composed node, and check it."""
        if isinstance(node, yaml.ScalarNode):
            self.check_scalar(node)
        below = [] if isinstance(node, yaml.ScalarNode) else list(node.value)
        if isinstance(node, yaml.MappingNode):
            self.check_keys(node)
            below = [part for pair in node.value for part in pair]
        self.values[node] = 1 + sum(self.values[part] for part in below)
        if self.values[node] > MOST_VALUES:
            raise self.refused(f"holds more than {MOST_VALUES:,} values", node)

    def check_scalar(self, node: yaml.ScalarNode) -> None:
        if node.tag.endswith((":int", ":float")) and len(node.value) > LONGEST_NUMBER:
            raise self.refused(f"a number of {len(node.value):,} characters", node)
        if any("\ud800" <= character <= "\udfff" for character in node.value):
            raise self.refused("a text holds half a character (a lone surrogate)", node)

    def check_keys(self, node: yaml.MappingNode) -> None:
        """PyYAML keeps the last of equal keys, silently."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise self.refused(f"the key {key.value!r} is there twice; keep one", key)
                seen.add((key.tag, key.value))

    def refused(self, problem: str, node: yaml.Node | None = None) -> UsageError:
        mark = self.get_mark() if node is None else node.start_mark
        return UsageError(f"{self.where} line {mark.line + 1}: {problem}")


class ExponentLoader(BoundedLoader):
    """As YAML 1.2 has it; in YAML 1.1, 1e-3 and 1.0e3 are texts."""


ExponentLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)
