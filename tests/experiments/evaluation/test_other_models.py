"""Another model's ranks or vectors through our protocol, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from experiments.cli.main import main
from experiments.data.conversion.convert import convert
from experiments.errors import UsageError
from experiments.evaluation.other_models import read_ranks, read_vectors
from experiments.record.checkpoints import read_checkpoints
from tests.experiments.small_data import (
    FAST,
    histories_of,
    planted,
    read_json,
    train,
    write_inter,
    write_text,
)

USERS = [[1, 2, 3, 4], [2, 3, 1], [4, 4, 2]]
HISTORIES = histories_of(USERS, 6)
PUBLISHED = ["--ranks", "a", "--dataset", "ml-100k", "--name", "n", "--source", "s/m", "--publish"]


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("doubled", [False, True])
def test_ranks_are_read_as_they_are_or_halved(doubled: bool, tmp_path: Path) -> None:
    ranks = np.array([1, 2.5, np.inf])
    given = np.array([2, 5, 0], dtype=np.uint16) if doubled else ranks
    found = read_ranks(saved(tmp_path / "r.npz", excluded=given), HISTORIES, doubled)
    assert {rule: values.tolist() for rule, values in found.items()} == {
        "excluded": [1, 2.5, np.inf]
    }


def test_a_runs_own_ranks_can_be_read_again(tmp_path: Path) -> None:
    arrays = {"user_ids": HISTORIES.user_ids, "ranked": [1.0, 2, 3], "excluded": [1.0, 1, 2]}
    assert list(read_ranks(saved(tmp_path / "r.npz", **arrays), HISTORIES)) == [
        "excluded",
        "ranked",
    ]


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"excluded": [1.0, 2]}, "excluded has the shape [2], and the data have 3 targets"),
        ({"excluded": [[1.0, 2, 3]]}, "has the shape [1, 3]"),
        ({"excluded": [1.0, 0, 2]}, "row 1 is 0.0: a rank is 1"),
        ({"excluded": [1.0, 1, np.nan]}, "row 2 is nan"),
        ({"excluded": [1.0, 1.2, 2]}, "row 1 is 1.2"),
        ({"excluded": ["a", "b", "c"]}, "expected numbers"),
        (
            {"excluded": [1.0, 2, 8]},
            "rank 8 is beyond 6, the last one; does the file hold twice",
        ),
        ({"rank": [1.0, 2, 3]}, "has 'rank'; known: excluded, ranked, score0"),
        ({}, "holds no ranks"),
        ({"excluded": [1.0, 2, 3], "user_ids": ["0", "2", "1"]}, "row 1 is of user 2, in given it"),
        (
            {"excluded": [1.0, 2, 3], "user_ids": ["ü".encode(), b"1", b"2"]},
            "user_ids are bytes that are not ASCII; save them as texts",
        ),
        ({"excluded": [1.0, 2, 3], "user_ids": ["0"]}, "1 user_ids for 3 targets"),
        ({"excluded": np.array([1, None, 2], dtype=object)}, "not readable as .npz"),
    ],
)
def test_ranks_that_do_not_fit_are_refused(arrays, told, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        read_ranks(saved(tmp_path / "r.npz", **arrays), HISTORIES)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("users", "items", "told"),
    [
        ((3, 4), (7, 4), "7 rows for 6 items"),
        ((2, 4), (6, 4), "2 rows for 3 users"),
        ((3, 5), (6, 4), "has 5 numbers a row"),
        ((3,), (6, 4), "expected a matrix"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(users, items, told, tmp_path: Path) -> None:
    for name, shape in (("u", users), ("i", items)):
        np.save(tmp_path / f"{name}.npy", np.zeros(shape))
    with pytest.raises(UsageError) as error:
        read_vectors(tmp_path / "u.npy", tmp_path / "i.npy", HISTORIES)
    assert told in str(error.value)


def test_vectors_with_ids_may_be_in_any_order(tmp_path: Path) -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(6, 2)
    np.save(tmp_path / "u.npy", np.zeros((3, 2)))
    np.save(tmp_path / "i.npy", vectors[::-1])
    (tmp_path / "i.ids.txt").write_text("6\n5\n4\n3\n2\n1\n")
    found = read_vectors(tmp_path / "u.npy", tmp_path / "i.npy", HISTORIES)
    assert found.items.tolist() == vectors.tolist()
    (tmp_path / "i.ids.txt").write_text("6\n5\n4\n3\n2\nx\n")
    with pytest.raises(UsageError, match="item 'x' is not in the data"):
        read_vectors(tmp_path / "u.npy", tmp_path / "i.npy", HISTORIES)


def test_a_file_that_holds_no_arrays_by_name_is_no_file_of_ranks(tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", np.ones(3))
    with pytest.raises(UsageError, match="it is no archive, or cut short"):
        read_ranks(tmp_path / "r.npy", HISTORIES)
    with pytest.raises(UsageError, match="there is no such file"):
        read_ranks(tmp_path / "none.npz", HISTORIES)
    with pytest.raises(UsageError, match="user_ids for 3 targets"):
        read_ranks(saved(tmp_path / "r.npz", excluded=[1.0, 1, 1], user_ids="0"), HISTORIES)


def test_users_without_a_target_need_no_vector_where_rows_have_ids(tmp_path: Path) -> None:
    parts = np.array([0, 0, 2, 3, 0, 0, 2, 0, 2, 3], dtype=np.int8)  # the second is not tested
    data = replace(HISTORIES, parts=parts)
    np.save(tmp_path / "i.npy", np.zeros((6, 2)))
    np.save(tmp_path / "u.npy", np.array([[2.0, 2], [1, 1]]))
    (tmp_path / "u.ids.txt").write_text("2\n0\n")
    found = read_vectors(tmp_path / "u.npy", tmp_path / "i.npy", data)
    assert found.users.tolist() == [[1, 1], [0, 0], [2, 2]]
    with pytest.raises(UsageError, match="has no user '1'"):
        read_vectors(tmp_path / "u.npy", tmp_path / "i.npy", data, "valid")
    (tmp_path / "u.ids.txt").write_text("2\nsomeone\n")
    with pytest.raises(UsageError, match="user 'someone' is not in the data"):
        read_vectors(tmp_path / "u.npy", tmp_path / "i.npy", data)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("others")
    write_text(folder / "data", "planted", planted())
    train(folder / "data", folder / "run", "--model", "sasrec", "--epochs", "1", *FAST)
    return folder


def asked(folder: Path, to: Path, *more: str) -> list[str]:
    where = ["--dataset", "planted", "--data-dir", str(folder / "data"), "--to", str(to)]
    return ["evaluate", *where, "--name", "theirs", *more]


def test_exported_vectors_get_the_metrics_of_their_run(run: Path, tmp_path: Path, capsys) -> None:
    expected = read_json(run / "run" / "result.json")["metrics"]["test"]
    for what, read in (("items", []), ("users", ["--read", "test"])):
        to = ["--to", str(tmp_path / f"{what}.npy")]
        assert main(["export", str(run / "run"), "--what", what, *read, *to]) == 0
    vectors = [f"--{what}={tmp_path / what}.npy" for what in ("items", "users")]
    capsys.readouterr()
    assert main(asked(run, tmp_path / "r.jsonl", *vectors, "--json")) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["test"]
    for rule in ("excluded", "ranked"):
        assert found[rule] == pytest.approx(expected[rule], abs=1e-6)
    (line,) = read_checkpoints(tmp_path / "r.jsonl")
    assert line.number("excluded", "ndcg@10") == found["excluded"]["ndcg@10"]


def test_vectors_whose_products_are_too_large_are_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(run / "run" / "ranks.npz") as ranks:
        users = len(ranks["user_ids"])
    np.save(tmp_path / "users.npy", np.full((users, 2), 1e38))
    np.save(tmp_path / "items.npy", np.full((30, 2), 1e38))
    vectors = [f"--{what}={tmp_path / what}.npy" for what in ("items", "users")]
    assert main(asked(run, tmp_path / "r.jsonl", *vectors)) == 2
    assert "is not finite in float32; scale the vectors down" in capsys.readouterr().err


def test_a_line_keeps_source_official_figures_and_every_users_rank(
    run: Path, tmp_path: Path, capsys
) -> None:
    to, ranks = tmp_path / "r.jsonl", run / "run" / "ranks.npz"
    more = ["--source", "someone/model", "--commit", "abc", "--official", "hr@10=.5,ndcg@10=.25"]
    command = asked(run, to, "--ranks", str(ranks), *more)
    assert main(command) == 0
    (line,) = read_checkpoints(to)
    assert line.official == {"hr@10": 0.5, "ndcg@10": 0.25}
    assert (line.name, line.values["source"]) == ("theirs", "someone/model")
    with np.load(ranks) as arrays:
        kept = np.where(arrays["excluded"] <= 20, arrays["excluded"], np.inf)
    found = line.ranks("excluded")
    assert found is not None
    assert found.tolist() == kept.tolist()
    before = to.read_text()
    assert main(command) == 0  # the same again
    assert main([*command, "--note", "another"]) == 2
    assert "another result of 'theirs'" in capsys.readouterr().err
    assert to.read_text() == before


def test_ranks_of_targets_in_another_order_of_ties_say_so_and_are_not_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_inter(tmp_path / "raw.inter", [f"{u}\t{i}\t7\n" for u in "uv" for i in range(4)])
    convert("days", tmp_path / "raw.inter", tmp_path)
    declared = tmp_path / "days" / "days.yaml"
    declaration = yaml.safe_load(declared.read_text()) | {"defaults": {"ties": "shuffled"}}
    declared.write_text(yaml.safe_dump(declaration))
    ranks, to = saved(tmp_path / "r.npz", excluded=[1.0, 2]), tmp_path / "r.jsonl"
    where = ["--dataset", "days", "--data-dir", str(tmp_path)]
    command = ["evaluate", *where, "--ranks", str(ranks), "--name", "n", "--source", "s/m"]
    assert main([*command, "--publish"]) == 2
    assert "ties: shuffled" in capsys.readouterr().err
    assert main([*command, "--to", str(to)]) == 0
    (line,) = read_checkpoints(to)
    assert line.values["ties"] == "shuffled"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "give RUN_DIR, or another model's --ranks"),
        (["--ranks", "a.npz", "--items", "b.npy"], "give RUN_DIR, or"),
        (["--items", "b.npy"], "--items and --users go together"),
        (["--ranks", "a.npz"], "needs --dataset"),
        (["--ranks", "a.npz", "--dataset", "ml-100k"], "needs --name"),
        (
            ["--ranks", "a.npz", "--dataset", "ml-100k", "--name", "n"],
            "a.npz: there is no such file",
        ),
        (["--ranks", "a", "--dataset", "d", "--name", "n", "--publish"], "needs its --source"),
        (["--ranks", "a", "--dataset", "d", "--name", "n", "--beyond"], "ranks of test targets"),
        ([*PUBLISHED, "--split.kind=temporal"], "--publish: "),
        (["run", "--split.kind=temporal"], "--split.kind: a run is ranked under the split that"),
        (["run", "--name", "n"], "--name: is for another model's result"),
        (
            ["--ranks", "a", "--dataset", "ml-100k", "--name", "n", "--official", "x=1"],
            "--official",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_told_in_one_line(arguments, told, capsys) -> None:
    assert main(["evaluate", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
