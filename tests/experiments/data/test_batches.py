"""Every training target is seen once, from the right history, in a repeatable order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from augment import TrainHistories
from augment.examples import Rows, prefix_rows, window_rows
from experiments.config.resolve import resolve
from experiments.data.batches import TrainingBatches, make_batch
from experiments.data.splits.held_out import evaluation_rows, train_split
from experiments.training.run import prepare
from models.tasks import Batch
from tests.experiments.small_data import histories_of, planted, users_of, write_text
from tests.histories import train_of

CPU = torch.device("cpu")
Example = tuple[int, list[int], int]  # user, history, the item after it

max_lengths = st.integers(1, 8)


def examples(items: Tensor, rows: Rows) -> list[Example]:
    found = []
    for user, start, length in zip(rows.user, rows.start, rows.length, strict=True):
        some = items[start : start + length + 1].tolist()
        found.append((int(user), some[:-1], some[-1]))
    return found


def in_batch(batch: Batch) -> list[Example]:
    rows = zip(
        batch.users.tolist(),
        batch.histories.items.tolist(),
        batch.histories.lengths.tolist(),
        batch.targets.tolist(),
        strict=True,
    )
    return [(user, items[:length], target) for user, items, length, target in rows]


def batches_of(lengths: list[int], batch_size: int, pool: int, seed: int = 0) -> TrainingBatches:
    train = train_of([list(range(1, n + 1)) for n in lengths])
    return TrainingBatches(train, prefix_rows(train, 50), batch_size, pool, seed, CPU)


def epoch(batches: TrainingBatches, number: int) -> list[list[Example]]:
    return [in_batch(batch) for batch in batches.epoch(number)]


def test_the_training_split_lacks_the_last_two_items_of_each_user():
    train = train_split(histories_of([[1, 2, 3, 4, 5], [6, 5, 4], [2, 2, 2, 2]]))
    assert train.items.tolist() == [1, 2, 3, 6, 2, 2]
    assert train.offsets.tolist() == [0, 3, 4, 6]
    assert train.num_items == 6


def test_a_history_of_eight_is_covered_by_three_windows_that_overlap_by_half():
    train = train_of([list(range(11, 19))])
    rows = window_rows(train, 4)
    batch = make_batch(train, rows, np.arange(len(rows)), CPU)
    assert batch.histories.items.tolist() == [
        [11, 12, 13, 14],
        [13, 14, 15, 16],
        [15, 16, 17, 0],
    ]
    assert batch.labels is not None
    assert batch.labels.tolist() == [
        [12, 13, 14, 15],
        [0, 0, 16, 17],
        [0, 0, 18, 0],
    ]


@given(users=users_of(shortest=2), max_length=max_lengths)
def test_labels_are_the_items_one_place_later(users, max_length):
    train = train_of(users)
    rows = window_rows(train, max_length)
    batch = make_batch(train, rows, np.arange(len(rows)), CPU)
    assert batch.labels is not None
    for i, labels in enumerate(batch.labels.tolist()):
        start, length, first = rows.start[i], rows.length[i], rows.scored_from[i]
        after = train.items[start + 1 : start + 1 + length].tolist()
        padding = len(labels) - length
        assert labels == [0] * first + after[first:] + [0] * padding
        assert batch.targets[i] == after[-1]


def test_prefix_batches_have_no_labels():
    train = train_of([[1, 2, 3]])
    assert make_batch(train, prefix_rows(train, 3), np.arange(2), CPU).labels is None


@given(users=users_of(), max_length=max_lengths)
def test_evaluation_reads_the_latest_items_before_the_target(users, max_length):
    histories = histories_of(users)
    items = torch.from_numpy(histories.items)
    for split, place in (("valid", -2), ("test", -1)):
        assert examples(items, evaluation_rows(histories, split, max_length)) == [
            (user, some[:place][-max_length:], some[place]) for user, some in enumerate(users)
        ]


def test_the_validation_item_is_in_the_test_history():
    histories = histories_of([[1, 2, 3, 4]])
    items = torch.from_numpy(histories.items)
    assert examples(items, evaluation_rows(histories, "test", 50)) == [(0, [1, 2, 3], 4)]


@given(
    lengths=st.lists(st.integers(2, 9), min_size=1, max_size=8),
    batch_size=st.integers(1, 7),
    pool=st.integers(1, 4),
    number=st.integers(1, 9),
)
def test_every_row_is_in_an_epoch_exactly_once(lengths, batch_size, pool, number):
    batches = batches_of(lengths, batch_size, pool)
    found = epoch(batches, number)
    expected = examples(batches.train.items, batches.rows)
    assert sorted(row for batch in found for row in batch) == sorted(expected)
    assert len(found) == len(batches)


@pytest.mark.parametrize("pool", [1, 2, 32])
def test_the_last_batch_may_be_short_and_the_others_are_full(pool):
    sizes = [len(batch) for batch in epoch(batches_of([12, 12, 4], batch_size=4, pool=pool), 1)]
    assert sorted(sizes) == [1, 4, 4, 4, 4, 4, 4]


@pytest.mark.parametrize("pool", [1, 4])
def test_the_order_depends_on_seed_and_epoch_only(pool):
    batches = batches_of([9] * 9, batch_size=4, pool=pool)
    third = epoch(batches, 3)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002  # the global state must not matter
    assert epoch(batches, 2) != third
    assert epoch(batches, 3) == third
    assert epoch(batches_of([9] * 9, batch_size=4, pool=pool), 3) == third
    assert epoch(batches_of([9] * 9, batch_size=4, pool=pool, seed=1), 3) != third


def test_buckets_of_like_lengths_reduce_the_padding():
    def padded(pool: int) -> int:
        batches = list(batches_of([30] * 10, batch_size=16, pool=pool).epoch(1))
        return sum(int((batch.histories.items == 0).sum()) for batch in batches)

    assert padded(32) < padded(1) / 4


def test_batches_of_like_lengths_come_in_random_order():
    widths = [b.histories.width for b in batches_of([30] * 10, batch_size=16, pool=32).epoch(1)]
    assert widths != sorted(widths)


def test_a_sample_of_batches_spreads_over_all_lengths() -> None:
    lengths = np.random.default_rng(0).integers(1, 41, 400)
    rows = Rows(np.zeros_like(lengths), lengths, np.arange(400))
    train = TrainHistories(torch.ones(41, dtype=torch.int64), torch.tensor([0, 41]), 1)
    batches = TrainingBatches(train, rows, 8, 10, 0, CPU)
    every = sorted(batch.histories.width for batch in batches.epoch(1))
    some = sorted(batch.histories.width for batch in batches.assembled(batches.sample(10)))
    assert some == every[2::5]
    assert len(batches.sample(99)) == len(batches) == 50


def test_a_run_s_batches_are_pooled_as_it_says(tmp_path: Path) -> None:
    write_text(tmp_path, "planted", planted())
    data = [("dataset", "planted"), ("data_dir", str(tmp_path)), ("train.batch_size", 16)]

    def spread(pool: int) -> float:
        """How unlike the lengths of a batch are."""
        run = prepare(*resolve(None, [*data, ("train.bucket_pool", pool)]))
        lengths = [batch.histories.lengths.double() for batch in run.batches.epoch(1)]
        return float(torch.stack([some.std() for some in lengths if len(some) > 1]).mean())

    assert spread(8) < spread(1) / 2
