"""Any file, by options: its form is seen or told, and nothing in it is lost in silence."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments.cli.main import main
from experiments.data.catalogue import load, locate
from experiments.data.conversion.convert import convert
from experiments.data.conversion.read_raw import read_raw
from experiments.data.reading.recipe import Recipe
from experiments.data.reading.source import Source
from experiments.errors import UsageError

TABLE = "user_id,item_id,timestamp\n"
DAY = "u,a,1\nu,b,2\nu,c,3\nv,a,1\nv,b,2\nv,c,3\n"


def put(folder: Path, content: str | bytes, name: str = "x.csv") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def told(path: Path, **options: Any) -> list[str]:
    return convert("mine", path, path.parent / "data", options)


def refused(path: Path, **options: Any) -> str:
    """The one line; nothing is written."""
    with pytest.raises(UsageError) as error:
        told(path, **options)
    assert len(str(error.value).splitlines()) == 1
    assert not (path.parent / "data").exists()
    return str(error.value)


def histories(path: Path, **options: Any) -> dict[str, list[str]]:
    """User -> items, as they are trained on."""
    told(path, **options)
    found = load(locate("mine", path.parent / "data"))
    ends = zip(found.offsets[:-1], found.offsets[1:], strict=True)
    return {
        user: found.item_ids[found.items[start:stop]].tolist()
        for user, (start, stop) in zip(found.user_ids.tolist(), ends, strict=True)
    }


BOTH = {"u": ["a", "b", "c"], "v": ["a", "b", "c"]}
NUMBERED = {"user": 0, "item": 1, "time": 2}
HEROES = "user_id,item_id,timestamp,title\n" + (
    'u,a,1,x\nu,b,2,"Heroes (Live)\nu,c,3,y\nv,a,1,z\nv,b,2,"Another\nv,c,3,w\n'
)
PACKED = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("name", ["x.tsv", "x.inter"])
def test_a_quote_between_tabs_is_a_character(tmp_path: Path, name: str) -> None:
    assert histories(put(tmp_path, HEROES.replace(",", "\t"), name)) == BOTH


def test_a_quoted_field_of_a_csv_that_swallows_rows_is_refused_with_its_line(
    tmp_path: Path,
) -> None:
    path = put(tmp_path, HEROES)
    assert "line 3: a quoted field begins there, goes on to line 6" in refused(path)
    assert histories(path, quotes=False) == BOTH


def test_a_quoted_field_may_hold_a_line_end(tmp_path: Path) -> None:
    rows = 'u,a,1,"two\nlines"\nu,b,2,""\nu,c,3,"a ""b"" c"\nv,a,1,5"\nv,b,2,x\nv,c,3,y\n'
    path = put(tmp_path, "user_id,item_id,timestamp,title\n" + rows)
    assert histories(path) == BOTH


def test_a_quoted_field_may_hold_anything_where_that_is_said(tmp_path: Path) -> None:
    rows = DAY.replace("1\n", '1,"one, two\nlines, more"\n', 1).replace("2\n", "2,x\n", 1)
    path = put(tmp_path, "user_id,item_id,timestamp,title\n" + rows)
    assert "line 2: a quoted field begins there, goes on to line 3" in refused(path)
    assert histories(path, quotes=True) == BOTH


def test_a_quote_that_never_closes_is_refused_with_its_line(tmp_path: Path) -> None:
    path = put(tmp_path, "user_id,item_id,timestamp,title\n" + DAY.replace("2\n", '2,"x\n', 1))
    assert "line 3: a quoted field begins there" in refused(path)


@pytest.mark.parametrize("marker", ["NA", "null", "NaN", "\\N", "None", ""])
@pytest.mark.parametrize("place", ["user", "item"])
def test_a_missing_id_is_no_id_and_dropped_only_where_asked(
    tmp_path: Path, marker: str, place: str
) -> None:
    row = f"{marker},d,1\n" if place == "user" else f"u,{marker},1\n"
    path = put(tmp_path, TABLE + DAY + row * 3)
    assert f"column '{place}_id', line 8: 3 rows have no id, the first {marker!r}" in refused(path)
    assert histories(path, drop_missing=True) == BOTH
    lines = told(path, drop_missing=True)
    assert "rows with ids and times: 2 users, 3 items, 6 interactions left" in lines


def test_blanks_around_the_fields_of_a_table_are_no_part_of_an_id(tmp_path: Path) -> None:
    rows = (TABLE + DAY.replace("u,b", "u ,b")).replace(",", ", ") + "v , NA, 4\n"
    assert "line 8" in refused(put(tmp_path, rows))
    assert histories(put(tmp_path, rows), drop_missing=True) == BOTH


def test_blanks_around_the_ids_of_recboles_files_stay(tmp_path: Path) -> None:
    header = "user_id:token\titem_id:token\ttimestamp:float\n"
    path = put(tmp_path, header + "u\ta\t1\nu\t a\t2\nu\tb\t3\n", "x.inter")
    assert histories(path) == {"u": ["a", " a", "b"]}
    other = put(tmp_path / "other", header + "u\ta\t1\nu\t NA\t2\n", "x.inter")
    assert "line 3: 1 row has no id" in refused(other)


@pytest.mark.parametrize(("form", "rows"), [("pairs", "u a\nu NA\n"), ("lists", "u a b\nNA a b\n")])
def test_a_missing_id_is_no_id_in_a_text_of_ids(tmp_path: Path, form: str, rows: str) -> None:
    line = refused(put(tmp_path, rows, "x.txt"), format=form)
    assert "'NA' stands for a missing value" in line


def test_json_and_times_have_missing_values_too(tmp_path: Path) -> None:
    good = "".join(
        f'{{"user_id": "{r[0]}", "item_id": "{r[2]}", "timestamp": {r[4]}}}\n'
        for r in DAY.splitlines()
    )
    path = put(tmp_path, good + '{"user_id": null, "item_id": "a", "timestamp": 1}\n', "x.json")
    assert "line 7: 1 row has no id, the first 'None'" in refused(path)
    assert histories(path, drop_missing=True) == BOTH


def test_a_missing_time_is_no_time(tmp_path: Path) -> None:
    path = put(tmp_path, TABLE + DAY + "u,d,\n")
    assert "line 8: '' stands for no time" in refused(path)
    assert histories(path, drop_missing=True) == BOTH


def test_a_long_text_beside_ids_and_titles_is_read(tmp_path: Path) -> None:
    text = '"' + "long, " * 25_000 + '"'
    rows = TABLE.replace("\n", f",text\nu,a,1,{text}\nu,b,2,x\nu,c,3,y\n")
    assert "line 5: 1 row has no id" in refused(put(tmp_path, rows + "u,,4,z\n"))
    assert histories(put(tmp_path, rows)) == {"u": ["a", "b", "c"]}
    (tmp_path / "ml").mkdir()
    ratings = "userId,movieId,rating,timestamp\n1,2,3,4\n1,3,3,5\n1,4,3,6\n"
    put(tmp_path / "ml", f"movieId,genres,title\n2,{text},Heat\n", "movies.csv")
    convert("ml-25m", put(tmp_path / "ml", ratings, "ratings.csv"), tmp_path / "data")
    assert load(locate("ml-25m", tmp_path / "data")).titles == {"2": "Heat"}


@pytest.mark.parametrize("start", [" \n", "\t\r\n\r\n  \r\n", "\ufeff\n \n"])
@pytest.mark.parametrize("time", ["timestamp", None])
def test_lines_of_blanks_before_the_header_are_no_header(
    start: str, time: str | None, tmp_path: Path
) -> None:
    assert histories(put(tmp_path, start + TABLE + DAY), time=time) == BOTH
    line = 5 + start.count("\n")
    missing = put(tmp_path / "other", start + TABLE + "u,a,1\nu,b,2\nu,c,3\nu,,4\n")
    assert f"line {line}: 1 row has no id" in refused(missing, time=time)


def test_equal_times_are_counted_and_said_to_follow_the_item_id(tmp_path: Path) -> None:
    path = put(tmp_path, TABLE + "u,3,5\nu,10,5\nu,20,5\nv,1,1\nv,2,2\nv,3,3\n")
    lines = told(path)
    assert any(
        line.startswith("equal times: 3 interactions (50.0 %)")
        and line.endswith("100.0 % in ascending order of item id")
        for line in lines
    )
    assert any("the item id decides the test item of 1 users (50.0 %)" in line for line in lines)


def test_equal_times_in_another_order_are_said_to_follow_the_file(tmp_path: Path) -> None:
    lines = told(put(tmp_path, TABLE + "u,3,5\nu,10,5\nu,2,5\n"))
    assert any("the order of the file decides the test item of 1 users" in line for line in lines)


def test_no_equal_times_are_said_to_be_none(tmp_path: Path) -> None:
    assert "equal times: none" in told(put(tmp_path, TABLE + DAY))


def test_a_pair_a_line_is_read_as_pairs(tmp_path: Path) -> None:
    path = put(tmp_path, "1 6393\n1 13504\n2 7\n1 7\n2 9\n2 6393\n", "x.txt")
    assert histories(path) == {"1": ["6393", "13504", "7"], "2": ["7", "9", "6393"]}
    assert "line an interaction (pairs)" in " ".join(told(path))


def test_a_line_a_user_that_comes_twice_names_the_form_of_pairs(tmp_path: Path) -> None:
    assert "--format pairs" in refused(put(tmp_path, "1 2 3 4\n1 5\n", "x.txt"))
    assert "line 1: has 4 ids" in refused(put(tmp_path, "1 2 3 4\n", "y.txt"), format="pairs")


@pytest.mark.parametrize("form", ["lists", "pairs"])
def test_ids_of_lines_may_be_words_where_the_form_is_told(tmp_path: Path, form: str) -> None:
    lists = "ü 東京 b c\nv 東京 b c\n"
    pairs = "".join(f"{u} {i}\n" for u in "üv" for i in ("東京", "b", "c"))
    path = put(tmp_path, lists if form == "lists" else pairs, "x.txt")
    assert histories(path, format=form) == {u: ["東京", "b", "c"] for u in "vü"}
    assert "--format lists or pairs" in refused(put(tmp_path / "other", "a b c\n", "w.txt"))


@pytest.mark.parametrize(
    ("content", "name", "options"),
    [
        ("u::a::5::1\nu::b::5::2\nu::c::5::3\nv::a::5::1\nv::b::5::2\nv::c::5::3\n", "x.dat",
         {"user": 0, "item": 1, "time": 3}),
        (DAY, "x.csv", NUMBERED),
        (TABLE + DAY, "x.csv", NUMBERED),  # a header is seen, whatever names the columns
        (DAY.replace(",", "<->"), "x.dat", {"separator": "<->", **NUMBERED}),
        (DAY.replace(",", "¦"), "x.dat", {"separator": "¦", **NUMBERED}),
        ("\ufeff" + (TABLE + DAY).replace("\n", "\r\n"), "x.csv", {}),
        ("user_id\ttimestamp\titem_id\nu\t3\tc\nu\t1\ta\nu\t2\tb\nv\t1\ta\nv\t2\tb\nv\t3\tc\n",
         "g.txt", {}),
        ("u,c,a\nu,a,b\nu,b,c\nv,a,a\nv,b,b\nv,c,c\n", "x.csv",
         {"user": 0, "item": 2, "time": None}),
        ("".join(f"{{'user_id': '{r[0]}', 'item_id': \"{r[2]}\", 'timestamp': {r[4]}}}\n"
                 for r in DAY.splitlines()), "x.json", {}),
    ],
)  # fmt: skip
def test_a_file_is_read_as_it_is_told_or_looks(
    tmp_path: Path, content: str, name: str, options: dict[str, Any]
) -> None:
    assert histories(put(tmp_path, content, name), **options) == BOTH


@pytest.mark.parametrize(
    ("content", "time", "items"),
    [
        ("A1,000100039X,5.0,1369699200\nA1,01,5.0,1369699201\nA1,02,1.0,1369699202\n", 3, "X12"),
        ("user,item,stars,2019\nA1,01,5,2\nA1,02,5,3\nA1,03,5,4\n", None, None),
        ("user,item,2019,when\nA1,01,5,2\nA1,02,5,3\nA1,03,5,4\n", 3, "123"),
        ("user,item,day\nA1,01,2001-01-01\nA1,02,2001-01-02\nA1,03,2001-01-03\n", 2, "123"),
        ("A1,000100039X\nA1,01\nA1,02\n", None, None),
        ("A1,000100039X\nA1,01\nA1,0X\n", None, "X1X"),
        ("A1,B01\nA1,01\nA1,B02\nA1,03\n", None, "1123"),
        ("user,item\n1,01\n1,02\n1,03\n", None, "123"),
    ],
)
def test_the_first_line_is_lost_to_no_header_and_an_unclear_one_is_refused(
    tmp_path: Path, content: str, time: int | None, items: str | None
) -> None:
    path, options = put(tmp_path, content), {"user": 0, "item": 1, "time": time}
    if items is None:
        assert "line 1" in (line := refused(path, **options))
        assert "--header" in line
    else:
        (found,) = histories(path, **options).values()
        assert "".join(item[-1] for item in found) == items


@pytest.mark.parametrize("packing", PACKED)
def test_a_packed_file_is_read_as_it_is_and_refused_where_it_is_cut(
    tmp_path: Path, packing: str
) -> None:
    packed = PACKED[packing]((TABLE + DAY).encode())
    assert histories(put(tmp_path, packed, f"x.csv.{packing}")) == BOTH
    cut = put(tmp_path / "other", packed[: len(packed) - 9], f"cut.csv.{packing}")
    assert "cut short or damaged" in refused(cut) or "damaged" in refused(cut)


def test_an_encrypted_archive_is_refused_in_one_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("x.csv", TABLE + DAY)
    data = bytearray((tmp_path / "x.zip").read_bytes())
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # bit 0: encrypted
        data[data.index(magic) + flags] |= 1
    (tmp_path / "x.zip").write_bytes(data)
    assert "unpack it first" in refused(tmp_path / "x.zip")


def test_a_quote_that_never_closes_in_a_file_of_titles_is_refused(tmp_path: Path) -> None:
    rows = "".join(f"{number},t\n" for number in range(3, 9))
    with zipfile.ZipFile(tmp_path / "ml-25m.zip", "w") as archive:
        archive.writestr("ml-25m/ratings.csv", "userId,movieId,rating,timestamp\n1,2,3,4\n")
        archive.writestr("ml-25m/movies.csv", 'movieId,title\n1,"A"\n2,"B,x\n' + rows)
    with pytest.raises(UsageError, match="quote"):
        convert("ml-25m", tmp_path / "ml-25m.zip", tmp_path / "data")


def test_a_file_in_an_archive_or_folder_is_found(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("folder/x.csv", TABLE + DAY)
    assert histories(tmp_path / "x.zip") == BOTH
    ratings = "userId,movieId,rating,timestamp\n" + "1,2,3,4\n1,3,3,5\n1,4,3,6\n"
    with zipfile.ZipFile(tmp_path / "ml-25m.zip", "w") as archive:
        archive.writestr("ml-25m/ratings.csv", ratings)
        archive.writestr("ml-25m/movies.csv", "movieId,title\n2,Heat\n")
    convert("ml-25m", tmp_path / "ml-25m.zip", tmp_path / "zipped")
    assert load(locate("ml-25m", tmp_path / "zipped")).titles == {"2": "Heat"}
    (tmp_path / "raw" / "ml-25m").mkdir(parents=True)
    put(tmp_path / "raw" / "ml-25m", ratings, "ratings.csv")
    convert("ml-25m", tmp_path / "raw", tmp_path / "foldered")
    assert locate("ml-25m", tmp_path / "foldered").interactions == 3


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_several_files_that_may_be_meant_are_refused_with_their_names(
    tmp_path: Path, kind: str
) -> None:
    names = ["ml-20m/ratings.csv", "ml-25m/ratings.csv"]
    rows = "userId,movieId,rating,timestamp\n1,2,3,4\n1,3,3,5\n1,4,3,6\n"
    if kind == "archive":
        with zipfile.ZipFile(tmp_path / "dl", "w") as archive:
            for name in names:
                archive.writestr(name, rows)
    else:
        for name in names:
            (tmp_path / "dl" / name).parent.mkdir(parents=True)
            (tmp_path / "dl" / name).write_text(rows)
    with pytest.raises(UsageError) as error:
        convert("ml-25m", tmp_path / "dl", tmp_path / "data")
    assert len(str(error.value).splitlines()) == 1
    assert all(name in str(error.value) for name in names)
    assert not (tmp_path / "data").exists()


def test_archives_in_a_folder_are_opened_like_files(tmp_path: Path) -> None:
    """As Kaggle and browsers leave them: each file in a zip archive of its own name. An archive
    may also be named after one of the files in it."""
    contents = {
        "ratings.csv": "userId,movieId,rating,timestamp\n1,2,3,4\n1,3,3,5\n1,4,3,6\n",
        "movies.csv": "movieId,title,genres\n2,Heat,Crime\n",
    }
    (tmp_path / "dl").mkdir()
    for name, text in contents.items():
        with zipfile.ZipFile(tmp_path / "dl" / f"{name}.zip", "w") as archive:
            archive.writestr(name, text)
            archive.writestr("license.txt", "free")
    convert("ml-25m", tmp_path / "dl", tmp_path / "data")
    found = load(locate("ml-25m", tmp_path / "data"))
    assert found.item_ids.tolist()[1:] == ["2", "3", "4"]
    assert found.titles == {"2": "Heat"}
    (tmp_path / "dl" / "movies.csv.zip").unlink()
    with zipfile.ZipFile(tmp_path / "dl" / "ratings.csv.zip", "w") as archive:
        for name, text in contents.items():
            archive.writestr(name, text)
    convert("ml-25m", tmp_path / "dl", tmp_path / "again")
    assert load(locate("ml-25m", tmp_path / "again")).titles == {"2": "Heat"}


@pytest.mark.parametrize(
    ("times", "options", "expected", "said"),
    [
        (("978300760", "978300761", "978300762"), {}, "978300760", "seconds since 1970"),
        (("978300760123", "978300761000", "978300762000"), {}, "978300760.123", "milliseconds"),
        (("978300760000000", "978300761000000", "978300762000000"), {}, "978300760", "microsec"),
        (("1", "2", "3"), {}, "1", "numbers, kept as they are"),
        (("1", "2", "3"), {"time_format": "ms"}, "0.001", "milliseconds"),
        (("2000-12-31T22:12:40Z", "2001-01-01", "2001-01-02 10:00"), {}, "978300760", "ISO dates"),
        (("31/12/2000", "01/01/2001", "02/01/2001"), {"time_format": "%d/%m/%Y"}, "978220800",
         "dates in the form %d/%m/%Y"),
    ],
)  # fmt: skip
def test_a_look_decides_what_times_are_and_the_command_says_it(
    tmp_path: Path, times: tuple[str, ...], options: dict[str, Any], expected: str, said: str
) -> None:
    rows = "".join(f"u,{item},{time}\n" for item, time in zip("abc", times, strict=True))
    lines = told(put(tmp_path, TABLE + rows), **options)
    assert any(line.startswith("times: ") and said in line for line in lines)
    written = (tmp_path / "data" / "mine" / "mine.inter").read_text().splitlines()
    assert written[1].split("\t")[2] == expected


def test_filters_are_told_step_by_step(tmp_path: Path) -> None:
    rows = "".join(f"u,{i},{i},{'view' if i % 2 else 'buy'},{i}\n" for i in range(1, 12))
    path = put(tmp_path, "user_id,item_id,timestamp,event,stars\n" + rows)
    lines = told(path, keep={"event": ["view"]}, min={"stars": 4})
    assert "event is view: 1 users, 6 items, 6 interactions left" in lines
    assert "stars >= 4: 1 users, 4 items, 4 interactions left" in lines
    other = put(tmp_path / "other", path.read_text(), "filters.csv")
    assert "the column holds 'buy', 'view'" in refused(other, keep={"event": ["click"]})
    assert "line 2: the event 'view' is not a number" in refused(other, min={"event": 1})


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("keep", ["a", "b", "a", "a", "c", "c"]),
        ("exact", ["a", "b", "a", "c"]),
        ("first", ["a", "b", "c"]),
        ("last", ["b", "a", "c"]),
    ],
)
def test_duplicates_are_counted_and_left_out_as_asked(
    tmp_path: Path, rule: str, kept: list[str]
) -> None:
    path = put(tmp_path, TABLE + "u,a,1\nu,b,2\nu,a,3\nu,a,3\nu,c,4\nu,c,4\n")
    assert histories(path, duplicates=rule) == {"u": kept}
    counted = "duplicates: 3 interactions with an item that the user had before, 2 of them at the"
    assert any(line.startswith(counted) for line in told(path, duplicates=rule))


def test_users_and_items_have_cores_of_their_own(tmp_path: Path) -> None:
    rows = "u,a,1\nu,b,2\nu,c,3\nv,a,1\nv,b,2\nv,a,3\nw,c,1\n"
    lines = told(put(tmp_path, TABLE + rows), user_core=2)
    assert "2-core of users, round 1: 2 users, 3 items, 6 interactions left" in lines
    dense = put(tmp_path, TABLE + DAY, "dense.csv")
    lines = convert("dense", dense, tmp_path / "data", {"user_core": 3, "item_core": 2})
    assert "core of 3 for users and 2 for items: nothing to remove" in lines


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (TABLE + DAY, {"user": "usr"}, "no column 'usr' for the user (did you mean 'user_id'?)"),
        (TABLE + DAY, {"user": 7}, "no column '7' for the user"),
        (DAY, {"user": 0, "item": 1, "time": 9}, "has no header, and columns 0 to 2"),
        (TABLE + DAY, {"separator": "::"}, "line 1: the separator '::' does not occur in"),
        (TABLE + "u,a,1\nu,b,soon\n", {}, "line 3: 'soon' is not a number like the times above"),
        (TABLE + "u,a,soon\n", {}, "line 2: 'soon' is neither a number nor an ISO date"),
        (TABLE + "u,a,1\n", {"time_format": "iso"}, "line 2: '1' is not an ISO date"),
        (TABLE + "u,a,978300760\nu,b,978300760000\n", {},
         "line 3: '978300760000' seems to be in milliseconds since 1970, the times above it in"),
        (TABLE + "u,a,2001-01-01\nu,b,978300760\n", {}, "line 3: '978300760' is not an ISO date"),
        (TABLE + DAY, {"k_core": 5}, "the 5-core leaves nothing (round 1: 0 users"),
        (TABLE + DAY, {"k_core": 0}, "user_core must be a whole number of at least 1"),
        (TABLE + DAY, {"time_format": "%Q"}, "--time-format %Q: 'Q' is a bad directive"),
        (TABLE + DAY, {"time_format": "%"}, "--time-format %: stray %"),
        (TABLE + DAY, {"min": {"stars": 1}}, "its header has: 'user_id', 'item_id', 'timestamp'"),
        ('{"user_id": 1, "item_id": [2], "timestamp": 3}\n', {}, "line 1: the item is '[2]'"),
        (TABLE + DAY, {"format": "xml"}, "format must be one of auto, csv"),
        (TABLE + DAY, {"time_format": "days"}, "time_format must be one of"),
        (TABLE + DAY, {"format": "jsonl"}, "line 1: 'user_id,item_id,timestamp' is not an object"),
        (TABLE + DAY, {"format": "parquet"}, "parquet"),
        ("1::1193::5::978300760\n", {}, "its header has: '1', '1193', '5'"),
        ("userId,movieId,rating,timestamp\n1,2,3,4\n", {}, "ml-25m"),
        ("A1,B1,5.0,1369699200\n", {}, "by number from 0 where no line names them"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_says_where_and_what_would_be_right(
    tmp_path: Path, content: str, options: dict[str, Any], message: str
) -> None:
    assert message in refused(put(tmp_path, content), **options)


def test_a_table_without_a_header_says_how_to_name_its_columns(tmp_path: Path) -> None:
    line = refused(put(tmp_path, "1::1193::5::978300760\n", "x.txt"))
    assert "4 fields separated by '::' (0 '1', 1 '1193', 2 '5', 3 '978300760')" in line
    assert "--user-column 0 --item-column 1 --time-column 3" in line


def test_a_missing_raw_file_names_the_file_and_its_page(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.csv", tmp_path):
        with pytest.raises(UsageError, match=r"ratings.csv, see https://grouplens.org") as error:
            convert("ml-25m", path, tmp_path / "data")
        assert len(str(error.value).splitlines()) == 1


def test_a_known_recipe_reads_another_name(tmp_path: Path) -> None:
    path = put(tmp_path, "1::2::5::1\n1::3::5::2\n1::4::5::3\n", "sample.dat")
    convert("sample", path, tmp_path / "data", {}, "ml-1m")
    spec = locate("sample", tmp_path / "data")
    assert (spec.interactions, spec.examples) == (3, "prefixes")
    with pytest.raises(UsageError, match="unknown"):
        convert("sample", path, tmp_path / "data", {}, "ml-2m")


def test_rows_of_a_list_and_the_item_after_it_are_histories(tmp_path: Path) -> None:
    rows = "1\ta\tb\n1\ta b\tc\n2\tb\ta\n2\tb a\tc\n"
    header = "session_id:token\titem_id_list:token_seq\titem_id:token\n"
    assert histories(put(tmp_path, header + rows, "x.inter")) == {
        "1": ["a", "b", "c"],
        "2": ["b", "a", "c"],
    }


def test_the_command_takes_every_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{u};{i};0{i}/01/2001;view;{i}\n" for u in "uv" for i in range(1, 7))
    path = put(tmp_path, "who;what;when;event;stars\n" + rows + "NA;9;01/01/2001;view;5\n")
    command = [
        "data", "mine", "--source", str(path), "--data-dir", str(tmp_path / "data"),
        "--format", "csv", "--separator", ";", "--header", "yes", "--quotes", "no",
        "--user-column", "who", "--item-column", "1", "--time-column", "when",
        "--time-format", "%d/%m/%Y", "--keep", "event=view,buy", "--min", "stars=2",
        "--drop-missing", "--duplicates", "first", "--user-core", "3", "--item-core", "2",
    ]  # fmt: skip
    assert main(command) == 0
    assert "kept: 2 users, 5 items, 10 interactions" in capsys.readouterr().out
    assert main([*command[:6], "--min", "stars"]) == 2
    assert "COLUMN=VALUE" in capsys.readouterr().err
    assert main(["data", "--list"]) == 0
    assert "https://grouplens.org/datasets/movielens/1m/" in capsys.readouterr().out


@pytest.mark.parametrize("at_once", [1, 1000])
def test_a_whole_number_is_one_id_however_json_writes_it(
    at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.data.reading.json_rows.CHUNK", at_once)
    rows = [(1, "a", 1), (1.0, "b", 2), (1, "c", 3)]
    names = ("user_id", "item_id", "timestamp")
    text = "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)
    found = read_raw(Source(put(tmp_path, text, "clicks.json")), Recipe()).interactions
    assert found.user_ids.tolist() == ["1"]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("1 2 3 4\n", "x.txt"),
        ("session_id:token\titem_id_list:token_seq\titem_id:token\nu\t1 2 3\t4\n", "x.inter"),
    ],
)
@pytest.mark.parametrize("asked", [{"min": {"rating": 4}}, {"drop_missing": True}])
def test_a_filter_of_columns_is_refused_where_lines_are_histories(
    tmp_path: Path, content: str, name: str, asked: dict[str, Any]
) -> None:
    (option,) = asked
    assert f"without columns that {option}" in refused(put(tmp_path, content, name), **asked)


def test_a_number_may_be_missing_in_rows_that_keep_leaves_out(tmp_path: Path) -> None:
    """Views have no amount; the order is of a row that is left out, too."""
    rows = "u,1,1,buy,5\nu,2,2,view,\nu,3,3,buy,1\nu,4,4,buy,7\nu,5,5,buy,9\n"
    path = put(tmp_path, "user_id,item_id,timestamp,event,amount\n" + rows)
    lines = told(path, keep={"event": ["buy"]}, min={"amount": 2})
    assert "amount >= 2: 1 users, 3 items, 3 interactions left" in lines
    other = put(tmp_path / "other", path.read_text())
    assert "line 3: the amount '' is not a number" in refused(other, min={"amount": 2})


def test_an_id_that_cannot_be_one_is_told_with_its_line_and_left_out_on_demand(
    tmp_path: Path,
) -> None:
    rows = "".join(f'{{"user_id": "u", "item_id": {i}, "timestamp": {i}}}\n' for i in range(1, 5))
    bad = '{"user_id": "a\\u0085b", "item_id": 1, "timestamp": 9}\n'
    path = put(tmp_path, rows + bad, "x.jsonl")
    assert "line 5: 1 row has no usable id, the first 'a\\x85b', which holds" in refused(path)
    assert "kept: 1 users, 4 items, 4 interactions" in told(path, drop_missing=True)


def test_an_id_that_cannot_be_one_does_not_matter_in_a_row_that_is_left_out(tmp_path: Path) -> None:
    long = "x" * 300
    rows = "u,1,1,a\nu,2,2,a\nu,3,3,a\n" + f"{long},4,4,b\n"
    path = put(tmp_path, "user_id,item_id,timestamp,event\n" + rows)
    assert "kept: 1 users, 3 items, 3 interactions" in told(path, keep={"event": ["a"]})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"user": "a", "item": "a", "time": "none"}, "different columns are needed, got user 'a'"),
        ({"user": "none", "item": "a"}, "no column 'none' for the user"),
        (
            {"user": "a", "item": "b", "time": "none", "history": "c", "item_separator": " "},
            "a history of items before a row needs the time",
        ),
    ],
)
def test_columns_that_do_not_fit_together_are_told(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    assert said in refused(put(tmp_path, "a,b,c\n1,2,3\n"), **options)


def test_blanks_around_a_date_are_left_out(tmp_path: Path) -> None:
    rows = "u, 1, 2014-07-10\nu, 2, 2014-07-11\nu, 3, 2014-07-12\n"
    lines = told(put(tmp_path, "user_id,item_id,timestamp\n" + rows))
    assert "kept: 1 users, 3 items, 3 interactions" in lines


def test_a_zip_archive_may_hold_a_file_that_is_packed(tmp_path: Path) -> None:
    text = "user_id,item_id,timestamp\nu,1,1\nu,2,2\nu,3,3\n"
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.csv.gz", gzip.compress(text.encode()))
    assert "kept: 1 users, 3 items, 3 interactions" in told(path)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_archive_is_to_be_unpacked(tmp_path: Path, mode: str) -> None:
    inside = put(tmp_path, "user_id,item_id,timestamp\nu,1,1\n")
    path = tmp_path / "all.tar"
    with tarfile.open(path, mode) as archive:
        archive.add(inside, "x.csv")
    assert "is a tar archive; unpack it" in refused(path)


def test_a_title_may_hold_what_ends_a_line_elsewhere(tmp_path: Path) -> None:
    """Of cp1252, \\x85 is three dots."""
    rows = "".join(f"7::{i}::5::{i}\n" for i in range(1, 5))
    put(tmp_path, rows, "ratings.dat")
    put(tmp_path, b"1::What\x85 next (1999)::Drama\n2::Heat (1995)::Crime\n", "movies.dat")
    convert("ml-1m", tmp_path / "ratings.dat", tmp_path / "data")
    written = (tmp_path / "data" / "ml-1m" / "ml-1m.item").read_text(encoding="utf-8")
    assert written.splitlines()[1:] == ["1\tWhat next (1999)", "2\tHeat (1995)"]


def test_a_timestamp_that_nanoseconds_cannot_hold_is_told(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    times = np.array(["2020-01-01", "9999-12-31"], dtype="datetime64[s]")
    table = pd.DataFrame({"user_id": [1, 1], "item_id": [1, 2], "timestamp": times})
    table.to_parquet(tmp_path / "x.parquet")
    said = refused(tmp_path / "x.parquet")
    assert "row 2: '9999-12-31 00:00:00' lies outside the years 1678 to 2261" in said


@pytest.mark.parametrize("name", ["X.valid.inter", "X.train.inter", "X.test.inter"])
def test_titles_are_found_beside_any_file_of_a_split(tmp_path: Path, name: str) -> None:
    head = "user_id:token\titem_id:token\ttimestamp:float\n"
    put(tmp_path, head + "u\t1\t1\nu\t2\t2\n", "X.train.inter")
    put(tmp_path, head + "u\t3\t3\n", "X.valid.inter")
    put(tmp_path, head + "u\t4\t4\n", "X.test.inter")
    put(tmp_path, "item_id:token\ttitle:token_seq\n4\tHeat\n", "X.item")
    told(tmp_path / name)
    assert "4\tHeat" in (tmp_path / "data" / "mine" / "mine.item").read_text()


def test_titles_are_found_in_the_archive_of_the_interactions(tmp_path: Path) -> None:
    rows = "user_id:token\titem_id:token\ttimestamp:float\nu\t1\t1\nu\t2\t2\nu\t3\t3\n"
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-1m/ml-1m.inter", rows)
        archive.writestr("ml-1m/ml-1m.item", "item_id:token\ttitle:token_seq\n1\tHeat\n")
    convert("ml-1m", path, tmp_path / "data")
    assert "1\tHeat" in (tmp_path / "data" / "ml-1m" / "ml-1m.item").read_text()


def test_a_file_of_items_without_titles_is_told(tmp_path: Path) -> None:
    rows = [{"reviewerID": "u", "asin": str(i), "unixReviewTime": 10**9 + i} for i in range(9)]
    put(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "reviews_A_5.json")
    put(tmp_path, "".join(f"{{'asin': '{i}'}}\n" for i in range(9)), "meta_A.json")
    options = {"user_core": 1, "item_core": 1}
    source, data = tmp_path / "reviews_A_5.json", tmp_path / "data"
    lines = convert("amazon-2014-A", source, data, options)
    (line,) = (line for line in lines if line.startswith("titles: "))
    assert line.startswith("titles: none; ")
    assert "no field 'title'" in line


@pytest.mark.parametrize("options", [{}, {"format": "jsonl"}])
@pytest.mark.parametrize("indent", [None, 1])
def test_a_json_list_is_told_to_become_lines(
    tmp_path: Path, options: dict[str, Any], indent: int | None
) -> None:
    path = put(tmp_path, json.dumps([{"user": "a", "item": "b"}] * 9000, indent=indent), "x.json")
    assert "is one JSON list; `jq -c '.[]'` makes it" in refused(path, **options)
