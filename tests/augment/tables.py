"""Tables of neighbours whose entries can be told by heart."""

from __future__ import annotations

import torch

from augment import Neighbours
from augment.neighbours import table


def listed(neighbours: list[list[int]]) -> Neighbours:
    """listed([[2, 3], [1], []]): the neighbours of items 1, 2 and 3, scored 1, 1/2, 1/3 ..."""
    width = max(1, *(len(row) for row in neighbours))
    items = [row + [0] * (width - len(row)) for row in neighbours]
    scores = [
        [1 / (place + 1) for place in range(len(row))] + [float("-inf")] * (width - len(row))
        for row in neighbours
    ]
    rows = torch.arange(1, len(neighbours) + 1)
    ends = torch.tensor([1 / width, 1.0])
    return table(len(neighbours), rows, torch.tensor(items), torch.tensor(scores), ends[0], ends[1])


def a_hundred_more(items: int = 20) -> Neighbours:
    """Item i goes with item 100 + i, for the first `items` items; the others have none."""
    return listed([[100 + i] if i <= items else [] for i in range(1, 101 + items)])
