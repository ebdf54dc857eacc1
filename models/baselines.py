"""What every method must beat: no parameters, no training."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from augment import Sequences, TrainHistories


class Popularity(nn.Module):
    """Score an item by how often it occurs in the training split, for everybody the same."""

    counts: Tensor

    def __init__(self, train: TrainHistories) -> None:
        super().__init__()
        counts = torch.bincount(train.items, minlength=train.num_items + 1).float()
        self.register_buffer("counts", counts)

    def scores(self, histories: Sequences) -> Tensor:
        """[B, num_items + 1]; column 0 is padding."""
        return self.counts.repeat(len(histories), 1)

    def score_blocks(self, histories: Sequences, rows: int) -> Iterator[Tensor]:
        return score_blocks(self.scores, histories, rows)


class RepeatLast(nn.Module):
    """Recommend a user's own last items again, latest first; all others are tied behind them.

    The bar where seen items are ranked: on data with repeats it beats many trained models.
    """

    def __init__(self, train: TrainHistories) -> None:
        super().__init__()
        self.num_items = train.num_items

    def scores(self, histories: Sequences) -> Tensor:
        """[B, num_items + 1]: an item's last position + 1, or 0 where it does not occur."""
        place = torch.arange(1, histories.width + 1, device=histories.device, dtype=torch.float32)
        scores = torch.zeros(len(histories), self.num_items + 1, device=histories.device)
        recency = place.expand(histories.items.shape)
        return scores.scatter_reduce(1, histories.items, recency, reduce="amax")

    def score_blocks(self, histories: Sequences, rows: int) -> Iterator[Tensor]:
        return score_blocks(self.scores, histories, rows)


def score_blocks(
    scores: Callable[[Sequences], Tensor], histories: Sequences, rows: int
) -> Iterator[Tensor]:
    """[<= rows, num_items] at a time, without the column of padding."""
    for start in range(0, len(histories), rows):
        yield scores(histories.rows(slice(start, start + rows)))[:, 1:]


BASELINES: dict[str, type[Popularity] | type[RepeatLast]] = {
    "popularity": Popularity,
    "repeat-last": RepeatLast,
}
