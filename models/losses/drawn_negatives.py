"""Items that a target is told apart from, drawn anew for every target."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from augment import TrainHistories
from models.losses.loss import Items


def draw_others(targets: Tensor, num_items: int, negatives: int, rng: Generator) -> Tensor:
    """[T, negatives]: items 1..num_items, uniform over all but the row's target, repeats allowed.

    A number of 1..num_items - 1 is drawn, and those from the target on move up by one: no draw
    is rejected.  num_items >= 2.
    """
    shape = (len(targets), negatives)
    drawn = torch.randint(1, num_items, shape, generator=rng, device=targets.device)
    return drawn + (drawn >= targets[:, None])


def score_against_others(
    states: Tensor, items: Items, targets: Tensor, negatives: int, rng: Generator
) -> tuple[Tensor, Tensor]:
    """Scores of each target and of its own negatives: [T], [T, negatives].

    Gathers T * negatives embeddings: time and memory of T * negatives * d, whatever the size
    of the catalogue.
    """
    others = draw_others(targets, items.num, negatives, rng)
    positive = (states * items.vectors(targets)).sum(dim=1)  # [T]
    negative = torch.einsum("td,tkd->tk", states, items.vectors(others)).to(states.dtype)
    return positive, negative


def check_catalogue(train: TrainHistories) -> None:
    if train.num_items < 2:
        raise ValueError(f"negatives need a catalogue of two items, got {train.num_items}")
