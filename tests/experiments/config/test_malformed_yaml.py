"""No configuration or declaration does more than be read or be refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from experiments.config.presets import presets
from experiments.config.resolve import resolve
from experiments.config.run_config import Config, config_from_tree, config_sha256, config_tree
from experiments.data.declaration import Declaration, read_declaration
from experiments.storage.files import plain_name
from experiments.storage.run_folder import as_yaml
from experiments.storage.yaml_file import parse, plain, read_tree
from tests.experiments.malformed import HOSTILE_NAMES, HOSTILE_VALUES, examined, mutated, outcome

CONFIGS = [as_yaml(config_tree(resolve(None, [("model", name)])[0])).encode() for name in presets()]
SHORT = [b"model: sasrec\nseed: 1\ntrain: {batch_size: 8}\n", b"contrast:\n- task: same_user\n"]
DECLARED = [
    b"file: x.txt\nexamples: prefixes\nmax_length: 50\nusers: 3\n"
    b"defaults:\n  train.batch_size: 32\n"
]
FRAGMENTS = [
    b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\r", b"\n", b"\n\n", b"\t", b" ", b"  ", b":",
    b": ", b"- ", b"-", b"?", b"&a ", b"*a", b"<<: ", b"!!", b"!x ", b"!!int ",
    b"!!python/name:os ", b"[", b"]", b"{", b"}", b"'", b'"', b"|", b">", b"%", b"@", b"`", b"#",
    b"---\n", b"...\n",
    b"seed: 1\n", b"\nmodel: sasrec\n", b"\nfile: ../x\n", b".nan", b"-.inf", b"1e400", b"-1",
    b"0.5", b"null", b"true", b"2020-01-01", b"12:30", b"9" * 30,
    b"x" * 300, b"\\", b'"\\ud800"', b"\x1b",
    "\u2028".encode(), "é".encode(), b"crop", b"recbole:GRU4Rec", b"..", b"/etc/passwd",
]  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([*HOSTILE_NAMES, "crop", "gru", "bce", "same_user", "cosine", 2**63, -1, 0]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["task", "operator", "kind", "loss", "name", "a.b", ""])
            | st.integers(),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


def paths(tree: Any) -> list[tuple[Any, ...]]:
    """Where the values of a tree are, at every level."""
    entries = enumerate(tree) if isinstance(tree, list) else tree.items()
    found: list[tuple[Any, ...]] = []
    for key, value in entries:
        found.append((key,))
        if isinstance(value, (list, dict)):
            found += [(key, *rest) for rest in paths(value)]
    return found


@st.composite
def grafted(draw: st.DrawFn) -> bytes:
    """A preset's complete configuration with another value, or another key, somewhere."""
    tree = yaml.safe_load(draw(st.sampled_from(CONFIGS)))
    *parents, last = draw(st.sampled_from(paths(tree)))
    node = tree
    for step in parents:
        node = node[step]
    if isinstance(node, dict) and draw(st.integers(0, 3)) == 0:
        last = draw(st.sampled_from(HOSTILE_NAMES) | st.integers() | st.text(max_size=4))
    node[last] = draw(VALUES)
    return yaml.safe_dump(tree).encode(errors="surrogateescape")


def written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def configured(file: Path) -> str | None:
    """The message, or None for a configuration that can be written, read and hashed."""
    found = outcome(lambda: resolve(file, []))
    if isinstance(found, str):
        return found
    config, _ = found
    assert isinstance(config, Config)
    again = config_from_tree(parse(as_yaml(config_tree(config)), "again"))
    assert config_sha256(again) == config_sha256(config)
    return None


@pytest.mark.parametrize(
    ("examples", "least"), [(30, 15), pytest.param(100, 85, marks=pytest.mark.slow)]
)
def test_any_config_file_makes_a_run_or_one_line(tmp_path: Path, examples: int, least: int) -> None:
    def check(content: bytes) -> str | None:
        return configured(written(tmp_path / "config.yaml", content))

    assert examined(mutated(SHORT, FRAGMENTS) | grafted(), examples, check) >= least


@pytest.mark.parametrize(
    ("examples", "least"), [(60, 40), pytest.param(250, 200, marks=pytest.mark.slow)]
)
def test_any_declaration_is_read_or_refused(tmp_path: Path, examples: int, least: int) -> None:
    def check(content: bytes) -> str | None:
        path = written(tmp_path / "x.yaml", content)
        found = outcome(lambda: read_declaration(path))
        if isinstance(found, str):
            assert found.startswith(str(path))
            return found
        assert isinstance(found, Declaration)
        assert plain_name(found.file)
        return None

    assert examined(mutated(DECLARED, FRAGMENTS), examples, check) >= least


