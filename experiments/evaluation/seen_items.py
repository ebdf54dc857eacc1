"""What each user has seen before a target: the whole history, not only what the model reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from augment.examples import Rows, numbered
from experiments.data.histories import Histories, IntArray
from experiments.evaluation.rank_counts import Pairs


@dataclass(frozen=True)
class SeenItems:
    """Where an item occurs for the first time in a user's history, in order, user after user.

    What was seen before a target are the first occurrences from the user's beginning up to it.
    """

    items: IntArray  # [F] item numbers of first occurrences
    before: IntArray  # [N + 1] how many first occurrences lie before each interaction
    begin: IntArray  # [U] where each user's history begins

    def of(self, rows: Rows, index: IntArray, device: torch.device) -> Pairs:
        """What the user of each row saw before its target, not only the last max_length items.

        [P] pairs (row of the batch, column of the scores without padding), each once.
        """
        begin = self.before[self.begin[rows.user[index]]]
        counts = self.before[rows.start[index] + rows.length[index]] - begin
        row, place = numbered(counts)
        item = self.items[begin[row] + place] - 1
        return Pairs(torch.from_numpy(row).to(device), torch.from_numpy(item).to(device))


def seen_items(histories: Histories) -> SeenItems:
    """Of all users, for any split."""
    first = histories.first_occurrences
    before = np.concatenate([[0], np.cumsum(first)])
    return SeenItems(histories.items[first], before, histories.offsets[:-1])
