"""Every set of every split, counted by hand on a tiny data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from experiments.config.resolve import resolve
from experiments.data.catalogue import load, locate
from experiments.data.histories import Histories
from experiments.data.splits.held_out import (
    Read,
    Split,
    evaluation_rows,
    read_split,
    train_split,
    train_user_ids,
)
from experiments.data.splits.kinds import Files, SplitConfig, Temporal
from experiments.errors import UsageError

Examples = list[tuple[str, str, str]]  # user, what is read, target

HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"
TIMED = "u1:a1 b2 c3 a12  u2:a4 c5 b11 e13  u3:b6 a9 c10  u4:c14 a15  u5:b16"
"""u1 met item a at time 1.  The .54 quantile of the times is 10, the .6 quantile of those up to
there is 5; then e is nobody's training item, and u3, u4 and u5 have none."""
CUTS = {"quantile": 0.54, "validation_quantile": 0.6}


def write(path: Path, text: str) -> None:
    rows = [
        f"{user}\t{what[0]}\t{what[1:]}\n"
        for user, items in (part.split(":") for part in text.replace("  ", ";").split(";"))
        for what in items.split()
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEADER + "".join(rows))


def histories(folder: Path, split: SplitConfig, text: str = TIMED) -> Histories:
    write(folder / "tiny.inter", text)
    return load(locate("tiny", folder), split=split)


def shown(histories: Histories, numbers: np.ndarray) -> str:
    return "".join(histories.item_ids[numbers].tolist())


def examples(histories: Histories, split: Split) -> Examples:
    rows = evaluation_rows(histories, split, 50)
    assert rows.target is not None
    return [
        (
            str(histories.user_ids[user]),
            shown(histories, histories.items[start : start + length]),
            shown(histories, histories.items[[target]]),
        )
        for user, start, length, target in zip(
            rows.user, rows.start, rows.length, rows.target, strict=True
        )
    ]


def of_users(histories: Histories, read: Read) -> dict[str, str]:
    items, users = read_split(histories, read)
    ends = items.offsets.tolist()
    return {
        str(histories.user_ids[user]): shown(histories, items.items[a:b].numpy())
        for user, a, b in zip(users, ends[:-1], ends[1:], strict=True)
    }


def trained(histories: Histories) -> dict[str, str]:
    train = train_split(histories)
    ends = train.offsets.tolist()
    return {
        user: shown(histories, train.items[a:b].numpy())
        for user, a, b in zip(train_user_ids(histories).tolist(), ends[:-1], ends[1:], strict=True)
    }


@pytest.mark.parametrize(
    ("target", "valid", "test"),
    [
        ("last", [("u3", "ba", "c")], [("u1", "abc", "a"), ("u2", "ac", "b"), ("u4", "c", "a")]),
        ("first", [("u3", "b", "a")], [("u1", "abc", "a"), ("u2", "ac", "b"), ("u4", "c", "a")]),
        (
            "successive",
            [("u3", "b", "a"), ("u3", "ba", "c")],
            [("u1", "abc", "a"), ("u2", "ac", "b"), ("u4", "c", "a")],
        ),
        (
            "all",
            [("u3", "b", "a"), ("u3", "b", "c")],
            [("u1", "abc", "a"), ("u2", "ac", "b"), ("u4", "c", "a")],
        ),
    ],
)
def test_a_temporal_split_by_hand(
    target: str, valid: Examples, test: Examples, tmp_path: Path
) -> None:
    found = histories(tmp_path, Temporal(**CUTS, target=target))  # type: ignore[arg-type]
    assert trained(found) == {"u1": "abc", "u2": "ac"}
    assert examples(found, "valid") == valid
    assert examples(found, "test") == test
    assert found.item_ids.tolist() == ["", "a", "b", "c"]
    assert found.counts == {
        "cut_valid": 5,
        "cut_test": 10,
        "train_users": 2,
        "train_interactions": 5,
        "valid_users": 1,
        "valid_targets": len(valid),
        "test_users": 3,
        "test_targets": 3,
        "unknown_items": 1,
        "unknown_interactions": 1,
        "new_users": 3,
        "new_users_without_target": 1,
    }


def test_unknown_items_are_targets_candidates_and_read_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    split = Temporal(**CUTS, target="successive", unknown_items="rank")  # type: ignore[arg-type]
    found = histories(tmp_path, split)
    assert found.item_ids.tolist() == ["", "a", "b", "c", "e"]
    assert [row for row in examples(found, "test") if row[0] == "u2"] == [
        ("u2", "ac", "b"),
        ("u2", "acb", "e"),
    ]
    assert found.counts["unknown_interactions"] == 1


