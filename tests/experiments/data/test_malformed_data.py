"""No file of interactions, titles, attributes or vectors does more than be read or be refused."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from safetensors.numpy import save

from experiments.data.catalogue import DatasetSpec
from experiments.data.features import read_features
from experiments.data.histories import Histories
from experiments.data.interactions import Interactions
from experiments.data.reading.read import read_interactions
from tests.experiments.malformed import examined, mutated, outcome
from tests.experiments.small_data import histories_of

FRAGMENTS = [
    b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\r", b"\r\n", b"\n", b"\n\n", b"\t", b" ", b",",
    b'"', b"'", b"-1", b"0", b"00", b"1.5", b"1e400", b"nan", b"inf", b"9" * 18, b"9" * 19,
    b"9" * 40, b"9" * 400, b"18446744073709551615", b"x" * 300, b"None", b"now",
    b"2014-01-01", b"9999-12-31", b"0001-01-01", b"10000-01-01", "é".encode(),
    "\u2028".encode(), "\u0663".encode(),
    b"\x1b[2J", b"\x0b", b"\x85", b"\x1a", b"=cmd()", b"True", b"0x10", b"1_000", b"+5", b"1,000",
]  # fmt: skip
TEXTS = [b"1 2 3 4\n2 3 4 5 6\n30 7 7 7\n", b"5 6 7 8\r\n9 6 7 8\r\n"]
ATOMIC = b"user_id:token\titem_id:token\ttimestamp:float\n"
TABLES = [
    ATOMIC + b"u\ta\t1\nu\tb\t2\nu\tc\t3\nv\ta\t1\nv\tc\t2.5\nv\tc\t4\n",
    b"user_id,item_id,timestamp\n1,7,2014-01-01\n1,8,2014-01-02\n1,9,2014-01-03T10:00:00Z\n",
    b'user_id;item_id;timestamp\n"1";7;1\n1;"8";2\n1;9;3\n1;9;3\n',
]
ITEMS = [b"item_id:token\ttitle:token_seq\trelease_year:token\n1\tHeat\t1995\n2\tUp\t2009\n"]
ATTRIBUTES = [b'{"1": [5, "six"], "2": [5], "3": [], "9": [7.5]}']
VECTORS = np.arange(1, 9, dtype=np.float32).reshape(4, 2)
HISTORIES = histories_of([[3, 1, 2], [2, 4, 1]])  # ids are "1" to "4"


def npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def placed(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def check_interactions(found: Interactions) -> None:
    """Numbers point at ids, ids are distinct, users stand together."""
    assert len(found.users) == len(found.items) > 0
    assert (np.diff(found.users) >= 0).all()
    for numbers, ids in ((found.users, found.user_ids), (found.items, found.item_ids)):
        assert 0 <= numbers.min() <= numbers.max() < len(ids) == len(set(ids.tolist()))
        assert all(name.strip() and len(name) <= 256 for name in ids.tolist())
    if found.times is not None:
        assert np.isfinite(found.times).all()
        same_user = np.diff(found.users) == 0
        assert (found.times[1:] >= found.times[:-1])[same_user].all()


def check_histories(found: Histories) -> None:
    assert found.offsets[0] == 0
    assert found.offsets[-1] == len(found.items)
    assert found.lengths.min() >= 3
    assert set(found.items.tolist()) == set(range(1, found.num_items + 1))
    assert len(found.user_ids) == found.num_users
    assert set(found.titles) <= set(found.item_ids.tolist())


def read(path: Path) -> str | None:
    """The message, or None after a check of all that was read."""
    found = outcome(lambda: read_interactions(path))
    if isinstance(found, str):
        assert str(path) in found
        return found
    if len(found.items):
        check_interactions(found)
    histories = outcome(lambda: found.histories("x"))
    if isinstance(histories, str):
        assert str(path) in histories
        return histories
    check_histories(histories)
    return None


def words_in(content: bytes) -> int:
    return len(content.removeprefix(b"\xef\xbb\xbf").split())


@pytest.mark.parametrize(
    ("examples", "least"), [(60, 30), pytest.param(350, 200, marks=pytest.mark.slow)]
)
def test_any_text_is_read_whole_or_refused(tmp_path: Path, examples: int, least: int) -> None:
    def check(content: bytes) -> str | None:
        path = placed(tmp_path, "x.txt", content)
        told = read(path)
        if told is None:
            found = read_interactions(path)
            assert len(found.user_ids) + len(found.items) == words_in(content)
        return told

    texts = mutated(TEXTS, FRAGMENTS) | st.binary(max_size=60)
    assert examined(texts, examples, check) >= least


@pytest.mark.parametrize(
    ("examples", "least"), [(60, 40), pytest.param(350, 300, marks=pytest.mark.slow)]
)
def test_any_table_is_read_or_refused(tmp_path: Path, examples: int, least: int) -> None:
    def check(case: tuple[bytes, str]) -> str | None:
        return read(placed(tmp_path, f"x{case[1]}", case[0]))

    tables = st.tuples(mutated(TABLES, FRAGMENTS), st.sampled_from([".inter", ".csv", ".tsv"]))
    assert examined(tables, examples, check) >= least


def features(folder: Path, source: str) -> str | None:
    """The message, or None after a check of the features."""
    spec = DatasetSpec("shop", folder / "shop.txt")
    found = outcome(lambda: read_features(source, 8, HISTORIES, spec, "contrast.it.features"))
    if isinstance(found, str):
        assert Path(source).stem in found
        return found
    assert found.vectors.shape[0] == len(found.known) == 5
    assert not found.known[0]
    assert found.vectors.isfinite().all()
    assert (found.vectors[~found.known] == 0).all()
    return None


HEADERS = [  # of safetensors
    {"a": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}
    for shape, offsets in [([4, 2], [0, 10**12]), ([10**12, 10**12], [0, 32]), ([-1], [0, 32])]
]
LYING = [
    struct.pack("<Q", size) + json.dumps(header).encode() + bytes(32)
    for header in HEADERS
    for size in (0, 2**63, 10**12, len(json.dumps(header)))
]
FILES = {
    ".json": mutated(ATTRIBUTES, [*FRAGMENTS, b"[", b"{", b'"1":', b"[[", b"null", b"NaN"]),
    ".item": mutated(ITEMS, FRAGMENTS),
    ".npy": mutated(
        [npy(VECTORS), npy(VECTORS.astype(">i8")), npy(np.array([{}, 1], dtype=object))],
        [*FRAGMENTS, b"(", b"True", b"'O'", b"1000000000000", b"-4", b"PK\x03\x04", b"\x80\x04"],
    ),
    ".safetensors": mutated(
        [save({"a": VECTORS}), save({"a": VECTORS, "b": VECTORS}), *LYING],
        [*FRAGMENTS, b"F64", b"BF16", b"C64", b"[", b"-4", b"1000000000000"],
    ),
}


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize(
    ("examples", "least"), [(30, 10), pytest.param(150, 65, marks=pytest.mark.slow)]
)
def test_any_features_are_read_or_refused(
    tmp_path: Path, suffix: str, examples: int, least: int
) -> None:
    def check(content: bytes) -> str | None:
        return features(tmp_path, str(placed(tmp_path, f"v{suffix}", content)))

    assert examined(FILES[suffix], examples, check) >= least


@pytest.mark.parametrize(
    ("examples", "least"), [(30, 10), pytest.param(150, 90, marks=pytest.mark.slow)]
)
def test_any_ids_of_rows_are_read_or_refused(tmp_path: Path, examples: int, least: int) -> None:
    source = str(placed(tmp_path, "v.npy", npy(VECTORS)))

    def check(content: bytes) -> str | None:
        placed(tmp_path, "v.ids.txt", content)
        return features(tmp_path, source)

    assert examined(mutated([b"1\n2\n4\n3\n"], FRAGMENTS), examples, check) >= least
