"""Full ranking by counting, under both rules for items a user has already seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augment import Sequences
from augment.examples import Rows
from augment.sequences import cut_histories
from experiments.data.batches import HELD_OUT, Split, evaluation_rows
from experiments.data.histories import Histories, IntArray
from experiments.metric_names import CUTOFFS
from models.shard import ALONE, Shard

FloatArray = NDArray[np.float64]
USERS = 512  # histories encoded at once


class Scorer(Protocol):
    """Anything that scores the whole catalogue for a batch of histories."""

    def score_blocks(self, histories: Sequences, rows: int) -> Iterator[Tensor]:
        """[<= rows, num_items], block after block, in the order of the histories."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """Ranks of one split's targets, [U] each, under both seen-item rules.

    ranked:   seen items compete like all others.
    excluded: seen items are taken out; a target that was seen before is a miss (rank inf).
    """

    ranked: FloatArray
    excluded: FloatArray
    targets_seen: int

    def metrics(self) -> dict[str, dict[str, float]]:
        """{"excluded" | "ranked": {"hr@5": ...}}, averaged over users."""
        return {"excluded": metrics(self.excluded), "ranked": metrics(self.ranked)}


def metrics(ranks: FloatArray) -> dict[str, float]:
    """HR, NDCG and MRR at each cutoff for one target a user.

    hit = rank <= k; ndcg = 1 / log2(1 + rank) and mrr = 1 / rank for a hit, else 0.
    """
    result = {}
    for k in CUTOFFS:
        hit = ranks <= k
        result[f"hr@{k}"] = float(hit.mean())
        result[f"ndcg@{k}"] = float(np.where(hit, 1.0 / np.log2(1.0 + ranks), 0.0).mean())
        result[f"mrr@{k}"] = float(np.where(hit, 1.0 / ranks, 0.0).mean())
    return result


@torch.inference_mode()
def evaluate(
    model: Scorer,
    histories: Histories,
    split: Split,
    max_length: int,
    block: int,
    device: torch.device,
    shard: Shard = ALONE,
) -> Evaluation:
    """Rank every user's target of the split among all real items.

    rank = 1 + #(greater) + #(other equal) / 2, so ties cost what a random order would and a
    constant scorer gains nothing.  Histories of like length are encoded together; scores are
    made and counted in blocks of users x items <= block, which stay in a processor's cache.
    Processes that train together share the users out.
    Raises FloatingPointError when a score is not finite.
    """
    rows = evaluation_rows(histories, split, max_length)
    seen = seen_items(histories, split)
    items = torch.from_numpy(histories.items).to(device)
    times = None if histories.times is None else torch.from_numpy(histories.times).to(device)
    ranked, excluded = np.zeros(len(rows)), np.zeros(len(rows))
    size = max(1, block // histories.num_items)
    order = np.argsort(rows.length, kind="stable")
    for first in range(shard.rank * USERS, len(order), shard.count * USERS):
        users = order[first : first + USERS]
        batch, targets = evaluation_batch(items, times, rows, users, device)
        for start, scores in enumerate(model.score_blocks(batch, size)):
            block_of = slice(start * size, start * size + size)
            pairs = seen.of(users[block_of], device)
            ranks = count_ranks(scores, targets[block_of] - 1, *pairs)
            ranked[users[block_of]], excluded[users[block_of]] = (r.cpu().numpy() for r in ranks)
    if shard.count > 1:  # a user is ranked by one process and is 0 in all others
        both = shard.sum(torch.from_numpy(np.stack([ranked, excluded])).to(device))
        ranked, excluded = both.cpu().numpy()
    return Evaluation(ranked, excluded, int(np.isinf(excluded).sum()))


def evaluation_batch(
    items: Tensor, times: Tensor | None, rows: Rows, users: IntArray, device: torch.device
) -> tuple[Sequences, Tensor]:
    """The histories of some users, trimmed to their longest, and the items that follow."""
    start = torch.from_numpy(rows.start[users]).to(device)
    length = torch.from_numpy(rows.length[users]).to(device)
    width = int(rows.length[users].max())
    return cut_histories(items, times, start, length, width), items[start + length]


def count_ranks(
    scores: Tensor, targets: Tensor, seen_row: Tensor, seen_item: Tensor
) -> tuple[Tensor, Tensor]:
    """Ranks of the targets [B] among scores [B, I]: all items, and without the seen ones.

    seen_row, seen_item: [P] pairs, each once.  With S the sum of sign(score - target's score)
    over the n items that compete, #greater + #equal / 2 = (S + n) / 2, and the target itself
    is one of the equals: rank = (S + n + 1) / 2.  One pass, no sort.  Overwrites `scores`.
    """
    if not torch.isfinite(scores.sum()):
        raise FloatingPointError(
            "a score is not finite although the weights are: they have grown too large; try a "
            "smaller train.learning_rate or train.clip_norm=1"
        )
    own = scores.gather(1, targets[:, None])  # [B, 1] from the same product as the others
    above = scores.sub_(own).sign_()  # [B, I] of -1, 0, 1
    total = above.sum(dim=1).double()
    at_seen = above[seen_row, seen_item].double()  # [P]
    removed = torch.zeros_like(total).index_add_(0, seen_row, at_seen)
    count = torch.zeros_like(total).index_add_(0, seen_row, torch.ones_like(at_seen))
    ranked = (total + scores.shape[1] + 1) / 2
    excluded = (total - removed + scores.shape[1] - count + 1) / 2
    missed = torch.zeros_like(targets, dtype=torch.bool)
    missed[seen_row[seen_item == targets[seen_row]]] = True
    return ranked, excluded.masked_fill(missed, float("inf"))


@dataclass(frozen=True)
class SeenItems:
    """The distinct items of each user's whole history before the target, user after user."""

    items: IntArray  # [P] item numbers
    offsets: IntArray  # [U + 1]

    def of(self, users: IntArray, device: torch.device) -> tuple[Tensor, Tensor]:
        """[P] pairs (row of the batch, column of the scores without padding)."""
        counts = self.offsets[users + 1] - self.offsets[users]
        row = np.repeat(np.arange(len(users)), counts)
        first = np.cumsum(counts) - counts
        index = np.arange(len(row)) - first[row] + self.offsets[users][row]
        item = self.items[index] - 1
        return torch.from_numpy(row).to(device), torch.from_numpy(item).to(device)


def seen_items(histories: Histories, split: Split) -> SeenItems:
    """From the user's whole history, not only its last max_length items."""
    before = histories.lengths - HELD_OUT[split]
    user = np.repeat(np.arange(histories.num_users), histories.lengths)
    place = np.arange(len(histories.items)) - histories.offsets[user]
    known = place < before[user]
    width = histories.num_items + 1
    pairs = np.unique(user[known] * width + histories.items[known])
    counts = np.bincount(pairs // width, minlength=histories.num_users)
    return SeenItems(pairs % width, np.concatenate([[0], np.cumsum(counts)]))
