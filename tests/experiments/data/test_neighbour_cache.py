"""A table that was counted before is the table that would be counted now."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from augment import TrainHistories
from augment.correlation import counted_neighbours
from augment.neighbours import Neighbours
from experiments.config.resolve import resolve
from experiments.data import neighbour_cache
from experiments.data.neighbour_cache import cached_neighbours, key
from experiments.training.run import prepare
from tests.experiments.small_data import planted, write_text

TRAIN = TrainHistories(torch.tensor([1, 2, 3, 1, 2, 4, 2, 5]), torch.tensor([0, 3, 6, 8]), 6)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(neighbour_cache, "FOLDER", tmp_path / "cache")
    return tmp_path / "cache"


def assert_equal(one: Neighbours, other: Neighbours) -> None:
    for field in fields(Neighbours):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert a.dtype == b.dtype
        assert torch.equal(a, b), field.name


def test_what_is_kept_is_what_was_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = counted_neighbours(TRAIN, 2, "cosine_iuf")
    assert_equal(cached_neighbours(TRAIN, 2, "cosine_iuf"), counted)
    assert len(list(folder.iterdir())) == 1
    monkeypatch.setattr(neighbour_cache, "counted_neighbours", None)  # nothing is counted again
    assert_equal(cached_neighbours(TRAIN, 2, "cosine_iuf"), counted)


def test_a_run_keeps_what_its_operators_and_its_augmented_input_read(
    folder: Path, tmp_path: Path
) -> None:
    write_text(tmp_path, "planted", planted())
    for model in ("coserec", "augment-only"):
        fields = [("model", model), ("dataset", "planted"), ("data_dir", str(tmp_path))]
        prepare(*resolve(None, fields))
    assert len(list(folder.iterdir())) == 1  # both count the same


def test_other_data_or_another_question_has_a_file_of_its_own() -> None:
    items = TRAIN.items.clone()
    items[-1] = 6
    others = [
        key(replace(TRAIN, items=items), 2, "cosine"),
        key(replace(TRAIN, offsets=torch.tensor([0, 2, 6, 8])), 2, "cosine"),
        key(replace(TRAIN, num_items=7), 2, "cosine"),
        key(TRAIN, 3, "cosine"),
        key(TRAIN, 2, "cooccurrence"),
    ]
    assert len({*others, key(TRAIN, 2, "cosine")}) == 6


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"\x80\x04K\x01."])
def test_a_damaged_file_is_counted_again(folder: Path, content: bytes) -> None:
    cached_neighbours(TRAIN, 2, "cosine")
    (file,) = folder.iterdir()
    file.write_bytes(content)
    assert_equal(cached_neighbours(TRAIN, 2, "cosine"), counted_neighbours(TRAIN, 2, "cosine"))
    assert file.read_bytes() != content


def test_nothing_is_kept_where_nothing_can_be_written(folder: Path) -> None:
    folder.write_text("a file in the folder's place")
    assert_equal(cached_neighbours(TRAIN, 2, "cosine"), counted_neighbours(TRAIN, 2, "cosine"))
