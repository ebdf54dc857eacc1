"""Every encoder goes with every data set, whatever defaults the data set's file gives another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.config.resolve import resolve
from experiments.config.run_config import Config, config_from_tree, config_tree
from experiments.data.declaration import read_declaration
from experiments.data.known import FOLDER, known
from models.encoders import ENCODERS
from tests.experiments.small_data import planted, write_text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every known data set's file is there; that it is the right one is seen when it is read."""
    place = tmp_path_factory.mktemp("data")
    for name in known():
        file = read_declaration(FOLDER / f"{name}.yaml").file
        if file is not None:
            write_text(place, name, planted(3)).rename(place / file)
    return place


def configured(folder: Path, name: str, *fields: tuple[str, Any]) -> Config:
    declaration = read_declaration(FOLDER / f"{name}.yaml")
    place = [("data_dir", str(folder))] if (folder / str(declaration.file)).exists() else []
    return resolve(None, [("dataset", name), *place, *fields])[0]


@pytest.mark.parametrize("name", known())
@pytest.mark.parametrize("kind", ENCODERS)
def test_every_encoder_goes_with_every_data_set(kind: str, name: str, folder: Path) -> None:
    rows = [] if ENCODERS[kind].causal else [("examples", "prefixes")]
    config = configured(folder, name, ("encoder.kind", kind), *rows)
    assert isinstance(config.encoder, ENCODERS[kind])
    assert config.encoder.max_length == read_declaration(FOLDER / f"{name}.yaml").max_length
    tree = config_tree(config)
    assert tree["encoder"]["kind"] == kind
    assert config_tree(config_from_tree(tree)) == tree


@pytest.mark.parametrize("name", known())
def test_naming_the_encoder_that_a_data_set_was_tuned_for_changes_nothing(
    name: str, folder: Path
) -> None:
    tuned = config_tree(configured(folder, name))["encoder"]
    named = configured(folder, name, ("encoder.kind", tuned["kind"]))
    assert config_tree(named)["encoder"] == tuned
