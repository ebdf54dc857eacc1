"""The table of items that go with an item."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from augment.sequences import random_below


@dataclass(frozen=True)
class Neighbours:
    """The k items most correlated with each item, best first.

    items:     [num_items + 1, k] int64; row i belongs to item i, row 0 to padding.
    counts:    [num_items + 1] int64; how many neighbours each item has, 0 to k.
    scores:    [num_items + 1, k]; -inf where an item has fewer than k neighbours, and then
               `items` holds the item itself.
    low, high: scalars; the smallest and the largest score of all pairs that were compared
               (inf and -inf where there was none).
    """

    items: Tensor
    counts: Tensor
    scores: Tensor
    low: Tensor
    high: Tensor

    def to(self, device: torch.device) -> Neighbours:
        return Neighbours(
            self.items.to(device),
            self.counts.to(device),
            self.scores.to(device),
            self.low.to(device),
            self.high.to(device),
        )

    def draw(self, items: Tensor, rng: Generator) -> Tensor:
        """One of each item's neighbours, all as likely: int64, any shape.

        MASK, PADDING and an item without neighbours give themselves.
        """
        row = items.clamp(min=0)
        place = random_below(self.counts[row].clamp(min=1), rng)
        return torch.where(items > 0, self.items[row, place], items)

    def scaled(self) -> Tensor:
        """[num_items + 1, k] scores, from 0 for the lowest pair to 1 for the highest."""
        return (self.scores - self.low) / (self.high - self.low).clamp(min=1e-12)


def table(
    num_items: int, rows: Tensor, items: Tensor, scores: Tensor, low: Tensor, high: Tensor
) -> Neighbours:
    """Neighbours from what was found for some items; the others have none.

    rows: [M] item numbers; items, scores: [M, k] their neighbours, with -inf where none is.
    """
    own = torch.arange(num_items + 1, device=rows.device)[:, None]  # [N + 1, 1]
    all_items = own.repeat(1, items.shape[1])
    all_items[rows] = torch.where(scores.isfinite(), items, rows[:, None])
    all_scores = torch.full(all_items.shape, -torch.inf, dtype=scores.dtype, device=rows.device)
    all_scores[rows] = scores
    counts = all_scores.isfinite().sum(dim=1)  # [N + 1]
    return Neighbours(all_items, counts, all_scores, low, high)


def better_of(first: Neighbours, second: Neighbours) -> Neighbours:
    """Each item's k best neighbours of two tables, compared by their scores scaled to [0, 1].

    The hybrid of CoSeRec (arXiv:2108.06479, section 3.2.3), whose code knows k = 1 only.  A
    neighbour in both tables counts once, by its higher score; of equal ones the first table's
    goes before.
    """
    ours, theirs = first.scaled(), second.scaled()  # [N + 1, k]
    same = first.items[:, :, None] == second.items[:, None, :]  # [N + 1, k, k]
    second_wins = theirs[:, None, :] > ours[:, :, None]
    ours = ours.masked_fill((same & second_wins).any(dim=2), -torch.inf)
    theirs = theirs.masked_fill((same & ~second_wins).any(dim=1), -torch.inf)
    scores, order = torch.cat([ours, theirs], dim=1).sort(dim=1, descending=True, stable=True)
    items = torch.cat([first.items, second.items], dim=1).gather(1, order)  # [N + 1, 2k]
    width = max(ours.shape[1], theirs.shape[1])
    rows = torch.arange(len(items), device=items.device)
    zero, unit = scores.new_zeros(()), scores.new_ones(())
    return table(len(items) - 1, rows, items[:, :width], scores[:, :width], zero, unit)
