"""Everything that has a name, read from the sources: nothing is imported, so it is quick."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from experiments.errors import UsageError

ROOT = Path(__file__).parent.parent
CATALOGUES = {  # heading: the file that holds a catalogue, and the catalogue's name
    "operators": ("augment/__init__.py", "OPERATORS"),
    "tasks": ("models/tasks/__init__.py", "TASKS"),
    "next-item losses": ("models/losses/next_item.py", "NEXT_ITEM_LOSSES"),
    "encoders": ("models/encoders/__init__.py", "ENCODERS"),
    "baselines": ("models/baselines.py", "BASELINES"),
}
YAMLS = {"presets": "presets", "data sets": "datasets", "studies": "studies"}


def listing(plugins: list[Path]) -> list[str]:
    """Lines of text: a heading for each kind, then a line for each name."""
    lines = []
    for heading, (file, catalogue) in CATALOGUES.items():
        entries = list(catalogue_entries(ROOT / file, catalogue))
        for plugin in plugins:
            entries += list(catalogue_entries(plugin, catalogue))
        lines += section(heading, entries)
    for heading, folder in YAMLS.items():
        paths = sorted((ROOT / "experiments" / folder).rglob("*.yaml"))
        lines += section(heading, [(path.stem, first_comment(path)) for path in paths])
    return lines


def section(heading: str, entries: list[tuple[str, str]]) -> list[str]:
    return [f"{heading}:", *(f"  {name:<18}{about}".rstrip() for name, about in entries)]


def catalogue_entries(file: Path, catalogue: str) -> Iterator[tuple[str, str]]:
    """(name, "claim  field=default ...") for each entry of a catalogue's dict literal."""
    tree = parse(file)
    for name, cls in dict_literal(tree, catalogue):
        definition = class_definition(tree, cls)
        if definition is None:
            yield name, ""
            continue
        about = (ast.get_docstring(definition) or "").split("\n")[0]
        fields = " ".join(f"{field}={default}" for field, default in own_fields(definition))
        yield name, f"{about}  {fields}".rstrip()


def parse(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise UsageError(f"{file}: cannot be read as Python ({error})") from None


def dict_literal(tree: ast.Module, name: str) -> Iterator[tuple[str, str]]:
    """(key, class name) pairs of `NAME: ... = {"key": Class}`."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        named = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if named and isinstance(value, ast.Dict):
            for key, item in zip(value.keys, value.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(item, ast.Name):
                    yield str(key.value), item.id


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
        if not isinstance(node, ast.AnnAssign) or "ClassVar" in ast.unparse(node.annotation):
            continue
        if isinstance(node.target, ast.Name) and node.value:
            yield node.target.id, ast.unparse(node.value)


def first_comment(path: Path) -> str:
    """A YAML file's first line, which says what it is."""
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
