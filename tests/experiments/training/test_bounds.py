"""Endless and lying input ends in one line, in bounded memory, and runs nothing."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from experiments.data.reading.read import read_interactions
from tests.experiments.malformed import outcome
from tests.experiments.small_data import planted, write_text

ROOT = Path(__file__).parents[3]
HUGE = 100_000_000  # bytes
HANG = 240  # seconds, far beyond any run of these
MOST_MB = 1500  # a few copies of the file next to the libraries
PROGRAM = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 35, 1 << 35))
from experiments.cli.main import main
for command in json.loads(sys.argv[1]):
    assert main(command) == 2, command
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
HEAD = b"user_id,item_id,timestamp\n"


def refused(folder: Path, *commands: list[str]) -> list[str]:
    """The line of each command in a process of its own, which must end and stay small."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        cwd=folder, capture_output=True, text=True, timeout=HANG, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < MOST_MB
    lines = done.stderr.splitlines()
    assert len(lines) == len(commands)
    assert all(line.startswith("error: ") for line in lines)
    return lines


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "start", "filling", "end", "told"),
    [
        ("x.txt", b"1 2 3 ", b"9", b"", "line 1: '99999999999999999999999999999999999999"),
        (
            "x.txt",
            b"1 2 3 4\n",
            b"x",
            b"\n",
            "line 2: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'...",
        ),
        (
            "x.csv",
            HEAD + b"u,a,1\nu,",
            b"b",
            b",2\n",
            "a line of more than 1,048,576 bytes",
        ),
        ("x.csv", HEAD + b"u,a,1\nu,b,", b"7", b"\n", "a line of more than 1,048,576 bytes"),
        (
            "x.csv",
            HEAD + b"u,a,1\nu,b,2",
            b",",
            b"\n9,9,9\n",
            "a line of more than 1,048,576 bytes",
        ),
        ("x.csv", b"user_id,item_id,time", b"x", b"\nu,a,1\n", "it has more than 65,536 bytes"),
        ("x.inter", b"user_id", b"\t", b"\n", "it has more than 65,536 bytes"),
    ],
)
def test_a_line_of_100_megabytes_is_told_in_one(
    name: str, start: bytes, filling: bytes, end: bytes, told: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(start + filling * HUGE + end)
    (line,) = refused(tmp_path, ["data", "mine", "--source", name, "--data-dir", "data"])
    assert told in line
    assert not (tmp_path / "data").exists()


def loop(path: Path) -> None:
    path.symlink_to(path)


def devices(path: Path) -> None:
    path.symlink_to("/dev/zero")


UNREAL: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "device": devices,
    "loop": loop,
}


@pytest.mark.parametrize("kind", UNREAL)
@pytest.mark.parametrize("suffix", [".txt", ".csv", ".inter"])
def test_what_is_no_file_is_not_read(kind: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    UNREAL[kind](path)
    told = outcome(lambda: read_interactions(path))
    assert told.startswith(str(path))
    assert any(word in told for word in ("is a folder", "is a pipe or a device", "cannot be read"))


def with_features(name: str) -> list[str]:
    """A command that reads item features from this file."""
    place = ["--dataset", "planted", "--data-dir", ".", "--track.mode=disabled", "--out", "o"]
    return ["train", *place, "--model=alignment", f"--contrast.0.features={name}"]


@pytest.mark.slow
def test_what_is_no_file_is_refused_wherever_one_is_named(tmp_path: Path) -> None:
    write_text(tmp_path, "planted", planted(9))
    commands = []
    for kind, make in UNREAL.items():
        for suffix in ("", ".npy", ".json", ".safetensors", ".item", ".py", ".txt"):
            make(tmp_path / f"{kind}{suffix}")
        commands += [
            ["train", "--config", kind],
            ["train", "--plugin", f"{kind}.py"],
            ["train", "--dataset", kind, "--data-dir", "."],
            ["evaluate", kind],
            *(with_features(f"{kind}{end}") for end in (".npy", ".json", ".safetensors", ".item")),
        ]
    lines = refused(tmp_path, *commands)
    assert all(kind in line for kind, line in zip(np.repeat(list(UNREAL), 8), lines, strict=True))


@pytest.mark.slow
def test_yaml_of_100_megabytes_and_one_that_explodes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_bytes(b"model: " + b"x" * HUGE)
    lines = ["model: sasrec", "a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for a, b in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{b}: &{b} [{', '.join(['*' + a] * 10)}]")
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    files = ("long.yaml", "bomb.yaml")
    long, bomb = refused(tmp_path, *(["train", "--config", file] for file in files))
    assert "long.yaml: is longer than 1,000,000 bytes" in long
    assert "bomb.yaml line 5: holds more than 10,000 values" in bomb


def npy_header(shape: str, kind: str = "<f4") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + (len(text) + 1).to_bytes(2, "little") + text.encode() + b"\n"


@pytest.mark.slow
def test_features_that_lie_about_their_size_take_no_memory(tmp_path: Path) -> None:
    write_text(tmp_path, "planted", planted(9))
    nested = "[" * 100_000 + "]" * 100_000
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}})
    lying = {
        "rows.npy": npy_header("(1000000000000, 4)"),
        "columns.npy": npy_header("(30, 1000000000000)"),
        "overflow.npy": npy_header("(10000000000000000000000, 4)"),
        "negative.npy": npy_header("(-4, 4)"),
        "deep.json": f'{{"1": {nested}}}'.encode(),
        "size.safetensors": (10**12).to_bytes(8, "little") + b"{}",
        "tensor.safetensors": len(header).to_bytes(8, "little") + header.encode() + bytes(64),
    }
    for name, content in lying.items():
        (tmp_path / name).write_bytes(content)
    lines = refused(tmp_path, *map(with_features, lying))
    assert all(name in line for name, line in zip(lying, lines, strict=True))
    assert not (tmp_path / "o").exists()


