"""The rank of a target by counting who scores higher, under each rule for seen items."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.evaluation.scores import Block
from experiments.metric_names import SCORE0


@dataclass(frozen=True)
class Pairs:
    """Who has seen what among some users: [P] rows and columns of their scores, each pair once."""

    row: Tensor
    item: Tensor

    def within(self, first: int, width: int) -> tuple[Tensor, Pairs]:
        """Which of the pairs lie in some columns, [P], and those, counted from the first."""
        inside = (self.item >= first) & (self.item < first + width)
        return inside, Pairs(self.row[inside], self.item[inside] - first)


def count_ranks(
    block: Block, targets: Tensor, seen: Pairs, num_items: int, score0: bool = False
) -> dict[str, Tensor]:
    """[B] ranks of the targets, by rule: with all items, without the seen ones, and, if asked
    for, with the score 0 for every seen item.

    With S the sum of sign(score - target's score) over the n items that compete, #greater +
    #equal / 2 = (S + n) / 2, and the target itself is one of the equals: rank = (S + n + 1) / 2.
    One pass, no sort.  Raises FloatingPointError when a score is not finite.
    """
    own = block.of(targets)  # [B]
    missed = torch.zeros_like(targets, dtype=torch.bool)
    missed[seen.row[seen.item == targets[seen.row]]] = True
    zeroed = torch.nonzero(missed)[:, 0] if score0 else missed[:0].long()  # their target has 0
    total, against_0 = torch.zeros_like(own).double(), torch.zeros_like(own).double()  # [B]
    at_seen, seen_sign = torch.zeros_like(seen.row).double(), torch.zeros_like(seen.row).double()
    for first, scores in block.tiles():
        check_finite(scores)
        width = scores.shape[1]
        whole = width == num_items
        inside, pairs = (slice(None), seen) if whole else seen.within(first, width)
        if len(zeroed):
            seen_sign[inside] = scores[pairs.row, pairs.item].sign().double()
            against_0[zeroed] += scores[zeroed].sign_().sum(dim=1).double()
        above = scores.sub_(own[:, None]).sign_()  # [B, width] of -1, 0, 1
        if not whole:  # another product than the tile's may differ in the last bit
            mine = torch.nonzero((targets >= first) & (targets < first + width))[:, 0]
            above[mine, targets[mine] - first] = 0
        total += above.sum(dim=1).double()
        at_seen[inside] = above[pairs.row, pairs.item].double()
    removed = per_row(seen, at_seen, total)
    count = per_row(seen, torch.ones_like(at_seen), total)
    ranks = {
        "excluded": ((total - removed + num_items - count + 1) / 2).masked_fill(
            missed, float("inf")
        ),
        "ranked": (total + num_items + 1) / 2,
    }
    if score0:
        usual = total - removed + count * (-own).sign().double()
        of_zeroed = against_0 - per_row(seen, seen_sign, total)
        ranks[SCORE0] = (torch.where(missed, of_zeroed, usual) + num_items + 1) / 2
    return ranks


def per_row(seen: Pairs, values: Tensor, like: Tensor) -> Tensor:
    """[B] sums over each user's pairs."""
    return torch.zeros_like(like).index_add_(0, seen.row, values)


def check_finite(scores: Tensor) -> None:
    """Raises FloatingPointError for a score that is not."""
    if not torch.isfinite(scores.sum()):
        raise FloatingPointError(
            "a score is not finite although the weights are: they have grown too large; try a "
            "smaller train.learning_rate or train.clip_norm=1"
        )
