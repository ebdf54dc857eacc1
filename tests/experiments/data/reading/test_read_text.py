"""The text form, `user item item ...`: what is read, and what each mistake is answered with."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.data.reading.read_text import read_lines
from experiments.data.reading.source import Source
from experiments.errors import UsageError
from tests.experiments.small_data import read

one_file = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ids = st.integers(1, 10**18 - 1)
histories = st.dictionaries(ids, st.lists(ids, min_size=3, max_size=6), min_size=1, max_size=8)


def text_file(folder: Path, content: str | bytes) -> Path:
    path = folder / "x.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def outcome(path):
    """The histories, or the message when there are none."""
    try:
        return read(path, "x")
    except UsageError as error:
        return str(error)


def by_user(found):
    """User id -> item ids, as the file has them."""
    return {
        str(user): found.item_ids[found.items[start:stop]].tolist()
        for user, start, stop in zip(
            found.user_ids, found.offsets[:-1], found.offsets[1:], strict=True
        )
    }


def test_a_small_file_is_read_as_it_stands(tmp_path):
    found = read(text_file(tmp_path, "1 5 7 5\n2 7 9 30 5\n"), "small")
    assert found.items.tolist() == [1, 2, 1, 2, 3, 4, 1]
    assert found.offsets.tolist() == [0, 3, 7]
    assert found.item_ids.tolist() == ["", "5", "7", "9", "30"]
    assert found.user_ids.tolist() == ["1", "2"]
    assert (found.name, found.users_left_out, found.titles) == ("small", 0, {})


def test_users_and_items_are_numbered_in_numeric_order(tmp_path):
    found = read(text_file(tmp_path, "10 100 9 20\n9 20 20 9\n"), "x")
    assert found.user_ids.tolist() == ["9", "10"]
    assert found.item_ids.tolist() == ["", "9", "20", "100"]
    assert found.items.tolist() == [2, 2, 1, 3, 1, 2]


def test_short_histories_are_left_out_with_the_items_only_they_have(tmp_path):
    found = read(text_file(tmp_path, "1 2 4 6\n2 6 8\n3\n"), "x")
    assert found.users_left_out == 2
    assert found.item_ids.tolist() == ["", "2", "4", "6"]


@pytest.mark.parametrize(
    "content",
    ["1 2 3 4", "1\t2  3 4 \n", "1 2 3 4\r\n", "\n\n1 2 3 4\n\n", "\ufeff1 2 3 4\n"],
)
def test_spacing_and_line_ends_do_not_matter(tmp_path, content):
    assert by_user(read(text_file(tmp_path, content), "x")) == {"1": ["2", "3", "4"]}


@pytest.mark.parametrize("content", ["1 2 3 4\n2 03 4 5\n", "1 2 3 4\n02 3 4 5\n"])
def test_an_id_that_begins_with_0_is_refused_with_its_line(tmp_path, content):
    """Read as a number it would be another id: 07 would be 7."""
    with pytest.raises(UsageError, match=r"x\.txt line 2: '0[23]' begins with 0, .*--format lists"):
        read(text_file(tmp_path, content), "x")


def test_where_the_form_is_told_an_id_that_begins_with_0_stays_as_it_is(tmp_path):
    source = Source(text_file(tmp_path, "1 07 7\n01 7 8\n"))
    found, _ = read_lines(source, "lists")
    assert found.user_ids.tolist() == ["01", "1"]
    assert found.item_ids.tolist() == ["07", "7", "8"]


def test_old_line_ends_separate_users(tmp_path):
    found = read(text_file(tmp_path, "1 2 3 4\r2 3 4 5\r"), "x")
    assert found.num_users == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("1 2 3 4\n2 3 abc 5\n", "line 2: 'abc' is not a positive integer id"),
        ("1 2 3 4\n\n2 3 -5 6\n", "line 3: '-5' is not a positive integer id"),
        ("1 2 3.5 4\n", "line 1: '3.5' is not a positive integer id"),
        ("1 2 0 4\n", "line 1: '0' is not an id: ids start at 1"),
        ("1 2 3 4\n0 2 3 4\n", "line 2: '0' is not an id"),
        ("1 2 3 1234567890123456789\n", "'1234567890123456789' has more than 18 digits"),
        ("1 2 3 4\n2 3 4 5\n1 5 6 7\n", "line 3: user 1 already has line 1"),
        (b"1 2 3 4\n2 \xff\xfe 4\n", r"line 2: '\xff\xfe' is not a positive integer id"),
        ("1 2 3 \x0b\n", r"line 1: '\x0b' is not a positive integer id"),
        ("1 2 3 é\n", "line 1: 'é' is not a positive integer id"),
        ("1 " + "x" * 5000, "'" + "x" * 40 + "'..."),
        ("user,item\n1,2\n", "line 1: 'user,item' is not a positive integer id"),
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("1 2 3\n2 3 4\n", "no user has 3 interactions or more"),
        ("1\n2\n", "no user has 3 interactions or more"),
    ],
)
def test_a_mistake_is_named_in_one_line_with_its_place(tmp_path, content, told):
    path = text_file(tmp_path, content)
    with pytest.raises(UsageError) as error:
        read(path, "x")
    assert told in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read(tmp_path / "gone.txt", "x")
    with pytest.raises(UsageError, match="is a folder"):
        read(tmp_path, "x")


@given(written=histories)
@one_file
def test_reading_returns_what_was_written(tmp_path, written):
    lines = [" ".join(map(str, [user, *items])) for user, items in written.items()]
    found = read(text_file(tmp_path, "\n".join(lines)), "x")
    assert by_user(found) == {str(u): [str(i) for i in items] for u, items in written.items()}
    assert found.user_ids.tolist() == [str(user) for user in sorted(written)]
    assert found.item_ids[1:].astype(np.int64).tolist() == sorted(
        {item for items in written.values() for item in items}
    )


@given(content=st.binary(max_size=60) | st.text("0123456789 \t\r\n-x", max_size=60))
@one_file
def test_any_bytes_end_in_histories_or_one_line(tmp_path, content):
    found = outcome(text_file(tmp_path, content))
    if isinstance(found, str):
        assert len(found.splitlines()) == 1
    else:
        assert found.lengths.min() >= 3
        assert set(found.items.tolist()) == set(range(1, found.num_items + 1))


def test_a_million_interactions_of_one_user_are_read(tmp_path):
    found = read(text_file(tmp_path, b"7 " + b"123456 " * 1_000_000), "x")
    assert (found.num_users, found.num_items, len(found.items)) == (1, 1, 1_000_000)
