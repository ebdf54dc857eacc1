"""Examples to batches: length buckets, and what goes to the device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from augment import TrainHistories
from augment.examples import DeviceRows, IntArray, Rows
from augment.sequences import cut, cut_histories
from models.tasks import Batch


class TrainingBatches:
    """The batches of each epoch, in an order that only the seed and the epoch decide.

    Rows are shuffled, cut into pools of `bucket_pool` batches, sorted by length inside a pool
    and cut into batches, which are then shuffled: little padding, every row once an epoch.
    """

    def __init__(
        self,
        train: TrainHistories,
        rows: Rows,
        batch_size: int,
        bucket_pool: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.train = train.to(device)
        self.rows = rows
        self.resident = rows.to(device)
        self.batch_size = batch_size
        self.bucket_pool = bucket_pool
        self.seed = seed

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.rows) // self.batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The order of the epoch goes to the device once; a batch moves nothing."""
        yield from self.assembled(self.plan(number))

    def sample(self, count: int) -> list[IntArray]:
        """Row numbers of `count` batches of the first epoch, evenly spaced by length.

        The batches cost on average what all of them do, so an epoch can be told from a few steps.
        """
        parts = self.plan(1)
        by_length = np.argsort([self.rows.length[part].max() for part in parts], kind="stable")
        count = min(count, len(parts))
        chosen = by_length[(2 * np.arange(count) + 1) * len(parts) // (2 * count)]
        return [parts[i] for i in np.sort(chosen)]

    def plan(self, number: int) -> list[IntArray]:
        """Row numbers of each batch of an epoch."""
        rng = np.random.default_rng((self.seed, number))
        return plan(self.rows.length, self.batch_size, self.bucket_pool, rng)

    def assembled(self, parts: list[IntArray]) -> Iterator[Batch]:
        """The batches of these rows, one after the other."""
        order = torch.from_numpy(np.concatenate(parts)).to(self.train.items.device)
        for index, part in zip(torch.split(order, [len(p) for p in parts]), parts, strict=True):
            yield assemble(self.train, self.resident, index, self.rows, part)


def plan(
    length: IntArray, batch_size: int, bucket_pool: int, rng: np.random.Generator
) -> list[IntArray]:
    """Row numbers of each batch of an epoch."""
    order = rng.permutation(len(length))
    pool = batch_size * bucket_pool
    batches = []
    for start in range(0, len(order), pool):
        rows = order[start : start + pool]
        if bucket_pool > 1:
            rows = rows[np.argsort(length[rows], kind="stable")]
        batches += [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    rng.shuffle(batches)
    return batches


def make_batch(train: TrainHistories, rows: Rows, index: IntArray, device: torch.device) -> Batch:
    """The examples `index` as tensors on the device, padded to the longest of them."""
    there = torch.from_numpy(index).to(device)
    return assemble(train.to(device), rows.to(device), there, rows, index)


def assemble(
    train: TrainHistories, resident: DeviceRows, index: Tensor, rows: Rows, known: IntArray
) -> Batch:
    """A batch from what lies on the device; its shapes from `known`, the same index on the host.

    So a device is never waited for.
    """
    width = int(rows.length[known].max())
    items, start, length = train.items, resident.start[index], resident.length[index]
    histories = cut_histories(items, train.times, start, length, width)
    labels = scored = None
    if rows.scored_from is not None and resident.scored_from is not None:
        scored = rows.length[known] - rows.scored_from[known]
        labels = cut(items, start + 1, length, width)
        before = torch.arange(width, device=items.device) < resident.scored_from[index][:, None]
        labels = labels.masked_fill(before, 0)
    finals = int(rows.final[known].sum())
    final = torch.nonzero_static(resident.final[index], size=finals)[:, 0]
    at = start + length
    return Batch(histories, items[at], resident.user[index], labels, scored, final, at)
