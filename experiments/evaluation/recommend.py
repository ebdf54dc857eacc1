"""The next items for a history that is typed in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from augment import Sequences
from experiments.data.histories import Histories
from experiments.errors import UsageError, unknown
from experiments.evaluation.ranking import Scorer


@dataclass(frozen=True)
class Recommendation:
    """One item: its id in the data file, its score, and its title where there is one."""

    item: str
    score: float
    title: str | None


@torch.inference_mode()
def recommend(
    model: Scorer,
    histories: Histories,
    history: str,
    count: int,
    max_length: int,
    device: torch.device,
) -> list[Recommendation]:
    """The `count` best items that are not in the history, best first.

    history: the data file's item ids, oldest first, separated by spaces or commas.
    """
    if count < 1:
        raise UsageError(f"-k must be at least 1, got {count}")
    known = {str(item): index for index, item in enumerate(histories.item_ids) if index > 0}
    items = numbers(history, known)
    recent = torch.tensor([items[-max_length:]], device=device)
    length = torch.tensor([recent.shape[1]], device=device)
    scores = next(model.score_blocks(Sequences(recent, length), 1))[0].clone()  # [num_items]
    scores[torch.tensor(items, device=device) - 1] = float("-inf")
    best = scores.topk(min(count, max(0, len(known) - len(set(items)))))
    ids = histories.item_ids[1 + best.indices.cpu().numpy()]
    return [
        Recommendation(str(item), float(score), histories.titles.get(str(item)))
        for item, score in zip(ids, best.values.cpu().numpy().astype(np.float64), strict=True)
    ]


def numbers(history: str, known: dict[str, int]) -> list[int]:
    """Item numbers of the ids in a text; UsageError for an unknown id or an empty history."""
    ids = history.replace(",", " ").split()
    if not ids:
        raise UsageError('--history is empty: give item ids, oldest first, such as "1 2 3"')
    for item in ids:
        if item not in known:
            raise UsageError(f"--history: {unknown(item, list(known)[:5])}, ...")
    return [known[item] for item in ids]
