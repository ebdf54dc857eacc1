"""Recommendations for typed histories, users and files, against sorting every score."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from augment import Sequences
from experiments.cli.main import main
from experiments.errors import UsageError
from experiments.evaluation import scores
from experiments.evaluation.history_file import read_histories
from experiments.evaluation.recommend import best_items, lists_of
from models.encoders import GRUConfig, HSTUConfig
from tests.experiments.small_data import FAST, planted, train, write_text
from tests.models.tiny import build_model, cyclic_histories

CPU = torch.device("cpu")


class BySum:
    """Scores by the sum of a history's rows in a table, so that every item of it counts."""

    def __init__(self, items: int) -> None:
        self.table = torch.randn(items + 1, items, generator=torch.Generator().manual_seed(0))

    def score_blocks(self, histories: Sequences, rows: int) -> Iterator[Tensor]:
        self.table[0] = 0.0
        yield from torch.split(self.table[histories.items].sum(dim=1), rows)


LISTS = [[1 + (7 * user + 3 * step) % 20 for step in range(1 + user % 6)] for user in range(30)]


@pytest.mark.parametrize("seen", ["drop", "keep"])
@pytest.mark.parametrize("count", [1, 7, 99])
@pytest.mark.parametrize("users", [1, 4, 64])
def test_the_best_items_are_those_of_a_full_sort(seen, count, users, monkeypatch) -> None:
    monkeypatch.setattr(scores, "LEAST_USERS", users)
    model = BySum(20)
    best = best_items(model, lists_of(LISTS, 20), count, 4, CPU, seen, block=1)
    for row, history in enumerate(LISTS):
        value = model.table[history[-4:]].sum(dim=0).numpy()
        out = set(history) if seen == "drop" else set()
        expected = [item for item in np.argsort(-value) + 1 if item not in out][:count]
        assert [item for item in best.items[row].tolist() if item] == expected
        assert best.scores[row, : len(expected)] == pytest.approx(value[np.array(expected) - 1])


@pytest.mark.parametrize("block", [1, 10_000])
def test_a_score_that_is_no_number_is_not_recommended_but_told(block, monkeypatch) -> None:
    """In a catalogue that is cut into blocks of items, too."""
    monkeypatch.setattr(scores, "LEAST_USERS", 4)
    model = build_model(GRUConfig(8, 1, 0.5, 5, hidden=8), [], lists_of(LISTS, 20)).eval()
    assert best_items(model, lists_of(LISTS, 20), 3, 4, CPU, block=block).items.min() > 0
    with torch.no_grad():
        model.item_embedding.weight[17] = torch.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        best_items(model, lists_of([[1, 2, 3]], 20), 3, 4, CPU, block=block)


