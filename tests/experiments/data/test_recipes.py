"""Every raw file that is known by its name is read in exactly its form."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from experiments.data.catalogue import load, locate
from experiments.data.convert import convert
from experiments.data.declaration import read_declaration
from experiments.data.known import FOLDER, families, known
from experiments.data.parquet_rows import INSTALL
from experiments.errors import UsageError
from tests.experiments.data.raw_files import CASES, RawCase


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
    declared = yaml.safe_load((tmp_path / "data" / case.name / f"{case.name}.yaml").read_text())
    assert declared["recipe"]["name"] == case.name
    assert set(declared["recipe"]) >= {"source", "sha256"}
    assert [declared[key] for key in ("users", "items", "interactions")] == list(case.kept)
    own = read_declaration_of(case.name)
    assert (declared["examples"], declared["max_length"]) == (own.examples, own.max_length)
    assert declared["defaults"] == own.defaults


def read_declaration_of(name: str):  # type: ignore[no-untyped-def]
    from experiments.data.catalogue import declared

    return declared(name)


def test_every_recipe_has_a_case() -> None:
    with_recipe = {
        name for name in [*known(), *families()] if read_declaration(FOLDER / f"{name}.yaml").raw
    }
    tried = {case.name for case in CASES}
    assert {
        name
        for name in with_recipe
        if not any(t.startswith(name.split("CATEGORY")[0]) for t in tried)
    } == set()


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "listens.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match=r"pip install -e .\[parquet\]"):
        convert("yambda", tmp_path / "listens.parquet", tmp_path / "data")
    assert not (tmp_path / "data").exists()
