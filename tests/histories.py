"""Random histories, and what many tests ask of them."""

from __future__ import annotations

import math
from fractions import Fraction
from random import Random

import torch
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Generator, Tensor

from augment import MASK, PADDING, Sequences, TrainHistories

Rows = list[list[int]]

seeds = st.integers(0, 2**32 - 1)
percents = st.integers(0, 100)
shares = percents.map(lambda percent: percent / 100)


@st.composite
def histories(draw: st.DrawFn, items: int = 20, longest: int = 12, rows: int = 5) -> Sequences:
    """Up to `rows` histories of 1 to `longest` items, some hidden, padded by up to 3 columns."""
    lengths = draw(st.lists(st.integers(1, longest), min_size=1, max_size=rows))
    pick = Random(draw(seeds))
    some = [[pick.choice([MASK, *range(1, items + 1)]) for _ in range(n)] for n in lengths]
    return padded(some, max(lengths) + draw(st.integers(0, 3)))


def padded(rows: Rows, width: int | None = None) -> Sequences:
    """The given histories side by side: padded([[1, 2], [3]]) holds 1 2 / 3 0."""
    width = width or max(len(row) for row in rows)
    full = [row + [PADDING] * (width - len(row)) for row in rows]
    return Sequences(torch.tensor(full), torch.tensor([len(row) for row in rows]))


def train_of(rows: Rows, num_items: int = 99) -> TrainHistories:
    """The given histories as training data, a user each; say num_items where it matters."""
    items = torch.tensor([item for row in rows for item in row])
    return TrainHistories(items, torch.tensor([0, *map(len, rows)]).cumsum(0), num_items)


def timed(seqs: Sequences, seed: int = 0) -> Sequences:
    """The same histories with times from 1,000 on that rise by 0 to 9 from item to item."""
    steps = torch.randint(10, seqs.items.shape, generator=generator(seed))
    times = torch.where(seqs.real(), 1000 + steps.cumsum(dim=1), PADDING)
    return Sequences(seqs.items, seqs.lengths, times)


def real_times(seqs: Sequences) -> Rows:
    """The times of the histories' items."""
    assert seqs.times is not None
    pairs = zip(seqs.times.tolist(), seqs.lengths.tolist(), strict=True)
    return [row[:length] for row, length in pairs]


def counting(lengths: list[int], width: int | None = None) -> Sequences:
    """Histories 1, 2, ..., n: an item's number tells where it was."""
    return padded([list(range(1, n + 1)) for n in lengths], width)


def real_items(seqs: Sequences) -> Rows:
    """The histories without their padding."""
    pairs = zip(seqs.items.tolist(), seqs.lengths.tolist(), strict=True)
    return [row[:length] for row, length in pairs]


def generator(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def exact_floor(percent: int, length: int) -> int:
    """floor(percent / 100 * length) in rational arithmetic."""
    return math.floor(Fraction(percent, 100) * length)


def could_be_uniform(counts: list[int] | Tensor, weights: list[float] | None = None) -> bool:
    """Chi-square at the .001 level: are these counts from equal (or the given) weights?"""
    seen = torch.as_tensor(counts, dtype=torch.float64)
    share = torch.as_tensor(weights or [1.0] * len(seen), dtype=torch.float64)
    return bool(chisquare(seen, share / share.sum() * seen.sum()).pvalue > 0.001)