def refused(read: Callable[[], Any]) -> str:
    told = outcome(read)
    assert isinstance(told, str)
    return told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is there twice; keep one"),
        ("a: 1\n'a': 2\n", "line 2: the key 'a' is there twice"),
        ("a: {b: 1,\n b: 2}\n", "line 2: the key 'b' is there twice"),
        ("[" * 1000, "line 1: is nested deeper than 40 levels"),
        ("- " * 1000, "line 1: is nested deeper than 40 levels"),
        ("a: &x [*x]\n", "line 1: an alias stands inside what it names"),
        ("a: " + "9" * 101, "line 1: a number of 101 characters"),
        ("a: 0x" + "f" * 100_000, "line 1: a number of 100,002 characters"),
        ('a: "\\ud800"\n', "line 1: a text holds half a character"),
        ("a: [" + "1," * 10_001 + "]", "holds more than 10,000 values"),
        ("#" * 1_000_001, "is longer than 1,000,000 bytes"),
        ("a: !!binary aGk=\n", "not YAML (could not determine a constructor"),
        ("a: !!bool x\n", "not YAML (a value is not of its type: 'x')"),
    ],
)
def test_yaml_beyond_the_bounds_is_refused_with_its_line(
    text: str, told: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "x.yaml", text.encode())
    assert refused(lambda: read_tree(path)).startswith(str(path))
    assert told in refused(lambda: read_tree(path))


def test_aliases_that_expand_to_billions_of_values_are_refused_at_once(tmp_path: Path) -> None:
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join(['*' + before] * 10)}]")
    path = written(tmp_path / "x.yaml", "\n".join(lines).encode())
    assert "line 4: holds more than 10,000 values" in refused(lambda: read_tree(path))
    assert "--train: holds" in refused(
        lambda: plain("{" + ", ".join(lines) + "}", "train")
    ).replace(" line 1", "")


def test_aliases_and_merged_keys_within_the_bounds_work() -> None:
    text = "a: &a {k: 1, l: 2}\nb: {<<: *a, k: 3}\nc: [*a, *a]\n"
    both = {"k": 1, "l": 2}
    assert parse(text, "x") == {"a": both, "b": {"k": 3, "l": 2}, "c": [both, both]}


def test_a_date_is_a_text_and_a_tag_runs_nothing(tmp_path: Path) -> None:
    assert parse("2020-01-01", "x") == "2020-01-01"
    made = tmp_path / "made"
    hostile = f"!!python/object/apply:os.mkdir [{made}]"
    assert plain(hostile) == hostile
    with pytest.raises(yaml.YAMLError):
        parse(hostile, "x")
    assert not made.exists()


@pytest.mark.parametrize("text", ["exp #3", "runs/my run #2", "a # b"])
def test_a_text_on_the_command_line_keeps_what_follows_a_hash(text: str) -> None:
    assert plain(text) == text
    assert plain("[crop, mask] # two") == ["crop", "mask"]
    assert plain("'a' # b") == "a"


@pytest.mark.parametrize("text", HOSTILE_VALUES)
def test_every_value_of_an_argument_is_plain_or_refused(text: str) -> None:
    def plain_values(value: Any) -> bool:
        if isinstance(value, (list, dict)):
            parts = value if isinstance(value, list) else [*value, *value.values()]
            return all(map(plain_values, parts))
        return value is None or isinstance(value, (bool, int, float, str))

    found = outcome(lambda: [plain(text, "seed")])
    assert found.startswith("--seed") if isinstance(found, str) else plain_values(found)


def test_a_message_is_one_printable_line_whatever_a_file_holds(tmp_path: Path) -> None:
    path = written(tmp_path / "config.yaml", b'"a\\nb\\e[2J": 1\n')
    assert refused(lambda: resolve(path, [])).startswith(r"a\nb\x1b[2J: unknown 'a\nb")
    path = written(tmp_path / "config.yaml", b"model: " + b"x" * 900_000)
    told = refused(lambda: resolve(path, []))
    assert 1000 < len(told) < 2500
    assert "xxxx ... xxxx" in told


@pytest.mark.parametrize(
    "defaults",
    [
        "{contrast.0.features: ../../secret.npy}",
        "{contrast.0.features: /etc/passwd}",
        "{contrast: [{task: alignment, features: a/b.npy}]}",
        "{track.entity: another}",
        "{track: {entity: another}}",
        "{data_dir: elsewhere}",
        "{model: sasrec}",
        "{seed: 7}",
        "{1: 2}",
    ],
)
def test_a_declaration_reads_nothing_outside_its_folder_and_tells_nobody(
    defaults: str, tmp_path: Path
) -> None:
    head = "file: x.txt\nexamples: prefixes\nmax_length: 50\n"
    path = written(tmp_path / "x.yaml", f"{head}defaults: {defaults}\n".encode())
    told = refused(lambda: read_declaration(path))
    assert "file names without folders, and none of model, dataset, seed, data_dir, track" in told