def test_the_last_training_item_may_be_the_validation_target(tmp_path: Path) -> None:
    text = TIMED.replace("b2 c3", "c2 b3").replace("u4", "u4:a10  u6")
    found = histories(tmp_path, Temporal(quantile=0.5, validation="last_train_item"), text)
    assert found.counts["cut_test"] == 10
    assert trained(found) == {"u1": "ac", "u2": "a", "u3": "ba", "u4": "a"}
    assert examples(found, "valid") == [("u1", "ac", "b"), ("u2", "a", "c"), ("u3", "ba", "c")]
    assert examples(found, "test") == [("u1", "acb", "a"), ("u2", "ac", "b"), ("u6", "c", "a")]
    assert found.counts["unknown_items"] == 1


def test_held_out_users_are_not_trained_on_and_their_last_item_before_the_cut_is_the_target(
    tmp_path: Path,
) -> None:
    found = histories(tmp_path, Temporal(quantile=0.54, validation="users", validation_users=0.34))
    (held_out,) = {"u1", "u2", "u3"} - trained(found).keys()
    whole = {"u1": "abc", "u2": "ac", "u3": "bac"}
    assert trained(found) == {user: items for user, items in whole.items() if user != held_out}
    assert examples(found, "valid") == [(held_out, whole[held_out][:-1], whole[held_out][-1])]
    tested = {user: read for user, read, _ in examples(found, "test")}
    assert tested == {"u1": "abc", "u2": "ac", "u4": "c"}


def test_a_random_target_is_one_of_the_user_s_own_and_always_the_same(tmp_path: Path) -> None:
    text = "u1:a1 b1 c1 d1  " + "  ".join(f"u{n}:a1 b2 a3 c4 b5 a6 c7" for n in range(2, 60))
    split = Temporal(quantile=0.3, target="random", validation="last_train_item")
    rows = examples(histories(tmp_path, split, text), "test")
    assert rows == examples(histories(tmp_path, split, text), "test")
    assert len(rows) == 58
    assert len({read for _, read, _ in rows}) == 4
    assert all("abacbac".startswith(read + target) for _, read, target in rows)


def test_what_a_model_reads_before_each_split(tmp_path: Path) -> None:
    found = histories(tmp_path, Temporal(**CUTS, target="last"))  # type: ignore[arg-type]
    assert of_users(found, "valid") == {"u1": "abc", "u2": "ac", "u3": "ba", "u4": "c", "u5": "b"}
    assert of_users(found, "test")["u3"] == "bac"
    first = histories(tmp_path, Temporal(**CUTS, target="first"))  # type: ignore[arg-type]
    assert of_users(first, "valid")["u3"] == "b"
    assert of_users(found, "all") == {"u1": "abca", "u2": "acb", "u3": "bac", "u4": "ca", "u5": "b"}


@pytest.mark.parametrize("target", ["last", "first", "random", "all", "successive"])
def test_what_a_model_reads_of_a_user_is_what_the_first_target_is_ranked_after(
    target: str, tmp_path: Path
) -> None:
    text = "  ".join(f"u{n}:a2 b3 a4 c5 b6 a7 c8 b9" for n in range(1, 9))
    split = Temporal(quantile=0.7, validation_quantile=0.5, target=target)  # type: ignore[arg-type]
    found = histories(tmp_path, split, text)
    splits: tuple[Split, ...] = ("valid", "test")
    for name in splits:
        first = {user: read for user, read, _ in reversed(examples(found, name))}
        assert len(first) == 8
        assert of_users(found, name) == first


@pytest.mark.parametrize("validation", ["time", "users", "last_train_item"])
@pytest.mark.parametrize("target", ["last", "first", "random", "all", "successive"])
def test_no_training_interaction_is_later_than_the_cut(
    validation: str, target: str, tmp_path: Path
) -> None:
    """Also a planted one, at the very time of the cut and just after it."""
    rng = np.random.default_rng(1)
    text = "  ".join(
        f"u{user:02d}:" + " ".join(f"{'abcdef'[i]}{t}" for i, t in zip(rng.integers(0, 6, 8),
                                   np.sort(rng.integers(1, 90, 8)), strict=True))
        for user in range(30)
    )  # fmt: skip
    split = Temporal(quantile=0.8, target=target, validation=validation)  # type: ignore[arg-type]
    cut = histories(tmp_path, split, text).counts["cut_test"]
    found = histories(tmp_path, split, f"{text}  planted:a1 b{cut} c{cut + 1}")
    cut = found.counts["cut_test"]
    assert found.times is not None
    assert found.parts is not None
    times = train_split(found).times
    assert times is not None
    assert times.max() <= min(cut, found.counts.get("cut_valid", cut))
    assert (found.times[found.parts == 3] > cut).all()
    assert (found.times[found.parts == 2] <= cut).all() or validation == "time"
    rows = evaluation_rows(found, "valid", 50)
    assert (found.times[rows.target] <= cut).all()


