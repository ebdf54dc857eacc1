"""Which items go together: by how many histories hold both, or by their embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from augment.neighbours import Neighbours, table
from augment.sequences import TrainHistories

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Counted = Literal["cooccurrence", "cosine", "cosine_iuf"]
CountNeighbours = Callable[[TrainHistories, int, Counted], Neighbours]
"""How items are compared by the histories that they share: `counted_neighbours`, or what gives
the same."""
BLOCK = 4_194_304  # pairs of items held at once, at most: a few hundred MB of work space


def counted_neighbours(train: TrainHistories, k: int, counted: Counted) -> Neighbours:
    """The k items that share most histories with each item; ties go to the lower number.

    cooccurrence: the number of training histories that hold both items.
    cosine:       that number over sqrt(n_i n_j), n the histories that hold an item: the ItemCF
                  of CoSeRec's code (arXiv:2108.06479).
    cosine_iuf:   the same with a history of m distinct items counted as 1 / ln(1 + m): its
                  ItemCF_IUF, the default there.
    An item that shares no history has no neighbour.  Rows are worked off in blocks of bounded
    size, so memory does not grow with the square of the catalogue.
    """
    held = incidence(train)  # [U, N], 1 where a history holds an item
    sizes, frequency = held.sum(axis=1), held.sum(axis=0)
    left = held.T.tocsr()  # [N, U]
    if counted == "cosine_iuf":
        left.data /= np.log1p(sizes)[left.indices]
    best = []
    for start, stop in blocks(held.T @ sizes):  # products that each row costs
        pairs = (left[start:stop] @ held).tocoo()  # [b, N]
        row, column, score = pairs.row, pairs.col, pairs.data
        if counted != "cooccurrence":
            score = score / np.sqrt(frequency[row + start] * frequency[column])
        apart = column != row + start
        best.append(best_of_rows(row[apart], column[apart], score[apart], stop - start, k))
    items, scores = (np.concatenate(part) for part in zip(*[b[:2] for b in best], strict=True))
    low, high = min(b[2] for b in best), max(b[3] for b in best)
    rows = torch.arange(1, train.num_items + 1)
    ends = torch.tensor([low, high], dtype=torch.float64)
    numbers, values = torch.from_numpy(items), torch.from_numpy(scores)
    return table(train.num_items, rows, numbers, values, ends[0], ends[1])


def incidence(train: TrainHistories) -> Any:
    """[U, num_items] CSR, 1.0 where user u's history holds item i + 1, once or more."""
    from scipy.sparse import csr_array  # a tenth of a second

    lengths = np.diff(train.offsets.numpy())
    users = np.repeat(np.arange(len(lengths)), lengths)
    shape = (len(lengths), train.num_items)
    held = csr_array((np.ones(len(users)), (users, train.items.numpy() - 1)), shape=shape)
    held.sum_duplicates()
    held.data[:] = 1.0
    return held


def blocks(work: Floats) -> Iterator[tuple[int, int]]:
    """Consecutive rows as (start, stop) whose work adds up to BLOCK and at most one row more."""
    number = np.cumsum(work) // BLOCK
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    yield from zip(starts.tolist(), [*starts[1:].tolist(), len(work)], strict=True)


def best_of_rows(
    row: Ints, column: Ints, score: Floats, rows: int, k: int
) -> tuple[Ints, Floats, float, float]:
    """The k highest scores of each row of a sparse block.

    row, column, score: the block's entries, in any order; columns count from 0.
    Returns item numbers and scores [rows, k], and the lowest and highest score of all (inf,
    -inf where there is none).
    """
    order = np.lexsort((column, -score, row))
    row, column, score = row[order], column[order], score[order]
    begin = np.searchsorted(row, np.arange(rows))  # where each row starts
    place = np.arange(len(row)) - begin[row]
    kept = place < k
    items = np.zeros((rows, k), dtype=np.int64)
    scores = np.full(items.shape, -np.inf)
    items[row[kept], place[kept]] = column[kept] + 1
    scores[row[kept], place[kept]] = score[kept]
    return items, scores, score.min(initial=np.inf), score.max(initial=-np.inf)


def embedding_neighbours(vectors: Tensor, known: Tensor, k: int) -> Neighbours:
    """The k known items whose embeddings point most nearly the same way (highest cosine).

    vectors: [num_items, d]; row i belongs to item i + 1.
    known:   [M] item numbers that may be named: those in the training split; others have no
             neighbours and are nobody's.
    CoSeRec's code compares by dot product, in which items of great norm are close to all.
    """
    unit = F.normalize(vectors[known - 1], dim=1)  # [M, d]
    width = min(k, len(known) - 1)
    items = known.new_zeros(len(known), k)
    scores = unit.new_full((len(known), k), -torch.inf)
    low, high = unit.new_tensor(torch.inf), unit.new_tensor(-torch.inf)
    step = max(1, BLOCK // max(1, len(known)))
    for start in range(0, len(known) if width > 0 else 0, step):
        cosine = unit[start : start + step] @ unit.T  # [b, M]
        own = torch.arange(start, start + len(cosine), device=unit.device)[:, None]
        low = low.minimum(cosine.scatter(1, own, torch.inf).min())
        best, index = cosine.scatter_(1, own, -torch.inf).topk(width)
        high = high.maximum(best.max())
        items[start : start + step, :width] = known[index]
        scores[start : start + step, :width] = best
    return table(len(vectors), known, items, scores, low, high)
