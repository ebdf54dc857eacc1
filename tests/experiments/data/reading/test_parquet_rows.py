"""Parquet: ids stay exact beside missing ones, and what is no id is refused with its column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.data.conversion.convert import convert
from experiments.errors import UsageError

arrow = pytest.importorskip("pyarrow")

FIRST, SECOND = 2**60 + 1, 2**60 + 2  # one number in a float of 64 bits


def converted(folder: Path, columns: dict[str, Any]) -> list[list[str]]:
    """The rows that are written, without those that lack an id."""
    from pyarrow import parquet

    parquet.write_table(arrow.table(columns), folder / "shop.parquet")
    convert("shop", folder / "shop.parquet", folder, {"drop_missing": True})
    lines = (folder / "shop" / "shop.inter").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines[1:]]


def test_large_ids_beside_a_missing_one_are_not_merged(tmp_path: Path) -> None:
    users = arrow.array([FIRST] * 3 + [SECOND] * 3 + [None], arrow.int64())
    columns = {"user_id": users, "item_id": [1, 2, 3, 1, 2, 3, 1], "timestamp": list(range(7))}
    found = converted(tmp_path, columns)
    assert [user for user, *_ in found] == [str(FIRST)] * 3 + [str(SECOND)] * 3


def test_large_ids_in_lists_beside_a_missing_one_are_not_merged(tmp_path: Path) -> None:
    items = arrow.array([[FIRST, None, SECOND, 7]], arrow.list_(arrow.int64()))
    columns = {"user_id": ["u"], "item_id": items, "timestamp": [[1, 2, 3, 4]]}
    found = converted(tmp_path, columns)
    assert [item for _, item, _ in found] == [str(FIRST), str(SECOND), "7"]


@pytest.mark.parametrize(
    ("users", "told"),
    [
        ([{"a": 1}] * 3, r"column 'user_id': is of struct"),
        ([[["a"]]] * 3, r"column 'user_id': is of list"),
        ([b"a"] * 3, r"column 'user_id': is of binary"),
    ],
)
def test_a_column_that_holds_no_ids_is_refused(users: list[Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told):
        converted(tmp_path, {"user_id": users, "item_id": [1, 2, 3], "timestamp": [1, 2, 3]})


def test_a_missing_id_in_a_column_of_categories_is_no_id(tmp_path: Path) -> None:
    users = arrow.array([*"aaa", None, *"bbb", None]).dictionary_encode()
    columns = {"user_id": users, "item_id": list(range(8)), "timestamp": list(range(8))}
    assert [user for user, *_ in converted(tmp_path, columns)] == [*"aaabbb"]
