"""README's examples are run as they stand."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.cli.main import main
from tests.experiments.small_data import planted, write_text

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
TINY = [
    "--track.mode=disabled",
    "--epochs=1",
    "--encoder.dim=8",
    "--encoder.layers=1",
    "--encoder.inner=8",
    "--encoder.max_length=10",
    "--train.batch_size=512",
]


@pytest.mark.parametrize("dataset", ["planted", pytest.param("ml-100k", marks=pytest.mark.slow)])
def test_the_task_from_outside_the_repository_trains(dataset: str, tmp_path: Path) -> None:
    from augment import OPERATORS
    from models.tasks import TASKS

    plugin = tmp_path / "my_tasks.py"
    plugin.write_text(next(block for block in BLOCKS if block.startswith("# my_tasks.py")))
    text = (ROOT / "README.md").read_text()
    contrast = re.search(r"--plugin my_tasks.py .*?--contrast='(.*?)'", text, re.S)
    assert contrast is not None
    command = ["train", "--plugin", str(plugin), "--model", "sasrec", "--out", str(tmp_path / "o")]
    if dataset == "planted":
        write_text(tmp_path, "planted", planted())
        command += ["--dataset", "planted", "--data-dir", str(tmp_path)]
    try:
        assert main([*command, f"--contrast={contrast[1]}", *TINY]) == 0
    finally:
        OPERATORS.pop("drop_first", None)
        TASKS.pop("earlier_self", None)
    history = (tmp_path / "o" / "history.jsonl").read_text()
    assert "contrast/earlier_self/accuracy" in history
    assert "contrast/augmented_views/identity_rate/drop_first" in history


def method_commands() -> list[str]:
    """The commands under Methods that train or inspect, as they stand."""
    text = (ROOT / "README.md").read_text().split("## Methods")[1].split("## Speed")[0]
    block = re.findall(r"```\n(.*?)```", text, re.S)[0]
    return [line.removeprefix("python run.py ") for line in block.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("command", method_commands())
def test_every_command_under_methods_runs(command: str, tmp_path: Path) -> None:
    out = [] if command.startswith("inspect") else ["--out", str(tmp_path / "run"), *TINY]
    assert main([*shlex.split(command), *out]) == 0


@pytest.mark.slow
def test_the_contract_tests_run_on_the_task_from_outside(tmp_path: Path) -> None:
    plugin = tmp_path / "my_tasks.py"
    plugin.write_text(next(block for block in BLOCKS if block.startswith("# my_tasks.py")))
    contract = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract"]
    done = subprocess.run(
        [*contract, "--plugin", str(plugin), "-k", "drop_first or earlier_self", "-v"],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    for name in ("test_operators.py", "test_tasks.py"):
        assert name in done.stdout


@pytest.mark.slow
def test_the_model_trains_in_recboles_own_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    block = next(block for block in BLOCKS if "data_preparation" in block)
    scope: dict[str, object] = {}
    short = block.replace('"epochs": 2', '"epochs": 1').replace("    50,\n", "    5,\n")
    assert short.count("    5,\n") == 1  # histories of 5 items: RecBole makes 97,171 rows
    exec(compile(short, "README.md", "exec"), scope)
    assert "trainer" in scope


def test_every_command_of_the_table_exists() -> None:
    commands = set(re.findall(r"run\.py (\w+)", (ROOT / "README.md").read_text()))
    for command in commands:
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0
