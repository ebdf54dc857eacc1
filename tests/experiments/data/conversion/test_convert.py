"""Bringing a source file into a data folder."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.data import known
from experiments.data.catalogue import load, locate
from experiments.data.conversion.convert import convert
from experiments.data.ids import MISSING
from experiments.data.reading.layout import Columns
from experiments.errors import UsageError
from tests.experiments.small_data import read

TEXT = "9 2 3 4\n10 3 30 5 5\n11 2\n"
NAMED = {"user": "who", "item": "what", "time": "when"}
CSV = "who,what,when\nu,b,2\nu,a,1\nu,c,3\nu,a,4.25\nv,a,1\n"


def source(folder: Path, content: str = TEXT, name: str = "raw.txt") -> Path:
    path = folder / name
    path.write_text(content)
    return path


def same(one, other):
    fields = ("items", "offsets", "item_ids", "user_ids")
    assert all(getattr(one, f).tolist() == getattr(other, f).tolist() for f in fields)
    assert one.titles == other.titles


def refused(*arguments, **keywords):
    with pytest.raises(UsageError) as error:
        convert(*arguments, **keywords)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def known_tiny(tmp_path, monkeypatch):
    """A folder of declarations that knows `tiny`."""
    declared = {"file": "Tiny.txt", "examples": "prefixes", "max_length": 50, "users": 2}
    declared["sha256"] = hashlib.sha256(TEXT.encode()).hexdigest()
    folder = tmp_path / "datasets"
    folder.mkdir()
    (folder / "tiny.yaml").write_text(yaml.safe_dump(declared))
    monkeypatch.setattr(known, "FOLDER", folder)


def test_the_lines_say_what_was_read_kept_and_what_to_do_next(tmp_path):
    path, data = source(tmp_path), tmp_path / "my data"
    written = data / "mine" / "mine.inter"
    assert convert("mine", path, data) == [
        f"read {path}: 3 users, 5 items, 8 interactions",
        "form: a line a user (lists); the order of the file is that of time",
        "duplicates: 1 interactions with an item that the user had before; all kept "
        "(--duplicates exact, first or last leaves some out)",
        "kept: 2 users, 5 items, 7 interactions",
        "users left out (fewer than 3 interactions): 1",
        "history length: mean 3.50, median 3.5, max 4",
        f"sha256: {hashlib.sha256(written.read_bytes()).hexdigest()}",
        f"written: {written}",
        f"train on it: python run.py train --dataset mine --data-dir '{data}'",
    ]


def test_a_text_file_is_registered_with_positions_as_times(tmp_path):
    convert("mine", source(tmp_path), tmp_path)
    assert (tmp_path / "mine" / "mine.inter").read_text().splitlines()[:4] == [
        "user_id:token\titem_id:token\ttimestamp:float",
        "9\t2\t1",
        "9\t3\t2",
        "9\t4\t3",
    ]
    spec = locate("mine", tmp_path)
    assert (spec.examples, spec.max_length, spec.users, spec.items) == ("prefixes", 50, 2, 5)
    same(load(spec), read(tmp_path / "raw.txt", "mine"))


def test_long_histories_are_registered_for_whole_sequences(tmp_path):
    convert("mine", source(tmp_path, "1 " + "2 3 " * 30), tmp_path)
    assert locate("mine", tmp_path).examples == "windows"


def test_a_csv_keeps_its_times(tmp_path):
    convert("mine", source(tmp_path, CSV, "raw.csv"), tmp_path, NAMED)
    assert (tmp_path / "mine" / "mine.inter").read_text().splitlines()[1:] == [
        "u\ta\t1.0",
        "u\tb\t2.0",
        "u\tc\t3.0",
        "u\ta\t4.25",
    ]


def test_titles_come_along(tmp_path):
    rows = "user_id:token\titem_id:token\ttimestamp:float\nu\ta\t1\nu\tb\t2\nu\ta\t3\n"
    item = 'item_id:token\ttitle:token_seq\na\t"Heat"  now\nc\tUp\n'
    source(tmp_path, item, "raw.item")
    path = source(tmp_path, rows, "raw.inter")
    convert("mine", path, tmp_path)
    assert load(locate("mine", tmp_path)).titles == {"a": '"Heat" now'}
    same(load(locate("mine", tmp_path)), read(path, "mine"))


def test_the_order_of_ids_does_not_depend_on_what_was_left_out(tmp_path):
    rows = "who,what,when\nu,9,2\nu,10,1\nu,8,3\nword,word,1\n"
    convert("mine", source(tmp_path, rows, "raw.csv"), tmp_path, NAMED)
    found = load(locate("mine", tmp_path))
    assert found.item_ids.tolist() == ["", "8", "9", "10"]
    assert found.items.tolist() == [3, 2, 1]
    same(found, read(tmp_path / "raw.csv", "mine", Columns("who", "what", "when")))


def test_a_k_core_is_told_round_by_round(tmp_path):
    text = "1 7 8 9\n2 7 8 9\n3 7 8 9 5\n4 7 5 6\n"
    lines = convert("mine", source(tmp_path, text), tmp_path, {"k_core": 3})
    assert lines[3:6] == [
        "3-core, round 1: 4 users, 3 items, 10 interactions left",
        "3-core, round 2: 3 users, 3 items, 9 interactions left",
        "kept: 3 users, 3 items, 9 interactions",
    ]
    assert load(locate("mine", tmp_path)).item_ids.tolist() == ["", "7", "8", "9"]


def test_a_k_core_that_leaves_nobody_writes_nothing(tmp_path):
    told = refused("mine", source(tmp_path), tmp_path, {"k_core": 5})
    assert "5-core leaves nothing (round 1: 0 users, 0 items, 0 interactions)" in told
    assert files(tmp_path) == ["raw.txt"]


def test_doing_it_again_changes_nothing_and_other_content_is_refused(tmp_path):
    first = convert("mine", source(tmp_path), tmp_path)
    assert convert("mine", source(tmp_path), tmp_path) == first
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    other = source(tmp_path, "1 2 3 4\n", "other.txt")
    assert "already there with different content" in refused("mine", other, tmp_path)
    assert list(before) == ["mine/mine.inter", "mine/mine.yaml", "raw.txt"]
    assert all((tmp_path / name).read_bytes() == content for name, content in before.items())
    same(load(locate("mine", tmp_path)), read(tmp_path / "raw.txt", "mine"))


def test_a_file_that_would_be_hidden_is_refused_unless_it_is_the_source(tmp_path):
    mine = source(tmp_path, TEXT, "mine.txt")
    assert "choose another name" in refused("mine", source(tmp_path), tmp_path)
    assert convert("mine", mine, tmp_path)


@pytest.mark.usefixtures("known_tiny")
def test_a_known_file_is_checked_and_copied(tmp_path):
    path, data = source(tmp_path), tmp_path / "data"
    lines = convert("tiny", path, data)
    assert f"written: {data / 'Tiny.txt'}" in lines
    assert files(data) == ["Tiny.txt"]
    same(load(locate("tiny", data)), read(path, "tiny"))
    assert convert("tiny", path, data) == lines
    assert convert("tiny", data / "Tiny.txt", data)[1:] == lines[1:]


@pytest.mark.usefixtures("known_tiny")
def test_a_mismatch_with_a_known_file_writes_nothing(tmp_path):
    path, data = source(tmp_path, TEXT.replace("4", "5")), tmp_path / "data"
    assert "expected sha256" in refused("tiny", path, data)
    assert "needs the file Tiny.txt" in refused("tiny", source(tmp_path, CSV, "raw.csv"), data)
    assert "other names only" in refused("tiny", path, data, {"k_core": 5})
    assert "other names only" in refused("tiny", path, data, {"user": "who"})
    assert not data.exists()


@pytest.mark.usefixtures("known_tiny")
def test_a_known_file_never_replaces_another(tmp_path):
    source(tmp_path, "1 2 3 4\n", "Tiny.txt")
    assert "already there with different content" in refused("tiny", source(tmp_path), tmp_path)
    assert (tmp_path / "Tiny.txt").read_text() == "1 2 3 4\n"


def test_the_embedded_data_set_needs_no_converting(tmp_path):
    assert "nothing is to be converted" in refused("ml-100k", source(tmp_path), tmp_path)


def test_unusable_sources_and_folders_are_told_in_one_line(tmp_path):
    path = source(tmp_path)
    assert "no such file" in refused("mine", tmp_path / "gone.txt", tmp_path)
    assert "is a folder" in refused("mine", tmp_path, tmp_path)
    assert "cannot name a data set" in refused("../mine", path, tmp_path)
    assert "cannot be written (" in refused("mine", path, path)
    assert "no column 'user_id'" in refused("mine", source(tmp_path, CSV, "x.csv"), tmp_path)


tokens = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=3)
tokens = tokens.filter(lambda token: token not in MISSING)
times = st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
rows = st.lists(st.tuples(tokens, tokens, times), min_size=3, max_size=12)


@given(rows=rows, one_user=st.booleans())
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read_back_identically(tmp_path_factory, rows, one_user):
    folder = tmp_path_factory.mktemp("round")
    lines = [f"{'u' if one_user else user}\t{item}\t{time!r}\n" for user, item, time in rows]
    content = "user_id:token\titem_id:token\ttimestamp:float\n" + "".join(lines)
    path = source(folder, content, "raw.inter")
    if max(Counter("u" if one_user else user for user, _, _ in rows).values()) < 3:
        assert "no user has 3" in refused("mine", path, folder)
    else:
        convert("mine", path, folder)
        same(load(locate("mine", folder)), read(path, "mine"))


@pytest.mark.parametrize("name", ["ml-100k", "beauty"])
def test_a_recipe_makes_no_data_set_of_a_name_that_has_one_fixed_file(tmp_path, name):
    path = source(tmp_path, "1::2::5::3\n", "ratings.dat")
    said = refused(name, path, tmp_path / "data", recipe="ml-1m")
    assert said.startswith(f"{name} is the name of a data set with one fixed file")


def test_a_recipe_of_a_family_needs_a_category(tmp_path):
    said = refused("mine", source(tmp_path), tmp_path, recipe="amazon-2018-CATEGORY")
    assert "name a category in place of CATEGORY" in said


@pytest.mark.parametrize("split_first", [False, True])
def test_a_refused_conversion_leaves_nothing_beside_what_is_there(tmp_path, split_first):
    """One is of a whole data set, the other of one that comes split, of the same name."""
    head = "user_id,item_id,timestamp\n"
    whole = source(tmp_path, head + "u,1,1\nu,2,2\nu,3,3\n", "c.csv")
    for part, rows in {"train": "q,1,1\nq,2,2\n", "valid": "q,3,3\n", "test": "q,4,4\n"}.items():
        source(tmp_path, head + rows, f"X.{part}.csv")
    first, second = whole, tmp_path / "X.train.csv"
    if split_first:
        first, second = second, first
    convert("foo", first, tmp_path / "data")
    before = files(tmp_path / "data")
    assert "foo.yaml is already there with different content" in refused(
        "foo", second, tmp_path / "data"
    )
    assert files(tmp_path / "data") == before


def test_the_fixed_file_of_a_name_is_not_put_beside_what_was_converted(
    tmp_path, known_tiny, monkeypatch
):
    """In either order: training would not know which is meant."""
    path = source(tmp_path, name="Tiny.txt")
    (tmp_path / "data" / "tiny").mkdir(parents=True)
    declared = {"file": "tiny.inter", "examples": "prefixes", "max_length": 50}
    (tmp_path / "data" / "tiny" / "tiny.yaml").write_text(yaml.safe_dump(declared))
    said = refused("tiny", path, tmp_path / "data")
    assert "is tiny already, converted from raw files" in said