class Hostile:
    """Makes a folder where it is unpickled."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.made),)


@pytest.mark.parametrize("name", ["v.npy", "v.safetensors", "v.json", "v.item"])
def test_nothing_that_is_pickled_runs(name: str, tmp_path: Path) -> None:
    from tests.experiments.data.test_malformed_data import features

    hostile = Hostile(tmp_path / "made")
    np.save(tmp_path / "v.npy", np.array([hostile], dtype=object), allow_pickle=True)
    if name != "v.npy":
        (tmp_path / name).write_bytes(pickle.dumps(hostile))
    assert features(tmp_path, str(tmp_path / name)) is not None
    assert not (tmp_path / "made").exists()
    with pytest.raises(FileNotFoundError):  # it does run where pickles are loaded
        pickle.loads(pickle.dumps(Hostile(tmp_path / "no" / "made")))


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.txt", "1 2 3 4\n" * 10_000)


BINARY: dict[str, Callable[[Path], object]] = {
    "zip": archive,
    "gzip": lambda path: path.write_bytes(gzip.compress(b"1 2 3 4\n" * 10_000)),
    "utf-16": lambda path: path.write_text("1 2 3 4\n", encoding="utf-16"),
    "utf-32": lambda path: path.write_text("user_id,item_id,timestamp\n", encoding="utf-32"),
    "numpy": lambda path: path.write_bytes(npy_header("(1,)") + bytes(4)),
    "safetensors": lambda path: path.write_bytes(save({"a": np.ones(2, np.float32)})),
    "nul": lambda path: path.write_bytes(HEAD + b"u,a,1\nu,b\0,2\nu,c,3\n"),
}


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".tsv", ".inter"])
@pytest.mark.parametrize("kind", BINARY)
def test_a_binary_file_is_told_from_a_table(kind: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    BINARY[kind](path)
    assert outcome(lambda: read_interactions(path)).startswith(str(path))


@pytest.mark.parametrize(
    ("number", "fine"),
    [("1" + "0" * 17, True), ("1" + "0" * 18, False), (str(2**63), False), ("9" * 400, False)],
)
def test_ids_beyond_64_bits_are_refused_as_numbers_and_kept_as_texts(
    number: str, fine: bool, tmp_path: Path
) -> None:
    text = tmp_path / "x.txt"
    text.write_text(f"1 2 3 {number}\n")
    found = outcome(lambda: read_interactions(text))
    told = "has more than 18 digits"
    assert found.item_ids.tolist()[-1] == number if fine else told in found
    table = tmp_path / "x.csv"
    table.write_text(f"{HEAD.decode()}u,2,1\nu,{number},2\n")
    found = outcome(lambda: read_interactions(table))
    told = "has 400 characters"
    assert number in found.item_ids if len(number) <= 256 else told in found


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_a_byte_order_mark_do_not_show(end: str, mark: str, tmp_path: Path) -> None:
    rows = ["user_id,item_id,timestamp", "u,a,1", 'u,"b",2', "", "u,c,3"]
    table = tmp_path / "x.csv"
    table.write_bytes((mark + end.join(rows) + end).encode())
    found = outcome(lambda: read_interactions(table))
    assert found.item_ids[found.items].tolist() == ["a", "b", "c"]
    assert found.times.tolist() == [1, 2, 3]
