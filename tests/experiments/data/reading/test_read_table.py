"""Tables with a row per interaction: `.inter`, CSV and TSV."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.data.conversion.filters import to_core
from experiments.data.ids import MISSING
from experiments.data.reading import csv_rows as module
from experiments.data.reading.layout import Columns
from experiments.data.reading.read import read_interactions
from experiments.errors import UsageError
from tests.experiments.small_data import read

one_file = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ATOMIC = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
NAMED = Columns("who", "what", "when")


def table(folder: Path, content: str | bytes, name: str = "x.inter") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def outcome(path, columns):
    """The histories, or the message when there are none."""
    try:
        return read(path, "x", columns)
    except UsageError as error:
        return str(error)


def items_of(found, user):
    u = found.user_ids.tolist().index(user)
    return found.item_ids[found.items[found.offsets[u] : found.offsets[u + 1]]].tolist()


def test_rows_are_sorted_by_time_and_ties_keep_the_order_of_the_file(tmp_path):
    rows = "u\tlate\t1\t9\nu\tz\t1\t5\nv\tz\t1\t1\nu\ta\t1\t5\nv\ta\t1\t2\nv\tb\t1\t1.5\n"
    path = table(tmp_path, ATOMIC + rows)
    found = read(path, "x")
    assert items_of(found, "u") == ["z", "a", "late"]
    assert items_of(found, "v") == ["z", "b", "a"]
    assert found.item_ids.tolist() == ["", "a", "b", "late", "z"]
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@given(
    rows=st.lists(
        st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(2, 4)), min_size=1, max_size=40
    )
)
@one_file
def test_shuffled_ties_move_nothing_but_what_is_at_the_same_time(tmp_path, rows):
    path = table(tmp_path, ATOMIC + "".join(f"{u}\t{i}\t1\t{t}\n" for u, i, t in rows))
    before, after = (read_interactions(path), read_interactions(path).with_ties_shuffled())
    assert after.users.tolist() == before.users.tolist()
    assert after.times.tolist() == before.times.tolist()
    moments = [list(zip(x.users, x.times, x.items, strict=True)) for x in (before, after)]
    assert sorted(moments[0]) == sorted(moments[1])
    again = read_interactions(path).with_ties_shuffled()
    assert again.items.tolist() == after.items.tolist()


def test_shuffled_ties_are_in_another_order_of_the_same_file(tmp_path):
    rows = "".join(f"u\t{i}\t1\t{9 - i // 10}\n" for i in range(30))
    path = table(tmp_path, ATOMIC + rows)
    file, shuffled = read(path, "x"), read(path, "x", ties="shuffled")
    assert items_of(file, "u") == [str(i) for i in [*range(20, 30), *range(10, 20), *range(10)]]
    assert items_of(shuffled, "u") != items_of(file, "u")
    for start in (0, 10, 20):
        day = slice(start, start + 10)
        assert sorted(items_of(shuffled, "u")[day]) == sorted(items_of(file, "u")[day])
    assert shuffled.sha256 == file.sha256


def test_columns_may_come_in_any_order(tmp_path):
    rows = "1\ta\t7\tu\n2\tb\t7\tu\n3\tc\t7\tu\n"
    path = table(tmp_path, "timestamp:float\titem_id:token\tx:float\tuser_id:token\n" + rows)
    assert items_of(read(path, "x"), "u") == ["a", "b", "c"]


def test_integer_ids_are_in_numeric_order_and_others_are_not(tmp_path):
    rows = "".join(f"{u}\t{i}\t1\t1\n" for u in (10, 9) for i in (100, 20, 3))
    assert read(table(tmp_path, ATOMIC + rows), "x").item_ids.tolist() == ["", "3", "20", "100"]
    mixed = read(table(tmp_path, ATOMIC + rows + "9\tx\t1\t2\n"), "x")
    assert mixed.item_ids.tolist() == ["", "100", "20", "3", "x"]
    assert mixed.user_ids.tolist() == ["9", "10"]


def test_ids_are_text_as_written(tmp_path):
    names = ['"quoted', "NAN", "007", "7", "a b", "ü"]
    rows = "".join(f"u\t{name}\t1\t{t}\n" for t, name in enumerate(names))
    assert items_of(read(table(tmp_path, ATOMIC + rows), "x"), "u") == names


def test_titles_come_from_the_item_file_with_their_year(tmp_path):
    table(
        tmp_path,
        "item_id:token\tmovie_title:token_seq\trelease_year:token\r\n"
        "a\tHeat\t1995\r\nb\tThe \x1b Net\t\r\nc\t\t1990\r\nother\tUp\t2009\r\n",
        "x.item",
    )
    found = read(table(tmp_path, ATOMIC + "u\ta\t1\t1\nu\tb\t1\t2\nu\tc\t1\t3\n"), "x")
    assert found.titles == {"a": "Heat (1995)", "b": "The Net"}


def test_a_separator_at_the_end_of_a_row_adds_nothing(tmp_path):
    path = table(tmp_path, "who,what,when\nu,a,1,\nu,b,2\nu,c,3,,\n", "x.csv")
    assert items_of(read(path, "x", NAMED), "u") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "separator"), [("x.csv", ","), ("x.tsv", "\t"), ("x.csv", ";"), ("x.dat", "|")]
)
def test_named_columns_are_read_with_their_separator(tmp_path, name, separator):
    lines = ["when,who,what", "3,u,c", "1,u,a", '2,u,"b"']
    path = table(tmp_path, "\n".join(lines).replace(",", separator), name)
    quoted = '"b"' if name == "x.tsv" else "b"  # between tabs a quote is a character
    assert items_of(read(path, "x", NAMED), "u") == ["a", quoted, "c"]


def test_iso_dates_are_times(tmp_path):
    rows = "u,c,2014-07-23\nu,b,2014-07-22T10:00:01.5Z\nu,a,2014-07-22T12:00:00+02:00\n"
    found = read_interactions(table(tmp_path, "who,what,when\n" + rows, "x.csv"), NAMED)
    assert found.item_ids[found.items].tolist() == ["a", "b", "c"]
    assert found.times.tolist() == [1406023200, 1406023201.5, 1406073600]


def test_whole_times_stay_exact(tmp_path):
    rows = "".join(f"u\t{i}\t1\t{2**60 - i}\n" for i in (1, 2, 3))
    found = read_interactions(table(tmp_path, ATOMIC + rows))
    assert found.times.tolist() == [2**60 - 3, 2**60 - 2, 2**60 - 1]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is empty"),
        ("who,what,when\n", "no interactions below it"),
        ("who,what,then\nu,a,1\n", "no column 'when' for the time (did you mean 'then'?)"),
        ("who,what,then\nu,a,1\n", "its header has: 'who', 'what', 'then'"),
        ("who,what,when\nu,a,1\nu,b,soon\n", "line 3: 'soon' is not a number"),
        ("who,what,when\nu,a,now\n", "line 2: 'now' is neither a number nor"),
        ("who,what,when\nu,a,2014-01-01\nu,b,3/4/14\n", "line 3: '3/4/14' is not"),
        ("who,what,when\nu,a,1\nu,b,\n", "line 3: '' stands for no time"),
        ("who,what,when\nu,a,1\nu,b,inf\n", "line 3: 'inf' is not a number"),
        ("who,what,when\nu,a,1\nu,b\n", "line 3"),
        (
            "who,what,when\nu,a,1\n,b,2\n",
            "column 'who', line 3: 1 row has no id, the first ''; `run.py data` leaves them",
        ),
        (
            "who,what,when\nu,a,1\nu,  ,2\n",
            "column 'what', line 3: 1 row has no id, the first ''",
        ),
        ("who,what,when\nu,a,1\nNA,b,2\nNA,c,3\n", "line 3: 2 rows have no id, the first 'NA'"),
        (f"who,what,when\nu,{'i' * 300},1\n", "has 300 characters; an id has at most 256"),
        ('who,what,when\nu,"a\tb",1\n', "holds a control character"),
        ("who,what,when\nu,a\x1b[2J,1\n", "holds a control character"),
        ("who,what,when\nu,a\x9b2J,1\n", "holds a control character"),
        (
            "who,what,when\nu,a,1\nu,b,2,9\n",
            "line 3: has more fields than the 3 of",
        ),
        (
            "who,what,when\nu,a,1,\nu,b,2,9,9\n",
            "line 3: has more fields than the 3",
        ),
        ("who,what,who,when\nu,a,v,1\n", "two columns are named 'who'; rename one of them"),
        ('who,what,"when\nu,a,1\n', "names no columns (unexpected end of data)"),
        (b"who,what,when\nu,\xff,1\n", "is not UTF-8 text"),
        (b"wh\xff,what,when\nu,a,1\n", "line 1"),
        (b"who,what,when\nu,\0,1\n", "holds NUL bytes"),
        ('who,what,when\nu,"a,1\n', "is not a well-formed table"),
        ("who,what,when\nu,a,1\n", "no user has 3 interactions or more"),
    ],
)
def test_a_mistake_is_named_in_one_line_with_its_place(tmp_path, content, told):
    path = table(tmp_path, content, "x.csv")
    with pytest.raises(UsageError) as error:
        read(path, "x", NAMED)
    assert told in str(error.value)
    assert str(path) in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_column_named_twice_is_refused(tmp_path):
    path = table(tmp_path, "who,what,when\nu,a,1\n", "x.csv")
    with pytest.raises(
        UsageError, match=r"different columns are needed, got user 'who', item 'who'"
    ):
        read(path, "x", Columns("who", "who", "when"))


def test_an_atomic_file_without_times_names_what_it_has(tmp_path):
    with pytest.raises(UsageError, match=r"no column 'timestamp'.*'user_id', 'item_id'"):
        read(table(tmp_path, "user_id:token\titem_id:token\nu\ta\n"), "x")


def test_chunks_do_not_show(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    rows = "".join(
        f"{rng.integers(5)}\t{rng.integers(9)}\t1\t{rng.integers(4)}\n" for _ in range(99)
    )
    path = table(tmp_path, ATOMIC + rows)
    whole = read(path, "x")
    monkeypatch.setattr(module, "CHUNK", 7)
    parts = read(path, "x")
    assert whole.items.tolist() == parts.items.tolist()
    assert whole.offsets.tolist() == parts.offsets.tolist()
    with pytest.raises(UsageError, match="line 101: 'x'"):
        read(table(tmp_path, ATOMIC + rows + "1\t2\t3\tx\n"), "x")


tokens = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=5)
tokens = tokens.filter(lambda token: token not in MISSING)
written = st.dictionaries(tokens, st.lists(tokens, min_size=3, max_size=6), min_size=1, max_size=6)


@given(written=written)
@one_file
def test_reading_returns_what_was_written(tmp_path, written):
    rows = [f"{u}\t{i}\t1\t{t}\n" for u, items in written.items() for t, i in enumerate(items)]
    found = read(table(tmp_path, ATOMIC + "".join(rows)), "x")
    assert {user: items_of(found, user) for user in found.user_ids.tolist()} == written


@given(
    content=st.binary(max_size=60)
    | st.text('ab1,;\t\n\r"-', max_size=60).map(lambda rows: f"who,what,when\n{rows}".encode())
    | st.lists(st.sampled_from(["u,a,1", "u,a,2014-01-01", "u,b", "u,b,2,3", "v,a,1e400"]))
    .map(lambda rows: "\n".join(["who,what,when", *rows]).encode())
)  # fmt: skip
@one_file
def test_any_bytes_end_in_histories_or_one_line(tmp_path, content):
    found = outcome(table(tmp_path, content, "x.csv"), NAMED)
    if isinstance(found, str):
        assert len(found.splitlines()) == 1
    else:
        assert found.lengths.min() >= 3


def test_a_k_core_is_filtered_until_it_is_stable(tmp_path):
    # c goes for lack of users, then w for lack of items, then nothing
    pairs = ["ua", "ub", "va", "vb", "wa", "wc"]
    rows = "".join(f"{u}\t{i}\t1\t{t}\n" for t, (u, i) in enumerate(pairs))
    core, rounds = to_core(read_interactions(table(tmp_path, ATOMIC + rows)), 2, 2)
    assert rounds == [(3, 2, 5), (2, 2, 4)]
    assert core.user_ids.tolist() == ["u", "v"]
    assert core.item_ids.tolist() == ["a", "b"]
    assert to_core(core, 2, 2) == (core, [])


@given(
    pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1), k=st.integers(1, 4)
)
@one_file
def test_a_k_core_is_the_same_as_removing_one_by_one(tmp_path, pairs, k):
    rows = "".join(f"{u}\t{i}\t1\t{t}\n" for t, (u, i) in enumerate(pairs))
    left = list(pairs)
    while rare := [
        (u, i)
        for u, i in left
        if sum(p[0] == u for p in left) < k or sum(p[1] == i for p in left) < k
    ]:
        left.remove(rare[0])
    path = table(tmp_path, ATOMIC + rows)
    if not left:
        with pytest.raises(UsageError, match="leaves nothing"):
            to_core(read_interactions(path), k, k)
        return
    core, _ = to_core(read_interactions(path), k, k)
    found = zip(core.user_ids[core.users].tolist(), core.item_ids[core.items].tolist(), strict=True)
    assert sorted(found) == sorted((str(u), str(i)) for u, i in left)


def test_a_k_core_below_one_is_refused(tmp_path):
    path = table(tmp_path, ATOMIC + "u\ta\t1\t1\n")
    with pytest.raises(UsageError, match="k >= 1"):
        to_core(read_interactions(path), 0, 0)


def test_times_stay_with_their_interactions_as_whole_seconds(tmp_path):
    rows = "v\tb\t1\t7.9\nu\tlate\t1\t9\nu\tz\t1\t5\nv\tz\t1\t-1.5\nu\ta\t1\t5\nv\ta\t1\t2\n"
    found = read(table(tmp_path, ATOMIC + rows), "x")
    assert found.times.dtype == np.int64
    assert found.times.tolist() == [5, 5, 9, -2, 2, 7]
    assert found.item_ids[found.items].tolist() == ["z", "a", "late", "z", "a", "b"]


def test_dates_become_seconds_since_1970(tmp_path):
    rows = "who,what,when\n" + "".join(f"u,i{day},2014-07-0{day}\n" for day in (3, 1, 2))
    found = read(table(tmp_path, rows, "x.csv"), "x", NAMED)
    assert found.times.tolist() == [1404172800, 1404259200, 1404345600]


def test_places_in_a_history_are_no_times(tmp_path):
    """What `data` writes where a file has an order and no times."""
    rows = "".join(f"{u}\ti{place}\t1\t{place}\n" for u in "uv" for place in (1, 2, 3))
    path = table(tmp_path, ATOMIC + rows)
    assert read(path, "x").times is None
    with pytest.raises(UsageError, match="has no times"):
        read(path, "x", ties="shuffled")
