"""Every raw file that is known by its name is read in exactly its form."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.cli.main import main
from experiments.data.catalogue import load, locate
from experiments.data.conversion.convert import convert
from experiments.data.declaration import read_declaration
from experiments.data.known import FOLDER, declared, families, known
from experiments.data.reading.parquet_rows import INSTALL
from experiments.errors import UsageError
from tests.experiments.data.conversion.raw_files import CASES, REVIEW, RawCase, rows
from tests.experiments.small_data import FAST


def converted(case: RawCase, folder: Path) -> list[str]:
    """Convert a case, or skip it where parquet cannot be read."""
    if any(callable(content) for content in case.files.values()):
        pytest.importorskip("pyarrow", reason=INSTALL)
    return convert(case.name, case.write(folder / "raw"), folder / "data", case.options)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_raw_file_becomes_the_interactions_that_it_says(case: RawCase, tmp_path: Path) -> None:
    lines = converted(case, tmp_path)
    users, items, interactions = case.kept
    assert f"kept: {users} users, {items} items, {interactions} interactions" in lines
    written = (tmp_path / "data" / case.name / f"{case.name}.inter").read_text().splitlines()
    fields = [line.split("\t") for line in written[1:]]
    assert [tuple(f[1:]) for f in fields if f[0] == fields[0][0]] == case.first
    found = load(locate(case.name, tmp_path / "data"))
    assert (found.num_users, found.num_items, len(found.items)) == case.kept
    assert found.titles == case.titles


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_written_repeats_its_recipe(case: RawCase, tmp_path: Path) -> None:
    converted(case, tmp_path)
    made = yaml.safe_load((tmp_path / "data" / case.name / f"{case.name}.yaml").read_text())
    assert made["recipe"]["name"] == case.name
    assert set(made["recipe"]) >= {"source", "sha256"}
    assert [made[key] for key in ("users", "items", "interactions")] == list(case.kept)
    own = declared(case.name)
    assert (made["examples"], made["max_length"]) == (own.examples, own.max_length)
    assert made["defaults"] == own.defaults


def trained(case: RawCase, folder: Path) -> dict[str, Any]:
    """Convert a case, train an epoch of a tiny model on it, and return the run's configuration."""
    converted(case, folder)
    small = [*FAST, "--encoder.dropout=0", "--model", "sasrec", "--epochs", "1"]
    command = ["train", "--dataset", case.name, "--data-dir", str(folder / "data"), *small]
    assert main([*command, "--out", str(folder / "run")]) == 0
    config: dict[str, Any] = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    return config


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_model_trains_on_it_as_on_the_data_set(case: RawCase, tmp_path: Path) -> None:
    assert trained(case, tmp_path)["examples"] == declared(case.name).examples


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("amazon-2014-Beauty", "reviews_Beauty_5.json"),
        ("amazon-2014-beauty", "reviews_Beauty.json"),
        ("amazon-2018-All_Beauty", "All_Beauty_5.json"),
        ("amazon-2018-beauty", "All_Beauty.json"),
    ],
)
def test_reviews_are_filtered_to_the_5_core_whatever_the_file_is_called(
    name: str, file: str, tmp_path: Path
) -> None:
    core = [f"u{user} i{item} {978300000 + item}" for user in range(5) for item in range(5)]
    (tmp_path / file).write_text(rows(REVIEW, *core))
    whole = convert(name, tmp_path / file, tmp_path / "whole")
    (tmp_path / file).write_text(rows(REVIEW, *core, "rare i1 978300009", "u1 rare 978300009"))
    lines = convert(name, tmp_path / file, tmp_path / "more")
    for found in (whole, lines):
        assert "kept: 5 users, 5 items, 25 interactions" in found


def test_every_recipe_has_a_case() -> None:
    tried = [case.name for case in CASES]
    for name in [*known(), *families()]:
        start = name.removesuffix("CATEGORY")
        if read_declaration(FOLDER / f"{name}.yaml").raw:
            assert any(other.startswith(start) for other in tried), name


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "listens.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match=r"pip install -e .\[parquet\]"):
        convert("yambda", tmp_path / "listens.parquet", tmp_path / "data")
    assert not (tmp_path / "data").exists()
