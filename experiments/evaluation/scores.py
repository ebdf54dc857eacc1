"""Scores of many users for the whole catalogue, some users and some items at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from augment import Sequences
from experiments.errors import UsageError
from models.host import Host

LEAST_USERS = 64  # scored together, however large the catalogue is
TILED_USERS = 256  # the same where the items are cut as well: then their vectors are read anew


class Scorer(Protocol):
    """Anything that scores the whole catalogue for a batch of histories."""

    def score_blocks(self, histories: Sequences, rows: int) -> Iterator[Tensor]:
        """[<= rows, num_items], block after block, in the order of the histories."""
        ...


@dataclass(frozen=True)
class UserVectors:
    """Another model's users and items: a score is the product of a user's vector and an item's.

    users: [U, d] in the order of the data; items: [num_items, d], row i is item i + 1.
    """

    users: Tensor
    items: Tensor

    def __post_init__(self) -> None:
        if self.users.shape[1:] != self.items.shape[1:]:
            raise UsageError(
                f"vectors of users have {self.users.shape[1]} numbers each, those of items "
                f"{self.items.shape[1]}; they need the same dimension"
            )


class Block(Protocol):
    """Scores of some users: [B, num_items], in parts."""

    def of(self, items: Tensor) -> Tensor:
        """[B]: each user's score of one item, by its column."""
        ...

    def tiles(self) -> Iterator[tuple[int, Tensor]]:
        """(first column, [B, columns]) from the first item to the last; may be overwritten."""
        ...


@dataclass(frozen=True)
class Whole:
    """All items at once."""

    scores: Tensor  # [B, num_items]

    def of(self, items: Tensor) -> Tensor:
        return self.scores.gather(1, items[:, None])[:, 0]

    def tiles(self) -> Iterator[tuple[int, Tensor]]:
        yield 0, self.scores


@dataclass(frozen=True)
class Tiled:
    """`columns` items at a time, each part made when it is asked for."""

    states: Tensor  # [B, d]
    items: Tensor  # [num_items, d]
    columns: int

    def of(self, items: Tensor) -> Tensor:
        return (self.states @ self.items[items].T).diagonal()  # by the kernel of the tiles

    def tiles(self) -> Iterator[tuple[int, Tensor]]:
        for first in range(0, len(self.items), self.columns):
            yield first, self.states @ self.items[first : first + self.columns].T


@dataclass(frozen=True)
class Layout:
    """How many users and items are scored together.

    block: users times items, at most, but for LEAST_USERS users who are always scored together.
    A catalogue that fits LEAST_USERS times into four blocks is not cut.
    """

    rows: int
    columns: int

    @staticmethod
    def of(block: int, num_items: int, cut: bool = True) -> Layout:
        """cut: whether the catalogue may be cut."""
        rows = max(LEAST_USERS, block // num_items)
        if not cut or rows * num_items <= 4 * block:
            return Layout(rows, num_items)
        rows = max(LEAST_USERS, min(TILED_USERS, block))
        return Layout(rows, min(num_items, max(1, block // rows)))


def can_be_cut(model: Scorer | UserVectors) -> bool:
    """Is a score a product of vectors?  Any other model is asked for the whole catalogue."""
    return isinstance(model, (Host, UserVectors))


def score_blocks(
    model: Scorer, histories: Sequences, layout: Layout, num_items: int
) -> Iterator[Block]:
    """The scores of these histories, at most `layout.rows` of them at a time."""
    if layout.columns < num_items and isinstance(model, Host):
        items = model.output_items().all()
        for states in torch.split(model.represent(histories), layout.rows):
            yield Tiled(states, items, layout.columns)
        return
    yield from map(Whole, model.score_blocks(histories, layout.rows))


def vector_blocks(vectors: UserVectors, users: Tensor, layout: Layout) -> Iterator[Block]:
    """The scores of some users of another model."""
    for states in torch.split(vectors.users[users], layout.rows):
        tiled = Tiled(states, vectors.items, layout.columns)
        if layout.columns < len(vectors.items):
            yield tiled
        else:
            yield from (Whole(scores) for _, scores in tiled.tiles())
