"""Who may import whom, read from the source: augment <- models <- experiments <- run.py."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("augment", "models", "experiments")
ALLOWED = {
    "augment": {"augment", "torch", "numpy", "scipy"},
    "models": {"models", "augment", "torch", "numpy", "recbole"},
}


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The top-level packages a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.add(str(node.module).partition(".")[0])
    return found - sys.stdlib_module_names


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    assert modules(package)
    above = {str(path): imported(path) - ALLOWED[package] for path in modules(package)}
    assert {path: names for path, names in above.items() if names} == {}


def test_run_py_imports_only_experiments() -> None:
    assert imported(ROOT / "run.py") == {"experiments"}


def test_only_one_file_imports_wandb() -> None:
    files = [path for package in PACKAGES for path in modules(package)]
    using = [path.relative_to(ROOT).as_posix() for path in files if "wandb" in imported(path)]
    assert using == ["experiments/track.py"]


def test_the_command_line_answers_before_anything_heavy_is_imported() -> None:
    code = (
        "import sys, experiments.cli; "
        "print({'torch', 'recbole', 'wandb', 'pandas', 'numpy', 'scipy'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("set()\n", "")


def test_every_module_is_named_for_what_is_in_it() -> None:
    files = [path for folder in (*PACKAGES, "tests") for path in modules(folder)]
    paths = [path.relative_to(ROOT).with_suffix("") for path in files]
    names = {part.lower() for path in paths for part in path.parts}
    assert names & {"utils", "util", "helpers", "helper", "common", "misc"} == set()