def test_a_user_s_interactions_are_trained_on_before_they_are_held_out(tmp_path: Path) -> None:
    found = histories(tmp_path, Temporal(**CUTS))  # type: ignore[arg-type]
    assert found.parts is not None
    for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True):
        assert (np.diff(found.parts[a:b]) >= 0).all()


@pytest.mark.parametrize(
    ("split", "text", "message"),
    [
        (Temporal(quantile=0.99), "u:a1 b2 c3 d3  v:a1 b2 d3", "leaves no test user"),
        (Temporal(), "u:a1 b2 c3  v:d1 e2 f3", "temporal needs times"),
        (Temporal(quantile=0.5), "u:a5 b5 c5 a9  v:a5 b5 a9", "leaves no validation user"),
    ],
)
def test_a_split_that_leaves_a_part_empty_is_refused_in_one_line(
    split: SplitConfig, text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        histories(tmp_path, split, text)
    assert "\n" not in str(refused.value)


def three(folder: Path, train: str, valid: str, test: str) -> None:
    for part, text in (("train", train), ("valid", valid), ("test", test)):
        write(folder / "tiny" / f"tiny.{part}.inter", text)


def test_files_are_kept_as_they_are(tmp_path: Path) -> None:
    three(tmp_path, "u1:a1 b2  u2:c1 b2", "u1:c3 a4  u3:a7 b8", "u1:b5  u2:a9 z9")
    spec = locate("tiny", tmp_path)
    assert spec.defaults == {"split.kind": "files"}
    found = load(spec, split=Files())
    assert trained(found) == {"u1": "ab", "u2": "cb"}
    assert examples(found, "valid") == [("u1", "ab", "c"), ("u1", "abc", "a"), ("u3", "a", "b")]
    assert examples(found, "test") == [("u1", "abca", "b"), ("u2", "cb", "a")]
    assert found.counts["unknown_interactions"] == 1
    assert examples(load(spec, split=Files(target="all")), "valid")[1] == ("u1", "ab", "a")


@pytest.mark.parametrize(
    ("valid", "message"),
    [
        ("u1:b2", "tiny.train.inter and tiny.valid.inter share 1 interactions, such as user u1"),
        (
            "u1:c1",
            "tiny.train.inter has an interaction of user u1 that is later than one in tiny.v",
        ),
    ],
)
def test_files_that_overlap_are_refused_in_one_line(
    valid: str, message: str, tmp_path: Path
) -> None:
    three(tmp_path, "u1:a1 b2", valid, "u1:a9")
    with pytest.raises(UsageError, match=message):
        load(locate("tiny", tmp_path), split=Files())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    three(tmp_path, "u1:a1 b2", "u1:a3", "u1:a9")
    (tmp_path / "tiny" / "tiny.test.inter").unlink()
    with pytest.raises(UsageError, match=r"there is no tiny\.test\.inter"):
        load(locate("tiny", tmp_path), split=Files())


def without_times(text: str) -> str:
    rows = [line.split("\t")[:2] for line in text.splitlines()]
    return "\n".join("\t".join(row) for row in rows) + "\n"


def test_files_of_which_only_some_have_times_are_refused(tmp_path: Path) -> None:
    three(tmp_path, "u1:a1 b2", "u1:a3", "u1:a9")
    test = tmp_path / "tiny" / "tiny.test.inter"
    test.write_text(without_times(test.read_text()))
    with pytest.raises(UsageError, match="only the train and valid file has timestamp"):
        load(locate("tiny", tmp_path), split=Files())


@pytest.mark.parametrize("unknown_items", ["drop", "rank"])
def test_places_in_files_without_times_are_no_times_where_items_are_dropped(
    unknown_items: Literal["drop", "rank"], tmp_path: Path
) -> None:
    three(tmp_path, "u1:a1 b2  u2:b1 a2", "u1:z3  u2:a3", "u1:b4  u2:b4")  # z is not trained on
    found = load(locate("tiny", tmp_path), split=Files(unknown_items=unknown_items))
    assert len(found.items) == (7 if unknown_items == "drop" else 8)
    assert found.times is None


def test_an_id_that_stands_for_a_missing_one_is_none_in_files_without_times(tmp_path: Path) -> None:
    three(tmp_path, "u1:a1 b2", "u1:a3", "u1:b9")
    for part in ("train", "valid", "test"):
        file = tmp_path / "tiny" / f"tiny.{part}.inter"
        file.write_text(without_times(file.read_text()))
    assert load(locate("tiny", tmp_path), split=Files()).counts["test_targets"] == 1
    file.write_text(file.read_text() + "NA\ta\n")
    with pytest.raises(UsageError, match=r"tiny.test.inter column 'user_id', line 3: 1 row has no"):
        load(locate("tiny", tmp_path), split=Files())


def test_two_files_that_are_the_same_are_refused_without_times_too(tmp_path: Path) -> None:
    three(tmp_path, "u1:a1 b2", "u1:a3", "u1:a1 b2")
    for part in ("train", "valid", "test"):
        file = tmp_path / "tiny" / f"tiny.{part}.inter"
        file.write_text(without_times(file.read_text()))
    with pytest.raises(UsageError, match=r"tiny.train.inter and tiny.test.inter are the same"):
        load(locate("tiny", tmp_path), split=Files())


def test_a_part_is_no_data_set_of_its_own(tmp_path: Path) -> None:
    three(tmp_path, "u1:a1 b2", "u1:a3", "u1:a9")
    with pytest.raises(UsageError, match=r"leave split\.kind at files"):
        load(locate("tiny", tmp_path))


LISTS = "session_id:token\titem_id_list:token_seq\titem_id:token\n"


def lists(folder: Path, **parts: str) -> Path:
    (folder / "tiny").mkdir(exist_ok=True)
    for part, text in parts.items():
        rows = [row.split(">") for row in text.split("  ")]
        (folder / "tiny" / f"tiny.{part}.inter").write_text(
            LISTS + "".join(f"{u}\t{' '.join(items)}\t{target}\n" for u, items, target in rows)
        )
    return folder


@pytest.mark.parametrize("rows", ["1>a>b  1>ab>c  1>abc>a", "1>abc>a  1>ab>c  1>a>b", "1>abc>a"])
def test_rows_of_lists_tell_whole_histories_in_any_order(rows: str, tmp_path: Path) -> None:
    folder = lists(tmp_path, train=rows, valid="1>abca>b  2>ab>c", test="2>abc>a  3>c>b  3>cb>a")
    found = load(locate("tiny", folder), split=Files())
    assert trained(found) == {"1": "abca"}
    assert examples(found, "valid") == [("1", "abca", "b"), ("2", "ab", "c")]
    assert examples(found, "test") == [("2", "abc", "a"), ("3", "c", "b"), ("3", "cb", "a")]
    assert found.times is None


def test_lists_that_are_cut_to_their_end_are_put_together(tmp_path: Path) -> None:
    folder = lists(tmp_path, train="1>a>b  1>ab>c  1>bc>d  1>cd>a", valid="1>da>b", test="1>ab>c")
    found = load(locate("tiny", folder), split=Files())
    assert trained(found) == {"1": "abcda"}
    assert examples(found, "test") == [("1", "abcdab", "c")]


def test_a_list_that_continues_nothing_is_refused(tmp_path: Path) -> None:
    folder = lists(tmp_path, train="1>a>b  1>cc>b", valid="1>ab>b", test="1>ab>c")
    with pytest.raises(UsageError, match=r"user '1': the item_id_list 'c c'"):
        load(locate("tiny", folder), split=Files())


@pytest.mark.parametrize(("field", "value"), [("users", 4), ("sha256", "0" * 64)])
def test_files_that_are_not_the_declared_ones_are_refused(
    field: str, value: object, tmp_path: Path
) -> None:
    three(tmp_path, "u1:a1 b2  u2:c1 b2", "u1:c3 a4", "u2:a9")
    spec = locate("tiny", tmp_path)
    assert load(spec, split=Files()).num_users == 2
    with pytest.raises(UsageError, match=f"is not the tiny that is declared: expected {field} "):
        load(replace(spec, **{field: value}), split=Files())  # type: ignore[arg-type]


def test_a_field_of_another_split_says_whose_it_is(tmp_path: Path) -> None:
    write(tmp_path / "tiny.inter", TIMED)
    where = [("dataset", "tiny"), ("data_dir", str(tmp_path)), ("model", "sasrec")]
    with pytest.raises(UsageError, match=r"unknown 'quantile' of kind leave_one_out; .* temporal"):
        resolve(None, [*where, ("split.quantile", 0.8)])
