"""How operators are drawn into views of a history."""

from __future__ import annotations

from collections.abc import Sequence as ListOf
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from augment.operator import Operator
from augment.sequences import Sequences, random_below

Draw = Literal["two_distinct", "with_replacement", "chained"]
CHAINED = -1  # the operator index of a view that went through all of them


@dataclass(frozen=True)
class DrawnView:
    """One view of each history, and the index of the operator that made it ([B] int64)."""

    sequences: Sequences
    operator: Tensor


def draw_two_views(
    seqs: Sequences, operators: ListOf[Operator], draw: Draw, rng: Generator
) -> tuple[DrawnView, DrawnView]:
    """Two views of every history, each made from the history itself, never from the other view.

    two_distinct:     one operator a view, different ones for the two views of a history (the
                      CL4SRec of DuoRec's code); needs two operators.
    with_replacement: one operator a view, drawn independently (CoSeRec, ICLRec).
    chained:          every view goes through all operators in the order given.
    """
    twice = Sequences(seqs.items.repeat(2, 1), seqs.lengths.repeat(2))  # [2B, L]
    if draw == "chained":
        for operator in operators:
            twice = operator(twice, rng)
        choice = torch.full_like(twice.lengths, CHAINED)
    else:
        choice = torch.cat(choose(len(seqs), len(operators), draw, rng, seqs.device))  # [2B]
        twice = apply_chosen(twice, operators, choice, rng)
    half = len(seqs)
    first = DrawnView(Sequences(twice.items[:half], twice.lengths[:half]), choice[:half])
    second = DrawnView(Sequences(twice.items[half:], twice.lengths[half:]), choice[half:])
    return first, second


def choose(
    rows: int, operators: int, draw: Draw, rng: Generator, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The operator index of each history's first and second view: two [B] int64 tensors."""
    bound = torch.full((rows,), operators, device=device)
    first = random_below(bound, rng)
    if draw == "with_replacement":
        return first, random_below(bound, rng)
    if operators < 2:
        raise ValueError(
            "two_distinct needs at least two operators: add one or draw with_replacement"
        )
    return first, (first + 1 + random_below(bound - 1, rng)) % operators


def apply_chosen(
    seqs: Sequences, operators: ListOf[Operator], choice: Tensor, rng: Generator
) -> Sequences:
    """Row i goes through operators[choice[i]].

    Every operator sees every row and the chosen result is kept: no host synchronisation, and
    a row's randomness does not depend on what its neighbours drew.
    """
    items, lengths = seqs.items, seqs.lengths
    for index, operator in enumerate(operators):
        changed = operator(seqs, rng)
        chosen = choice == index  # [B]
        items = torch.where(chosen[:, None], changed.items, items)
        lengths = torch.where(chosen, changed.lengths, lengths)
    return Sequences(items, lengths)


def unchanged(before: Sequences, after: Sequences) -> Tensor:
    """[B] bool: True where a view equals the history it was made from."""
    width = max(before.width, after.width)
    padded = [
        torch.nn.functional.pad(seqs.items, (0, width - seqs.width)) for seqs in (before, after)
    ]
    return (before.lengths == after.lengths) & (padded[0] == padded[1]).all(dim=1)


def identity_rate(before: Sequences, after: Sequences) -> Tensor:
    """Share of views equal to their input, a scalar in [0, 1].

    With the usual ratios most short histories are not changed at all, so a contrast may be
    weaker than its name says: measure it.
    """
    return unchanged(before, after).double().mean()
