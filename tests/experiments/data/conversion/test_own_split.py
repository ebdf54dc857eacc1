"""Raw data that come split: three files that stay what they are, and follow each other."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import numpy as np
import pytest

from experiments.cli.main import main
from experiments.data.catalogue import load, locate
from experiments.data.conversion.convert import convert
from experiments.data.splits.held_out import evaluation_rows
from experiments.data.splits.kinds import Files
from experiments.errors import UsageError

HEADER = "user_id,parent_asin,rating,timestamp"


def three(folder: Path, train: str, valid: str, test: str, header: str = HEADER) -> Path:
    """Write Toys.train.csv, Toys.valid.csv and Toys.test.csv, and return the first."""
    for part, rows in (("train", train), ("valid", valid), ("test", test)):
        (folder / f"Toys.{part}.csv").write_text("\n".join([header, *rows.split()]) + "\n")
    return folder / "Toys.train.csv"


def test_the_three_files_of_a_split_stay_three(tmp_path: Path) -> None:
    source = three(tmp_path, "1,a,5,1 1,b,5,2 2,b,5,1", "1,c,5,3 2,a,5,2", "1,d,5,4000 2,c,5,3000")
    lines = convert("amazon-2023-Toys", source, tmp_path / "data")
    assert any("together: 2 users, 4 items, 7 interactions" in line for line in lines)
    folder = tmp_path / "data" / "amazon-2023-Toys"
    valid = (folder / "amazon-2023-Toys.valid.inter").read_text().splitlines()
    assert valid[1:] == ["1\tc\t0.003", "2\ta\t0.002"]
    spec = locate("amazon-2023-Toys", tmp_path / "data")
    assert (spec.path.name, spec.defaults["split.kind"]) == (
        "amazon-2023-Toys.train.inter",
        "files",
    )
    with pytest.raises(UsageError, match="its own split, which k_core would change"):
        convert("amazon-2023-Toys", source, tmp_path / "x", {"k_core": 5})
    (tmp_path / "Toys.valid.csv").unlink()
    with pytest.raises(UsageError, match=r"Toys.valid.csv is not beside it"):
        convert("amazon-2023-Toys", source, tmp_path / "x")


def test_a_file_of_another_folder_is_no_part_of_the_split(tmp_path: Path) -> None:
    source = three(tmp_path, "1,a,5,1", "1,b,5,2", "1,c,5,3")
    (tmp_path / "old").mkdir()
    (tmp_path / "Toys.valid.csv").rename(tmp_path / "old" / "Toys.valid.csv")
    with pytest.raises(UsageError, match=r"Toys.valid.csv is not beside it"):
        convert("amazon-2023-Toys", source, tmp_path / "data")


@pytest.mark.parametrize("named", ["Toys.train.csv", "Toys.train.csv.gz"])
def test_the_file_that_is_named_is_read_and_others_packed_as_it_is(
    named: str, tmp_path: Path
) -> None:
    three(tmp_path, "1,a,5,1", "1,b,5,2", "1,c,5,3")
    for plain in list(tmp_path.glob("*.csv")):
        text = plain.read_text().replace("1,", "packed,")
        plain.with_name(f"{plain.name}.gz").write_bytes(gzip.compress(text.encode()))
    lines = convert("amazon-2023-Toys", tmp_path / named, tmp_path / "data")
    read = [line.split(": ")[0] for line in lines if line.startswith("read ")]
    parts = [named.replace("train", part) for part in ("train", "valid", "test")]
    assert read == [f"read {tmp_path / part}" for part in parts]


def test_a_part_in_several_packings_of_which_none_is_that_of_the_source_is_refused(
    tmp_path: Path,
) -> None:
    source = three(tmp_path, "1,a,5,1", "1,b,5,2", "1,c,5,3")
    valid = (tmp_path / "Toys.valid.csv").read_bytes()
    (tmp_path / "Toys.valid.csv").unlink()
    (tmp_path / "Toys.valid.csv.gz").write_bytes(gzip.compress(valid))
    (tmp_path / "Toys.valid.csv.bz2").write_bytes(bz2.compress(valid))
    with pytest.raises(UsageError, match=r"Toys.valid.csv.bz2, .*Toys.valid.csv.gz"):
        convert("amazon-2023-Toys", source, tmp_path / "data")


@pytest.mark.parametrize(
    ("valid", "message"),
    [
        ("1,b,5,2 2,a,5,9", "Toys.train.csv and Toys.valid.csv share 1 interactions, such as user"),
        ("1,c,5,1", "Toys.train.csv has an interaction of user 1 that is later than one in Toys.v"),
    ],
)
def test_files_that_overlap_are_refused_and_nothing_is_written(
    valid: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = three(tmp_path, "1,a,5,1 1,b,5,2", valid, "1,d,5,4000")
    command = ["data", "amazon-2023-Toys", "--source", str(source)]
    assert main([*command, "--data-dir", str(tmp_path / "data")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_files_without_times_follow_each_other_as_the_parts_do(tmp_path: Path) -> None:
    header = "user_id,item_id"
    source = three(tmp_path, "1,a 1,b 2,b 2,a", "1,a 2,c 1,c", "1,b 2,b", header)
    convert("toys-split", source, tmp_path / "data", {"time": "none"})
    found = load(locate("toys-split", tmp_path / "data"), split=Files(unknown_items="rank"))
    histories = np.split(found.item_ids[found.items], found.offsets[1:-1])
    assert ["".join(history) for history in histories] == ["abacb", "bacb"]
    assert len(evaluation_rows(found, "valid", 5).user) == 3
    assert found.times is None


def test_a_column_that_is_asked_for_is_read_from_recboles_own_files_too(tmp_path: Path) -> None:
    header = "user_id:token\titem_id:token\tkind:token\ttimestamp:float"
    for part, rows in (("train", "1 a x 1,1 b y 2"), ("valid", "1 c x 3"), ("test", "1 d y 4")):
        lines = [header, *(row.replace(" ", "\t") for row in rows.split(","))]
        (tmp_path / f"Y.{part}.inter").write_text("\n".join(lines) + "\n")
    source = tmp_path / "Y.train.inter"
    convert("by-item", source, tmp_path / "data")
    convert("by-kind", source, tmp_path / "data", {"item": "kind"})
    found = {
        name: load(locate(name, tmp_path / "data"), split=Files(unknown_items="rank"))
        .item_ids[1:]
        .tolist()
        for name in ("by-item", "by-kind")
    }
    assert found == {"by-item": ["a", "b", "c", "d"], "by-kind": ["x", "y"]}