@pytest.mark.parametrize(("count", "seen", "told"), [(0, "drop", "-k"), (1, "dropp", "did you")])
def test_what_cannot_be_recommended_is_told(count, seen, told) -> None:
    with pytest.raises(UsageError, match=told):
        best_items(BySum(20), lists_of(LISTS, 20), count, 4, CPU, seen)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recommend")
    write_text(folder / "data", "planted", planted())
    train(folder / "data", folder / "run", "--model", "sasrec", "--epochs", "2", *FAST)
    return folder / "run"


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    capsys.readouterr()
    assert main(["recommend", *arguments, "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_a_history_a_user_a_file_and_all_agree(run: Path, tmp_path: Path, capsys) -> None:
    history = [str(item) for item in planted()[6]]
    typed = rows(capsys, str(run), "--history", " ".join(history), "-k", "3")
    by_item = rows(capsys, str(run), *(word for item in history for word in ("--item", item)),
                   "-k", "3")  # fmt: skip
    of_user = rows(capsys, str(run), "--user", "7", "--user", "2", "-k", "3")
    file = tmp_path / "h.jsonl"
    file.write_text(json.dumps(history) + "\n" + json.dumps({"user": "x", "items": [3, 4]}) + "\n")
    of_file = rows(capsys, str(run), "--history-file", str(file), "-k", "3")
    assert main(["recommend", str(run), "--all", "-k", "3", "--to", str(tmp_path / "a.csv")]) == 0
    table = pd.read_csv(tmp_path / "a.csv", dtype=str)
    expected = [entry["item"] for entry in typed]
    assert len(set(expected) - set(history)) == 3
    assert [entry["item"] for entry in by_item] == expected
    assert [entry["item"] for entry in of_user if entry["user"] == "7"] == expected
    assert [entry["item"] for entry in of_file if entry["user"] == "1"] == expected
    assert table[table["user"] == "7"]["item"].tolist() == expected
    assert (len(table), table["user"].nunique()) == (180, 60)
    assert [entry["user"] for entry in of_user] == ["7"] * 3 + ["2"] * 3  # as asked for
    assert list(table.columns) == ["user", "rank", "item", "score"]


def test_what_a_split_reads_is_what_its_target_follows(run: Path, tmp_path: Path) -> None:
    assert main(["recommend", str(run), "--all", "-k", "30", "--seen", "keep", "--read", "test",
                 "--to", str(tmp_path / "a.csv")]) == 0  # fmt: skip
    table = pd.read_csv(tmp_path / "a.csv", dtype=str)
    with np.load(run / "ranks.npz") as ranks:
        ranked = dict(zip(ranks["user_ids"].tolist(), ranks["ranked"].tolist(), strict=True))
    for user, items in enumerate(planted(), 1):
        mine = table[table["user"] == str(user)]["item"].tolist()
        assert mine.index(str(items[-1])) + 1 == ranked[str(user)]


def test_a_table_is_written_as_parquet_too(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for name in ("a.csv", "a.parquet"):
        assert main(["recommend", str(run), "--all", "--to", str(tmp_path / name)]) == 0
    csv = pd.read_csv(tmp_path / "a.csv", dtype={"user": str, "item": str})
    pd.testing.assert_frame_equal(
        csv, pd.read_parquet(tmp_path / "a.parquet"), check_dtype=False, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--history", "1", "--user", "1"], "got --history and --user"),
        (["--all"], "--all: needs --to"),
        (["--all", "--to", "a.xlsx"], "must be named *.csv or *.parquet"),
        (["--all", "--to", "a.csv", "--json"], "--json: the rows go to --to"),
        (["--user", "nobody"], "--user: unknown 'nobody'"),
        (["--item", "no such"], "--item: unknown 'no such'"),
        (["--history", "Movie 36, The (1995)"], "is given by --item"),
        (["--history", "1", "--read", "test"], "--read: goes with --all and --user"),
        (["--history-file", "none.jsonl"], "no such file"),
        (["--user", "1", "--seen", "maybe"], "--seen"),
        (["--user", "1", "--device", "abacus"], "abacus"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments, told, run: Path, capsys) -> None:
    assert main(["recommend", str(run), *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_ids_with_spaces_are_given_one_by_one(tmp_path: Path, capsys) -> None:
    films = [f"Movie {number}, The (1995)" for number in range(30)]
    lines = ["user,item,when"]
    for user, items in enumerate(planted()):
        lines += [f'{user},"{films[item - 1]}",{place}' for place, item in enumerate(items)]
    (tmp_path / "films.csv").write_text("\n".join(lines) + "\n")
    columns = ["--user-column", "user", "--item-column", "item", "--time-column", "when"]
    data = ["--data-dir", str(tmp_path / "data")]
    assert main(["data", "films", "--source", str(tmp_path / "films.csv"), *columns, *data]) == 0
    run = tmp_path / "run"
    train(tmp_path / "data", run, "--model", "sasrec", "--epochs", "1", *FAST, dataset="films")
    found = rows(capsys, str(run), "--item", films[3], "--item", films[4], "-k", "30")
    assert {entry["item"] for entry in found} == set(films) - {films[3], films[4]}


def test_a_user_who_is_named_twice_is_answered_once(run: Path, tmp_path: Path, capsys) -> None:
    assert rows(capsys, str(run), "--user", "1", "-k", "2") == rows(
        capsys, str(run), "--user", "1", "--user", "1", "-k", "2"
    )
    to = ["--to", str(tmp_path / "a.csv"), "-k", "2"]
    assert main(["recommend", str(run), "--user", "1", "--user", "1", *to]) == 0
    (told,) = capsys.readouterr().out.splitlines()
    assert told.startswith("1 users, 2 rows")


def test_a_history_of_every_item_is_told_to_have_none_left(run: Path, tmp_path, capsys) -> None:
    every = sorted({item for items in planted() for item in items})
    file = tmp_path / "h.jsonl"
    file.write_text(json.dumps([str(item) for item in every]) + "\n" + json.dumps(["1"]) + "\n")
    assert main(["recommend", str(run), "--history-file", str(file), "-k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[2]] == ["user 1", "user 2"]
    assert "--seen keep" in lines[1]
    to = ["--to", str(tmp_path / "a.csv")]
    assert main(["recommend", str(run), "--history-file", str(file), "-k", "2", *to]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("users without a row: 1")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("h.jsonl", '["a", "b"]\n\n{"user": "x", "items": [1, "c d"]}\n'),
        ("h.csv", 'user,item\n1,a\nx,1\n1,b\nx,"c d"\n'),
    ],
)
def test_histories_are_read_from_json_lines_and_from_csv(name, text, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert read_histories(tmp_path / name) == {"1": ["a", "b"], "x": ["1", "c d"]}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("h.txt", "a", "FILE.jsonl has a line"),
        ("h.jsonl", "", "holds no history"),
        ("h.jsonl", '["a"]\n{"items": "b"}\n', "h.jsonl:2: no list of item ids"),
        ("h.jsonl", "[]\n", "h.jsonl:1: no list"),
        ("h.jsonl", "[a]\n", "h.jsonl:1: not JSON"),
        ("h.jsonl", '{"user": 1, "items": [1]}\n{"user": 1, "items": [2]}', "has a line already"),
        ("h.jsonl", '{"user": null, "items": ["1"]}\n', "h.jsonl:1: the user is null; give a text"),
        ("h.csv", "user,item\na,1\n,2\n", "h.csv:3: has no user"),
        ("h.csv", "user,item\na,\n", "h.csv:2: has no item"),
        ("h.csv", "who,item\n1,a\n", "has the columns who, item"),
        ("h.csv", "user,item\n1,a,b\n", "h.csv:2: has another number of fields"),
        ("h.csv", "user,item\n1,a\n1\n", "h.csv:3: has another number of fields"),
        ("h.csv", 'user,item\n1,"a', "not a table"),
        ("h.csv", '"user,item', "h.csv:1: not a table"),
        ("h.csv", "", "has the columns none"),
    ],
)
def test_a_file_without_histories_is_refused(name, text, told, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as error:
        read_histories(tmp_path / name)
    assert told in str(error.value)


def test_a_typed_history_is_refused_by_a_model_that_reads_times() -> None:
    train = cyclic_histories(users=20, num_items=9, longest=8)
    timed = replace(train, times=torch.arange(len(train.items)))
    encoder = HSTUConfig(dim=4, layers=1, max_length=5, time_bias=True)
    model = build_model(encoder, [], timed).eval()
    with pytest.raises(UsageError, match="reads the times of items"):
        best_items(model, lists_of([[1, 2]], 9), 3, 5, CPU)
    assert best_items(model, timed, 3, 5, CPU).items[:, 0].min() > 0
