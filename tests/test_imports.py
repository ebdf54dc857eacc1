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


FLOORS = (  # of experiments/, the ground first: a room imports only from floors below its own
    {"dotted", "errors", "metric_names", "terminal"},
    {"aliases"},
    {"tracking"},
    {"storage"},
    {"data"},
    {"config"},
    {"evaluation", "recbole"},
    {"training"},
    {"planted", "record"},
    {"report"},
    {"bench", "runs", "study"},
    {"cli"},
)


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path, everything: bool = False) -> set[str]:
    """The top-level packages a file imports, anywhere in it; Python's own where asked for."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.add(str(node.module).partition(".")[0])
    return found if everything else found - sys.stdlib_module_names


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    assert modules(package)
    above = {str(path): imported(path) - ALLOWED[package] for path in modules(package)}
    assert {path: names for path, names in above.items() if names} == {}


def imported_modules(path: Path) -> set[str]:
    """The modules of this repository that a file imports, anywhere in it, as dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & MODULES.keys()


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for package in PACKAGES for path in modules(package)}


def test_a_room_of_experiments_imports_only_from_floors_below_its_own() -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    upward = [
        f"{module} imports {other}"
        for module, path in MODULES.items()
        if module.startswith("experiments.")
        for other in imported_modules(path)
        if other.startswith("experiments.")
        and (there := other.split(".")[1]) != (here := module.split(".")[1])
        and floor[there] >= floor[here]
    ]
    assert upward == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    waiting = {module: imported_modules(path) - {module} for module, path in MODULES.items()}
    while free := {module for module, needs in waiting.items() if not needs & waiting.keys()}:
        waiting = {module: needs for module, needs in waiting.items() if module not in free}
    assert sorted(waiting) == []


def test_few_files_lie_flat_in_experiments() -> None:
    assert len(list((ROOT / "experiments").glob("*.py"))) <= 6


def test_run_py_imports_only_experiments() -> None:
    assert imported(ROOT / "run.py") == {"experiments"}


def test_neither_operators_nor_models_touch_files() -> None:
    files = {"os", "pathlib", "shutil", "tempfile", "zipfile"}
    below = [*modules("augment"), *modules("models")]
    assert {dotted(path) for path in below if files & imported(path, everything=True)} == set()


def test_only_tracking_imports_wandb() -> None:
    using = {
        module.rpartition(".")[0] for module, path in MODULES.items() if "wandb" in imported(path)
    }
    assert using == {"experiments.tracking"}


def test_only_the_plug_knows_recbole_below_experiments() -> None:
    below = [*modules("augment"), *modules("models")]
    using = {dotted(path) for path in below if "recbole" in imported(path)}
    assert using == {"models.recbole_plug"}


def test_the_command_line_answers_before_anything_heavy_is_imported() -> None:
    code = (
        "import sys, experiments.cli.main; "
        "print({'torch', 'recbole', 'wandb', 'pandas', 'numpy', 'scipy'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("set()\n", "")


def test_every_module_is_named_for_what_is_in_it() -> None:
    files = [path for folder in (*PACKAGES, "tests") for path in modules(folder)]
    paths = [path.relative_to(ROOT).with_suffix("") for path in files]
    names = {part.lower() for path in paths for part in path.parts}
    assert names & {"utils", "util", "helpers", "helper", "common", "misc"} == set()
