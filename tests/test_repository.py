"""What is committed: sources and the record, exact requirements, no data, nothing heavy."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RECORD = re.compile(r"experiments/results/(quick/)?[\w-]+\.jsonl")
HEAVY = 200_000  # bytes
SMALL_DATA = 4_000  # bytes; an example at most
DATA = (
    ".txt", ".inter", ".item", ".csv", ".tsv", ".npy", ".npz", ".pt", ".pth", ".ckpt", ".pkl",
    ".safetensors", ".gz", ".zip", ".parquet", ".onnx",
)  # fmt: skip
PIN = re.compile(
    r"(?P<name>[A-Za-z][\w.-]*)==(?P<version>\d[\w.]*)"
    r"(; python_version (?P<sign><|>=) \"\d\.\d+\")?"
)


def committed() -> list[Path]:
    """The files git knows; skips where there is no git checkout."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def requirements() -> list[str]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").open())
    return [line for line in lines if line]


@pytest.mark.parametrize("line", requirements())
def test_every_requirement_is_an_exact_version(line: str) -> None:
    assert PIN.fullmatch(line)


def test_no_package_is_required_twice_for_one_python() -> None:
    pins = [PIN.fullmatch(line) for line in requirements()]
    keys = [(pin["name"].lower(), pin["sign"]) for pin in pins if pin]
    assert len(set(keys)) == len(keys)
    for name, sign in keys:
        others = {other for also, other in keys if also == name}
        assert others == ({None} if sign is None else {"<", ">="})


def test_there_is_a_licence() -> None:
    assert len((ROOT / "LICENSE").read_text()) > 500


def test_nothing_heavy_is_committed_but_the_record() -> None:
    paths = [path for path in committed() if not RECORD.fullmatch(name_of(path))]
    assert {
        name_of(path): path.stat().st_size for path in paths if path.stat().st_size > HEAVY
    } == {}


def test_no_data_and_no_weights_are_committed() -> None:
    paths = [
        path for path in committed() if path.suffix in DATA and path.stat().st_size > SMALL_DATA
    ]
    assert [name_of(path) for path in paths] == []


def test_no_link_leads_out_of_the_repository() -> None:
    assert [name_of(path) for path in committed() if path.is_symlink()] == []


@pytest.mark.parametrize(
    "made",
    [
        "runs/a/config.yaml", "data/Beauty.txt", ".cache/x.npz", "experiments/.cache/x",
        "wandb/run",
        "runs/a/wandb/x", "__pycache__/x.pyc", ".venv/x", ".hypothesis/x", ".mypy_cache/x",
    ],
)  # fmt: skip
def test_what_runs_make_is_ignored(made: str) -> None:
    committed()  # skips where there is no git checkout
    command = ["git", "-C", str(ROOT), "check-ignore", "--quiet", "--no-index", made]
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize(
    "kept", ["experiments/data/reading/read.py", "experiments/results/planted.jsonl"]
)
def test_what_belongs_here_is_not_ignored(kept: str) -> None:
    committed()
    command = ["git", "-C", str(ROOT), "check-ignore", "--quiet", "--no-index", kept]
    assert subprocess.run(command, check=False).returncode == 1


def test_an_installation_finds_every_package_and_the_command() -> None:
    """`pip install -e .`, which `seqcontrast` comes with."""
    text = (ROOT / "pyproject.toml").read_text()
    command = re.search(r'^seqcontrast = "([\w.]+):(\w+)"$', text, re.M)
    included = re.search(r"^include = \[(.*)\]$", text, re.M)
    assert command is not None
    assert included is not None
    assert callable(getattr(importlib.import_module(command[1]), command[2]))
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert {name.strip('*" ') for name in included[1].split(",")} == packages
