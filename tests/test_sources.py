"""Nothing in the sources runs what was read: no eval, no shell, no pickle, no unsafe loader."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [
    ROOT / "run.py",
    *(
        path
        for package in ("augment", "models", "experiments")
        for path in (ROOT / package).rglob("*.py")
    ),
]
NEVER = {  # by this name, or as part of builtins
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv", "os.spawnv",
    "pickle.load", "pickle.loads", "marshal.load", "marshal.loads", "shelve.open", "dill.load",
    "joblib.load", "pd.read_pickle", "pandas.read_pickle", "yaml.load", "yaml.load_all",
    "yaml.full_load", "yaml.unsafe_load", "subprocess.getoutput", "subprocess.getstatusoutput",
}  # fmt: skip
MODULES = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib"}
GUARDED = {"os", "subprocess", "yaml", "torch", "builtins"}  # no other name for them
LOADERS = {"load", "load_all", "full_load", "unsafe_load", "serialization"}
KEYWORDS = {  # call: the keyword it must have
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}


def name_of(node: ast.expr) -> str:
    """os.path.join for that expression; "" for what is no dotted name."""
    if isinstance(node, ast.Name):
        return node.id
    inner = name_of(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner and isinstance(node, ast.Attribute) else ""


def keyword(call: ast.Call, name: str) -> object:
    """The constant given for a keyword; None where there is none."""
    values = [entry.value for entry in call.keywords if entry.arg == name]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


def takes_a_loader(node: ast.ImportFrom) -> bool:
    """from torch import load, and the like."""
    root = (node.module or "").split(".")[0]
    return root in {"yaml", "torch", "numpy"} and bool(LOADERS & {a.name for a in node.names})


def unsafe_calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of each."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and MODULES & {alias.name for alias in node.names}:
            yield node.lineno, "import"
        if isinstance(node, ast.ImportFrom) and node.module in (*MODULES, "os", "subprocess"):
            yield node.lineno, f"from {node.module}"  # its calls would go unnoticed below
        if isinstance(node, ast.ImportFrom) and takes_a_loader(node):
            yield node.lineno, "a loader without its module"
        if isinstance(node, ast.Import) and any(a.asname and a.name in GUARDED for a in node.names):
            yield node.lineno, "another name"
        if not isinstance(node, ast.Call):
            continue
        name = name_of(node.func).removeprefix("builtins.")
        name = name.replace("torch.serialization.", "torch.")
        wanted = KEYWORDS.get(name)
        if name in NEVER or keyword(node, "shell") is True or keyword(node, "allow_pickle") is True:
            yield node.lineno, name
        elif wanted and keyword(node, wanted[0]) is not wanted[1]:
            yield node.lineno, f"{name} without {wanted[0]}={wanted[1]}"


@pytest.mark.parametrize("path", SOURCES, ids=[str(p.relative_to(ROOT)) for p in SOURCES])
def test_nothing_that_was_read_can_run(path: Path) -> None:
    found = list(unsafe_calls(ast.parse(path.read_text(encoding="utf-8"))))
    assert found == [], f"{path}: {found}"


@pytest.mark.parametrize(
    "line",
    [
        "eval('1')",
        "exec('1')",
        "os.system('x')",
        "subprocess.run('x', shell=True)",
        "pickle.load(file)",
        "import pickle",
        "from pickle import load",
        "from os import system",
        "from torch import load",
        "from yaml import unsafe_load",
        "import subprocess as sp",
        "builtins.eval('1')",
        "torch.serialization.load(path)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, yaml.SafeLoader)",
        "f(np.lib.format.read_array(file, allow_pickle=True))",
    ],
)
def test_every_way_to_run_it_is_found(line: str) -> None:
    assert len(list(unsafe_calls(ast.parse(line)))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "model.eval()",
        "re.compile('x')",
        "torch.load(path, map_location='cpu', weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "subprocess.run(['x'])",
        "yaml.safe_load(text)",
    ],
)
def test_what_is_safe_is_left_alone(line: str) -> None:
    assert list(unsafe_calls(ast.parse(line))) == []


def test_yaml_of_users_is_read_in_one_place_only() -> None:
    """With its bounds.  RecBole's own YAML, which is installed, is the exception."""
    using = [
        path
        for path in SOURCES
        if any(
            isinstance(node, ast.Attribute) and node.attr in ("safe_load", "SafeLoader")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    ]
    assert len([path for path in using if path.parent.name != "recbole"]) == 1
