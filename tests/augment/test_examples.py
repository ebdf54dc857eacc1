"""Every training target is in exactly one example, with the history that leads to it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from augment import TrainHistories
from augment.examples import Rows, prefix_rows, window_rows
from tests.histories import train_of

Example = tuple[int, list[int], int]  # user, history, the item after it

users_of = st.lists(st.lists(st.integers(1, 9), max_size=12), max_size=5)
max_lengths = st.integers(1, 8)


def examples(train: TrainHistories, rows: Rows) -> list[Example]:
    slices = zip(rows.user, rows.start, rows.start + rows.length, strict=True)
    items = train.items.tolist()
    return [(int(user), items[start:stop], items[stop]) for user, start, stop in slices]


def test_a_history_of_six_has_five_prefixes_of_at_most_three_items() -> None:
    train = train_of([[11, 12, 13, 14, 15, 16]])
    assert examples(train, prefix_rows(train, 3)) == [
        (0, [11], 12),
        (0, [11, 12], 13),
        (0, [11, 12, 13], 14),
        (0, [12, 13, 14], 15),
        (0, [13, 14, 15], 16),
    ]


@given(users=users_of, max_length=max_lengths)
def test_prefix_rows_equal_a_plain_loop(users: list[list[int]], max_length: int) -> None:
    users = [*users, [1]]
    expected = []
    for user, items in enumerate(users):
        for place in range(1, len(items)):
            expected.append((user, items[:place][-max_length:], items[place]))
    train = train_of(users)
    rows = prefix_rows(train, max_length)
    assert examples(train, rows) == expected
    assert len(rows) == rows.targets == len(expected)


@given(lengths=st.lists(st.integers(0, 40), min_size=1, max_size=5), max_length=max_lengths)
def test_windows_score_every_target_exactly_once(lengths: list[int], max_length: int) -> None:
    lengths = [*lengths, 2]
    train = train_of([list(range(1, n + 1)) for n in lengths])
    rows = window_rows(train, max_length)
    assert rows.scored_from is not None
    scored = []
    for i in range(len(rows)):
        last = rows.start[i] + rows.length[i]
        scored += [(rows.user[i], p) for p in range(rows.start[i] + rows.scored_from[i], last)]
    offsets = train.offsets.tolist()
    expected = [
        (user, offsets[user] + place) for user, n in enumerate(lengths) for place in range(n - 1)
    ]
    assert sorted(scored) == expected
    assert rows.targets == len(expected)


@given(length=st.integers(2, 60), max_length=max_lengths)
def test_windows_fit_and_later_ones_have_half_a_window_of_context(
    length: int, max_length: int
) -> None:
    rows = window_rows(train_of([list(range(1, length + 1))]), max_length)
    assert rows.scored_from is not None
    assert rows.length.max() <= max_length
    assert rows.length.min() >= 1
    assert rows.start[0] == rows.scored_from[0] == 0
    assert (rows.scored_from[1:] >= max_length // 2).all()
    assert (rows.start + rows.length <= length - 1).all()
