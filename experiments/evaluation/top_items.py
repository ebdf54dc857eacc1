"""The best items of many users at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.evaluation.rank_counts import Pairs, check_finite
from experiments.evaluation.scores import Block
from experiments.metric_names import SCORE0

OUT = float("-inf")


@dataclass(frozen=True)
class TopItems:
    """[B, k] item numbers and scores, best first; item 0 with score -inf where a user has fewer."""

    items: Tensor
    scores: Tensor


def with_rule(scores: Tensor, seen: Pairs, rule: str) -> Tensor:
    """The scores as a seen-item rule has them: seen items out, at score 0, or as they are."""
    if rule == "ranked":
        return scores
    scores = scores.clone()
    scores[seen.row, seen.item] = 0.0 if rule == SCORE0 else OUT
    return scores


def top_items(block: Block, seen: Pairs, count: int, rules: tuple[str, ...]) -> dict[str, TopItems]:
    """The `count` items of highest score of each user, under each rule.

    Which of several items with the same score come first is not decided by the data.
    Raises FloatingPointError when a score is not finite: one that is no number would come first.
    """
    best: dict[str, TopItems] = {}
    for first, scores in block.tiles():
        check_finite(scores)
        width = scores.shape[1]
        _, inside = seen.within(first, width)
        for rule in rules:
            found = with_rule(scores, inside, rule).topk(min(count, width), dim=1)
            items = (found.indices + first + 1).masked_fill(found.values == OUT, 0)
            best[rule] = merged(best.get(rule), TopItems(items, found.values), count)
    return best


def merged(before: TopItems | None, new: TopItems, count: int) -> TopItems:
    """The best of both."""
    if before is None:
        return new
    items, scores = (
        torch.cat(pair, dim=1) for pair in ((before.items, new.items), (before.scores, new.scores))
    )
    kept = scores.topk(min(count, scores.shape[1]), dim=1)
    return TopItems(items.gather(1, kept.indices), kept.values)
