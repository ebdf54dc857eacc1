"""Terminals and locales that know no Chinese: what can be printed is, and files are UTF-8."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.experiments.small_data import FAST, planted

ROOT = Path(__file__).parents[3]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
CP1252 = {"PYTHONIOENCODING": "cp1252"}
USER, FILM = "用户", "电影"
STUDY = "# 问题: {}\nbase: popularity\ndatasets: [cjk]\nseeds: [0]\n"


ONE_BY_ONE = (
    "import json, sys; from experiments.cli.main import main; "
    "sys.exit(max(main(command) for command in json.loads(sys.argv[1])))"
)


def ran(environment: dict[str, str], *commands: list[str]) -> str:
    """What they printed, one after the other in one process; they must end well."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("LC_ALL", "LANG", "LC_CTYPE")}
    done = subprocess.run(
        [sys.executable, "-c", ONE_BY_ONE, json.dumps(commands)], cwd=ROOT,
        env={**inherited, **environment}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode("ascii", "replace")
    return done.stdout.decode("ascii")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cjk")
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user, items in enumerate(planted()):
        lines += [f"{USER}{user}\t{FILM}{item}\t{place}" for place, item in enumerate(items)]
    (folder / "cjk.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "question.yaml").write_text(STUDY.format("which?"), encoding="utf-8")
    return folder


def where(data: Path) -> list[str]:
    return ["--dataset", "cjk", "--data-dir", str(data)]


@pytest.mark.slow
@pytest.mark.parametrize("environment", [CP1252, ASCII], ids=["cp1252", "ascii"])
def test_every_command_prints_what_can_be_printed(environment, data: Path, tmp_path: Path) -> None:
    run, table = tmp_path / "run", tmp_path / "all.csv"
    commands = [
        ["train", "--model=sasrec", *where(data), "--epochs=1", f"--out={run}", *FAST],
        ["recommend", str(run), "--user", f"{USER}1", "-k", "2"],
        ["recommend", str(run), "--all", "--to", str(table)],
        ["evaluate", str(run)],
        ["inspect", *where(data), *FAST],
        ["study", str(data / "question.yaml"), "--data-dir", str(data),
         "--out", str(tmp_path / "study"), "--workers", "1"],
    ]  # fmt: skip
    if environment is ASCII:  # the names of files and what stands in them: RecBole's own, too
        hosted = [f"--out={tmp_path / 'hosted'}", "--track.mode=disabled"]
        commands.append(["train", "--model=recbole:SASRec", *where(data), "--epochs=1", *hosted])
    said = ran(environment, *commands)
    assert "user \\u7528\\u62371\n" in said
    assert "\\u7535\\u5f71" in said
    assert "\\u95ee\\u9898" in said  # the study's question
    assert pd.read_csv(table, encoding="utf-8")["user"][0].startswith(USER)


def test_a_file_that_the_locale_cannot_name_is_told_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "run.py", "evaluate", str(tmp_path / FILM)], cwd=ROOT,
        env={**os.environ, **ASCII}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: ")
    assert done.stderr.count(b"\n") == 1
