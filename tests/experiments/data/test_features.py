"""Item features from files: the right vector for the right item, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from experiments.data.bags import bag_vectors, words
from experiments.data.catalogue import DatasetSpec, load, locate
from experiments.data.features import files_sha256, read_features
from experiments.errors import UsageError
from experiments.training.build import with_features
from models.tasks import Alignment, ItemFeatures
from tests.experiments.small_data import histories_of

HISTORIES = histories_of([[3, 1, 2], [2, 4, 1]])  # ids are "1" to "4"
VECTORS = np.arange(1, 9, dtype=np.float32).reshape(4, 2)


def read(folder: Path, source: str, most: int = 64) -> ItemFeatures:
    spec = DatasetSpec("shop", folder / "shop.txt")
    return read_features(source, most, HISTORIES, spec, "contrast.it.features")


def refused(folder: Path, source: str) -> str:
    with pytest.raises(UsageError) as raised:
        read(folder, source)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("padding", [0, 1])
def test_a_matrix_has_a_row_for_each_item(padding: int, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.concatenate([np.full((padding, 2), 7.0), VECTORS]))
    found = read(tmp_path, "v.npy")
    assert found.vectors.dtype == torch.float32
    assert found.vectors.tolist() == [[0, 0], *VECTORS.tolist()]
    assert found.known.tolist() == [False, True, True, True, True]


def test_ids_say_whose_a_row_is(tmp_path: Path) -> None:
    """In any order, with items that are not in the data, and without some that are."""
    np.save(tmp_path / "v.npy", VECTORS)
    (tmp_path / "v.ids.txt").write_text("4\nother\n1\n3\n")
    found = read(tmp_path, "v.npy")
    assert found.vectors.tolist() == [[0, 0], [5, 6], [0, 0], [7, 8], [1, 2]]
    assert found.known.tolist() == [False, True, False, True, True]


def test_safetensors_may_hold_the_matrix(tmp_path: Path) -> None:
    save_file({"any": VECTORS.astype(np.float16)}, tmp_path / "v.safetensors")
    assert read(tmp_path, "v.safetensors").vectors[1:].tolist() == VECTORS.tolist()


def test_features_of_data_that_come_split_are_beside_its_files(tmp_path: Path) -> None:
    (tmp_path / "shop_item2attributes.json").write_text(json.dumps({"1": ["a"], "2": ["b"]}))
    spec = DatasetSpec("shop", tmp_path / "shop.train.inter")
    found = read_features("auto", 4, HISTORIES, spec, "features.source")
    assert found.known.tolist() == [False, True, True, False, False]


def test_a_file_is_looked_for_here_then_next_to_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    np.save(tmp_path / "v.npy", VECTORS)
    assert read(tmp_path, "v.npy").vectors[1, 0] == 1
    np.save("v.npy", VECTORS + 10)
    assert read(tmp_path, "v.npy").vectors[1, 0] == 11
    assert read(tmp_path, str(tmp_path / "v.npy")).vectors[1, 0] == 1


def test_features_are_identified_by_their_files(tmp_path: Path) -> None:
    """Not by where they are, nor by what a machine makes of them; row ids are part of them."""

    def identity(folder: str) -> str:
        spec = DatasetSpec("shop", tmp_path / folder / "shop.txt")
        return files_sha256({"features": "v.npy"}, spec, "alignment")

    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "v.npy", VECTORS)
    plain = identity("one")
    assert identity("other") == plain
    ids = tmp_path / "one" / "v.ids.txt"
    ids.write_text("1\n2\n3\n")
    named = identity("one")
    ids.write_text("2\n1\n3\n\n")
    assert len({plain, named, identity("one")}) == 3
    np.save(tmp_path / "other" / "v.npy", VECTORS[:3])
    assert identity("other") != plain


# Bags ----------------------------------------------------------------------------------------


def test_a_bag_is_tf_idf_in_rows_of_length_1() -> None:
    found = bag_vectors({"a": ["x", "y"], "b": ["x"]}, ["a", "none", "b"], most=9)
    rare = 1 + np.log(3 / 2)  # y: one of two items
    length = np.hypot(1.0, rare)
    expected = [[1 / length, rare / length], [0, 0], [1, 0]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_wide_bag_is_reduced_to_what_keeps_similarities_best() -> None:
    """Three kinds of items with ten attributes each: three columns keep every similarity."""
    bags = {str(i): [f"{i % 3}.{j}" for j in range(10)] for i in range(12)}
    found = bag_vectors(bags, list(bags), most=3)
    assert found.shape == (12, 3)
    kind = np.arange(12) % 3
    np.testing.assert_allclose(found @ found.T, kind[:, None] == kind, atol=1e-6)


def test_a_reduction_is_repeatable_and_equal_bags_stay_equal() -> None:
    pick = np.random.default_rng(0)
    bags = {str(i): map(str, pick.integers(0, 40, 5)) for i in range(30)}
    bags = {item: list(some) for item, some in bags.items()}
    bags["30"] = bags["7"][::-1]
    first, second = (bag_vectors(bags, list(bags), most=8) for _ in range(2))
    assert first.tolist() == second.tolist()
    assert first[30].tolist() == first[7].tolist()
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1.0, rtol=1e-5)


def test_words_are_found_whatever_their_case_and_marks() -> None:
    assert words("Children's film, (1995): HEAT!") == ["children's", "film", "1995", "heat"]


def test_attributes_are_read_by_item_id(tmp_path: Path) -> None:
    tree = {"1": [5, 6], "3": [5], "4": [], "99": [5, 7]}
    (tmp_path / "shop_item2attributes.json").write_text(json.dumps(tree))
    for source in ("auto", "shop_item2attributes.json"):
        found = read(tmp_path, source)
        assert found.known.tolist() == [False, True, False, True, False]
        assert found.vectors.shape == (5, 2)  # attribute 7 is of no item of the data


def test_words_of_different_columns_are_different_and_numbers_are_none(tmp_path: Path) -> None:
    (tmp_path / "shop.item").write_text(
        "item_id:token\ttitle:token_seq\tgenre:token_seq\tprice:float\n"
        "1\tDrama\tcrime\t3.5\n2\tcrime\tdrama\t3.5\n3\tCrime\tDRAMA\t1\n"
    )
    found = read(tmp_path, "auto").vectors
    assert found.shape == (5, 4)
    assert found[1] @ found[2] == 0
    assert torch.equal(found[2], found[3])


def test_attributes_come_before_texts(tmp_path: Path) -> None:
    (tmp_path / "shop_item2attributes.json").write_text('{"1": [5]}')
    (tmp_path / "shop.item").write_text("item_id:token\ttitle:token_seq\n2\tHeat\n")
    assert read(tmp_path, "auto").known.tolist() == [False, True, False, False, False]


def test_ml_100k_brings_its_titles_and_genres() -> None:
    spec = locate("ml-100k", None)
    found = read_features("auto", 64, load(spec), spec, "features")
    assert found.vectors.shape == (1683, 64)
    assert found.known.sum() == 1682


# Handing over --------------------------------------------------------------------------------


def test_a_task_gets_its_features_and_the_configuration_stays_as_it_was(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    np.save(tmp_path / "w.npy", VECTORS[:, :1])
    spec = DatasetSpec("shop", tmp_path / "shop.txt")
    task = Alignment(features="v.npy", with_features="w.npy")
    ready = with_features(task, HISTORIES, spec)
    assert isinstance(ready, Alignment)
    assert ready.sizes_of_features == (2, 1)
    assert task.sizes_of_features == ()
    with pytest.raises(UsageError, match=r"^contrast.it.with_features: there is no file x.npy"):
        with_features(Alignment("it", features="v.npy", with_features="x.npy"), HISTORIES, spec)


def test_a_task_of_weight_0_needs_no_features(tmp_path: Path) -> None:
    task = Alignment(weight=0.0)
    assert with_features(task, HISTORIES, DatasetSpec("shop", tmp_path / "shop.txt")) is task


# What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("v.npy", b"not a matrix", "v.npy: not readable as .npy"),
        ("v.safetensors", b"not a tensor", "v.safetensors: not readable as safetensors"),
        ("v.json", b"{", "v.json: not JSON"),
        ("v.json", b"[1]", 'v.json: expected {"item id": [attribute, ...], ...}'),
        ("v.json", b'{"1": 5}', 'v.json: expected {"item id": [attribute, ...], ...}'),
        ("v.json", b'{"1": [5], "1": [6]}', "v.json: not JSON (the key '1' is there twice)"),
        ("v.json", b'{"1": [[5]]}', "item '1' has an attribute that is no number or text"),
        ("v.item", b"item_id:token\tx:token\n1\ta\0\n", "v.item holds NUL bytes"),
        ("v.json", b'{"99": [5]}', "v.json has no features of any item of shop"),
        ("v.json", b"\xff\xfe", "v.json is not UTF-8 text"),
        ("v.item", b"sku:token\ttitle:token_seq\n1\tHeat\n", "no column 'item_id' for the item"),
        ("v.csv", b"1,2\n", "v.csv is none of .npy, .safetensors, .json, .item"),
    ],
)
def test_a_file_that_is_wrong_is_told_in_one_line(
    name: str, content: bytes, told: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert told in refused(tmp_path, name)


@pytest.mark.parametrize(
    ("vectors", "ids", "told"),
    [
        (VECTORS[:3], None, "3 rows for 4 items; give one for each, or the item ids in v.ids.txt"),
        (VECTORS[0], None, "expected a matrix of numbers, got float32 (2,)"),
        (np.array([["a"]]), None, "expected a matrix of numbers"),
        (VECTORS[:, :0], None, "expected a matrix of numbers"),
        (np.full((4, 2), np.nan), None, "a value is not finite in float32"),
        (np.full((4, 2), 1e300), None, "a value is not finite in float32"),
        (np.zeros((4, 2)), None, "has no features of any item of shop"),
        (VECTORS, "1\n2\n", "v.ids.txt: 2 ids for 4 rows"),
        (VECTORS, "1\n2\n3\n2\n", "v.ids.txt: the id '2' is there twice"),
    ],
)
def test_a_matrix_that_does_not_fit_is_told_in_one_line(
    vectors: np.ndarray, ids: str | None, told: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "v.npy", vectors)
    if ids:
        (tmp_path / "v.ids.txt").write_text(ids)
    assert told in refused(tmp_path, "v.npy")


def test_a_file_that_is_missing_is_told_with_its_place(tmp_path: Path) -> None:
    assert refused(tmp_path, "auto") == (
        f"contrast.it.features: shop brings no item features: {tmp_path} has neither "
        "shop_item2attributes.json nor shop.item; name a file, such as "
        "--contrast.it.features=vectors.npy"
    )
    assert refused(tmp_path, "v.npy") == (
        f"contrast.it.features: there is no file v.npy, neither here nor in {tmp_path}"
    )
