"""Everything that has a name, read from the sources: nothing is imported, so it is quick."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from experiments.config.plugin import plugin_file
from experiments.errors import UsageError
from experiments.storage.files import REPOSITORY as ROOT
from experiments.storage.yaml_file import first_line, header

CATALOGUES = {  # heading: the file that holds a catalogue, and the catalogue's name
    "operators": ("augment/__init__.py", "OPERATORS"),
    "tasks": ("models/tasks/__init__.py", "TASKS"),
    "next-item losses": ("models/losses/next_item.py", "NEXT_ITEM_LOSSES"),
    "encoders": ("models/encoders/__init__.py", "ENCODERS"),
    "baselines": ("models/baselines.py", "BASELINES"),
    "splits": ("experiments/data/splits/kinds.py", "SPLITS"),
}
PLUGIN = {  # heading: what a plug-in calls its dict
    "operators": "OPERATORS",
    "tasks": "TASKS",
    "next-item losses": "LOSSES",
    "encoders": "ENCODERS",
    "presets": "PRESETS",
    "data sets": "DATASETS",
}
YAMLS = {"presets": "presets", "data sets": "datasets", "studies": "studies"}


SHARED = {  # heading: fields that all, or many, of its entries have
    "tasks": [
        ("(every task)", "models/tasks/task.py", "Task"),
        ("(contrasts)", "models/tasks/contrast_fields.py", "ContrastFields"),
    ],
    "encoders": [("(every encoder)", "models/encoders/encoder.py", "EncoderConfig")],
}
PAPER = r"arXiv:\d{4}\.\d{4,5}|doi:[\w./-]+\w"
AUTHORS = r"[A-Z][A-Za-z]+ (?:et al\. |& [A-Z][A-Za-z]+ )?(?:19|20)\d\d"
SOURCE = re.compile(f"{PAPER}|{AUTHORS}")
WIDTH = 21  # of a name


@dataclass(frozen=True)
class Entry:
    """One name: what it is, its fields with their defaults, and where it comes from."""

    name: str
    about: str
    fields: str = ""
    source: str = ""

    def lines(self) -> list[str]:
        details = "  ".join(part for part in (self.fields, self.source) if part)
        wrapped = textwrap.wrap(details, 96 - WIDTH, break_long_words=False)
        return [
            f"  {self.name:<{WIDTH}}{self.about}".rstrip(),
            *(" " * (WIDTH + 4) + line for line in wrapped),
        ]


def listing(plugins: list[str]) -> list[str]:
    """Lines of text: a heading for each kind, then each name with its fields and source."""
    lines = []
    for heading, (file, catalogue) in CATALOGUES.items():
        entries = list(catalogue_entries(ROOT / file, catalogue))
        for plugin in plugins if heading in PLUGIN else ():
            entries += list(catalogue_entries(plugin_file(plugin), PLUGIN[heading]))
        entries += [
            class_entry(name, class_definition(parse(ROOT / place), cls))
            for name, place, cls in SHARED.get(heading, [])
        ]
        lines += section(heading, entries)
    for heading in YAMLS:
        entries = described(heading)
        for plugin in plugins if heading in PLUGIN else ():
            tree = parse(plugin_file(plugin))
            entries += [Entry(name, f"of {plugin}") for name in keys(tree, PLUGIN[heading])]
        lines += section(heading, entries)
    return lines


def described(heading: str) -> list[Entry]:
    """The files of one of YAMLS, each by the comment it begins with."""
    place = ROOT / "experiments" / YAMLS[heading]
    return [yaml_entry(path, place) for path in sorted(place.rglob("*.yaml"))]


def section(heading: str, entries: list[Entry]) -> list[str]:
    return [f"{heading}:", *(line for entry in entries for line in entry.lines())]


def catalogue_entries(file: Path, catalogue: str) -> Iterator[Entry]:
    """One for each key of a catalogue's dict literal."""
    tree = parse(file)
    for name, cls in dict_literal(tree, catalogue):
        yield class_entry(name, class_definition(tree, cls))


def class_entry(name: str, definition: ast.ClassDef | None) -> Entry:
    """From a class's docstring and dataclass fields."""
    if definition is None:
        return Entry(name, "")
    text = ast.get_docstring(definition) or ""
    fields = " ".join(f"{field}={default}" for field, default in own_fields(definition))
    return Entry(name, text.split("\n")[0], fields, source(text))


def yaml_entry(path: Path, place: Path) -> Entry:
    """From the comment a YAML file begins with; named by its path below the place."""
    comment = header(path)
    name = path.relative_to(place).with_suffix("").as_posix()
    return Entry(name, first_line(comment), "", source(comment))


def source(text: str) -> str:
    """The papers that a text names, each once: [arXiv:2010.14395]."""
    papers = dict.fromkeys(SOURCE.findall(" ".join(text.split())))
    return f"[{', '.join(papers)}]" if papers else ""


def parse(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"{file}: cannot be read as Python ({error})") from None


def dict_literal(tree: ast.Module, name: str) -> Iterator[tuple[str, str]]:
    """(key, class name) pairs of `NAME: ... = {"key": Class}`."""
    for key, value in items(tree, name):
        if isinstance(value, ast.Name):
            yield key, value.id


def keys(tree: ast.Module, name: str) -> list[str]:
    """The keys of `NAME: ... = {"key": ...}`."""
    return [key for key, _ in items(tree, name)]


def items(tree: ast.Module, name: str) -> Iterator[tuple[str, ast.expr]]:
    """(key, expression) pairs of `NAME: ... = {"key": ...}`."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        named = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if named and isinstance(value, ast.Dict):
            for key, item in zip(value.keys, value.values, strict=True):
                if isinstance(key, ast.Constant):
                    yield str(key.value), item


def class_definition(tree: ast.Module, name: str) -> ast.ClassDef | None:
    """The class in this module, or in the module of this repository it is imported from."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            file = ROOT / f"{(node.module or '').replace('.', '/')}.py"
            return class_definition(parse(file), name) if file.is_file() else None
    return None


def own_fields(definition: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """(field, default) of a dataclass body; fields of its bases are documented there."""
    for node in definition.body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        if node.value and not ast.unparse(node.annotation).startswith("ClassVar"):
            yield node.target.id, default(ast.unparse(node.value))


def default(text: str) -> str:
    """A default as a reader would write it: Made() for field(default_factory=Made)."""
    return re.sub(r"^field\(default_factory=(\w+)\)$", r"\1()", text)
