"""From the name of a data set to its file, and from its file to checked histories."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.data.catalogue import DatasetSpec, load, locate
from experiments.data.declaration import read_declaration
from experiments.data.known import FOLDER, declared, families, known
from experiments.errors import UsageError

TEXT = "1 2 3 4\n2 3 4 5\n"


def refused(name, data_dir):
    with pytest.raises(UsageError) as error:
        locate(name, data_dir)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def place(path: Path, content: str = TEXT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


WINDOWS = ("ml-", "kuairec", "lastfm-1k", "yambda", "zvuk")  # histories are long


def test_the_known_data_sets_are_the_yaml_files():
    names = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    assert sorted([*known(), *families()]) == names
    assert {"beauty", "ml-100k", "ml-1m", "sports", "toys", "yelp"} <= set(known())
    assert families() == [f"amazon-{year}-CATEGORY" for year in (2014, 2018, 2023)]


@pytest.mark.parametrize("name", [*known(), *families()])
def test_every_declaration_reads_and_begins_with_one_line_about_itself(name):
    declaration = read_declaration(FOLDER / f"{name}.yaml")
    assert declaration.examples == ("windows" if name.startswith(WINDOWS) else "prefixes")
    long = declaration.examples == "windows" and name != "ml-100k"
    assert declaration.max_length == (200 if long else 50)
    assert (FOLDER / f"{name}.yaml").read_text().startswith("# ")


def test_a_member_of_a_family_has_its_category_in_every_name():
    declaration = declared("amazon-2014-Office_Products")
    assert declaration.file == "amazon-2014-Office_Products.inter"
    assert "reviews_Office_Products_5.json" in declaration.raw.files


@pytest.mark.parametrize("where", ["ml-1m.inter", "ml-1m/ml-1m.inter", "ml-1m.txt"])
def test_a_known_data_set_of_raw_files_is_found_in_all_of_its_forms(tmp_path, where):
    path = place(tmp_path / where)
    spec = locate("ml-1m", tmp_path)
    assert (spec.path, spec.examples, spec.max_length) == (path, "windows", 200)


def test_a_raw_file_is_not_trained_on_but_is_said_how_to_convert(tmp_path):
    place(tmp_path / "ratings.dat")
    told = refused("ml-1m", tmp_path)
    assert "get ratings.dat or ml-1m.txt or ml-1m.inter from https://grouplens.org" in told
    assert "`run.py data ml-1m --source FILE --data-dir DIR`" in told


def test_naming_them_imports_neither_pandas_nor_torch():
    code = (
        "import sys; from experiments.data.catalogue import known; known(); "
        "print({'numpy', 'pandas', 'torch', 'recbole'} & set(sys.modules))"
    )
    root = FOLDER.parent.parent
    shell = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert shell.stdout == "set()\n"


def test_the_embedded_data_set_needs_no_folder_and_has_titles():
    spec = locate("ml-100k", None)
    found = load(spec)
    assert (spec.examples, spec.max_length) == ("windows", 50)
    assert (found.num_users, found.num_items, len(found.items)) == (943, 1682, 100_000)
    assert found.titles["1"] == "Toy Story (1995)"


@pytest.mark.parametrize("where", ["Beauty.txt", "Beauty/Beauty.txt"])
def test_a_known_data_set_is_its_file_in_the_folder(tmp_path, where):
    path = place(tmp_path / where)
    spec = locate("beauty", tmp_path)
    assert (spec.path, spec.examples, spec.users) == (path, "prefixes", 22_363)


def test_a_file_that_is_not_the_known_one_is_refused(tmp_path):
    place(tmp_path / "Beauty.txt")
    with pytest.raises(UsageError, match=r"Beauty.txt .*expected users 22363, found 2$"):
        load(locate("beauty", tmp_path))


def test_a_change_that_keeps_the_counts_is_seen_in_the_checksum(tmp_path):
    path = place(tmp_path / "x.txt")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    assert load(DatasetSpec("x", path, users=2, items=4, sha256=right)).num_items == 4
    place(path, "1 2 3 4\n2 3 5 4\n")
    with pytest.raises(UsageError, match=f"expected sha256 {right}, found "):
        load(DatasetSpec("x", path, users=2, items=4, sha256=right))


@pytest.mark.parametrize("where", ["LastFM.txt", "LastFM.inter", "LastFM/LastFM.inter"])
def test_any_other_stem_in_the_folder_works_as_it_is(tmp_path, where):
    path = place(tmp_path / where)
    assert locate("LastFM", tmp_path) == DatasetSpec("LastFM", path, "prefixes", 50)


def test_a_registered_data_set_comes_first(tmp_path):
    place(tmp_path / "mine.txt")
    place(tmp_path / "mine" / "mine.inter")
    place(
        tmp_path / "mine" / "mine.yaml",
        "file: mine.inter\nexamples: windows\nmax_length: 20\nusers: 7\n",
    )
    expected = DatasetSpec("mine", tmp_path / "mine" / "mine.inter", "windows", 20, users=7)
    assert locate("mine", tmp_path) == expected


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\\b", "a\0b", "a\nb", "-x", " x", "x" * 300],
)
def test_a_name_that_is_no_plain_stem_is_refused(tmp_path, name):
    assert "cannot name a data set" in refused(name, tmp_path)


def test_what_is_missing_is_named(tmp_path):
    assert "give --data-dir DIR with Beauty.txt in it" in refused("beauty", None)
    assert "did you mean 'beauty'?" in refused("beuaty", None)
    assert "there is no such folder" in refused("beauty", tmp_path / "gone")
    assert f"needs the file Beauty.txt in {tmp_path}" in refused("beauty", tmp_path)
    place(tmp_path / "LastFM.txt")
    told = refused("LastFn", tmp_path)
    assert "did you mean 'LastFM'?" in told
    assert "LastFn.txt, LastFn.inter, LastFn/LastFn.inter or LastFn/LastFn.yaml" in told
    assert "beauty, beeradvocate" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fiel: x.txt\n", "unknown field 'fiel' (did you mean 'file'?)"),
        ("file: x.txt\n", "examples and max_length missing"),
        ("file: ../x.txt\n", "file must be a plain file name, not '../x.txt'"),
        ("examples: rows\n", "examples must be prefixes or windows, not 'rows'"),
        ("max_length: '50'\n", "max_length must be a positive whole number, not '50'"),
        ("users: true\n", "users must be a positive whole number, not True"),
        ("users: 0\n", "users must be a positive whole number, not 0"),
        ("sha256: abc\n", "sha256 must be 64 lower-case hexadecimal digits, not 'abc'"),
        ("embedded: 1\n", "embedded must be true or false, not 1"),
        ("- a\n", "expected keys and values"),
        ("a: [\n", "not YAML"),
        ("a: !!int x\n", "not YAML"),
        ("users: 2020-01-01\n", "users must be a positive whole number, not '2020-01-01'"),
    ],
)
def test_a_wrong_declaration_is_told_in_one_line(tmp_path, text, told):
    with pytest.raises(UsageError) as error:
        read_declaration(place(tmp_path / "x.yaml", text))
    assert told in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["mine.csv", "mine.csv.gz", "mine.dat", "mine.xz"])
def test_a_file_that_is_to_be_converted_is_told_how(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").mkdir()
    file = place(tmp_path / name, "user,item\nu,a\n")
    told = f"convert it: `run.py data mine --source {file} --data-dir {tmp_path}`"
    assert told in refused("mine", tmp_path)
