"""How operators are drawn into views of a history."""

from __future__ import annotations

from collections.abc import Sequence as ListOf
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from augment.operator import Operator
from augment.sequences import Sequences, concatenated, random_below
from augment.well_formed import applied

Draw = Literal["two_distinct", "with_replacement", "chained"]
CHAINED = -1  # the operator index of a view that went through all of them


@dataclass(frozen=True)
class DrawnView:
    """One view of each history, and the index of the operator that made it ([B] int64)."""

    sequences: Sequences
    operator: Tensor


@dataclass(frozen=True)
class ShortHistories:
    """Histories of at most `longest` items draw from some of the operators only (indices).

    CoSeRec (arXiv:2108.06479, section 3.3): what takes items away says little about a history
    that has few.
    """

    longest: int
    operators: tuple[int, ...]


def draw_two_views(
    seqs: Sequences,
    operators: ListOf[Operator],
    draw: Draw,
    rng: Generator,
    short: ShortHistories | None = None,
) -> tuple[DrawnView, DrawnView]:
    """Two views of every history, each made from the history itself, never from the other view.

    two_distinct:     one operator a view, different ones for the two views of a history (the
                      CL4SRec of DuoRec's code); needs two operators.
    with_replacement: one operator a view, drawn independently (CoSeRec, ICLRec).
    chained:          every view goes through all operators in the order given; `short` is not
                      read.
    Views are as wide as the widest operator makes them.
    """
    twice = concatenated([seqs, seqs])  # [2B, L]
    if draw == "chained":
        for operator in operators:
            twice = applied(operator, twice, rng)
        choice = torch.full_like(twice.lengths, CHAINED)
    else:
        choice = torch.cat(choose(seqs.lengths, len(operators), draw, rng, short))  # [2B]
        twice = apply_chosen(twice, operators, choice, rng)
    half = len(seqs)
    first = DrawnView(twice.rows(slice(None, half)), choice[:half])
    second = DrawnView(twice.rows(slice(half, None)), choice[half:])
    return first, second


def choose(
    lengths: Tensor, operators: int, draw: Draw, rng: Generator, short: ShortHistories | None
) -> tuple[Tensor, Tensor]:
    """The operator index of each history's first and second view: two [B] int64 tensors."""
    fewest = operators if short is None else len(short.operators)
    if draw == "two_distinct" and fewest < 2:
        raise ValueError(
            "two_distinct needs at least two operators: add one or draw with_replacement"
        )
    is_short = torch.zeros_like(lengths, dtype=torch.bool)
    if short is not None:
        is_short = lengths <= short.longest
    bound = torch.full_like(lengths, operators).masked_fill(is_short, fewest)
    first = random_below(bound, rng)
    if draw == "with_replacement":
        second = random_below(bound, rng)
    else:
        second = (first + 1 + random_below(bound - 1, rng)) % bound
    if short is None:
        return first, second
    return of_short(first, is_short, short), of_short(second, is_short, short)


def of_short(choice: Tensor, is_short: Tensor, short: ShortHistories) -> Tensor:
    """[B]: in short rows, the n-th of the operators for short histories instead of the n-th."""
    result = choice
    for place, operator in enumerate(short.operators):
        result = torch.where(is_short & (choice == place), operator, result)
    return result


def apply_chosen(
    seqs: Sequences, operators: ListOf[Operator], choice: Tensor, rng: Generator
) -> Sequences:
    """Row i goes through operators[choice[i]], and stays as it is where there is none such.

    Every operator sees every row and the chosen result is kept: no host synchronisation, and
    a row's randomness does not depend on what its neighbours drew.
    """
    result = seqs
    for index, operator in enumerate(operators):
        result = either(choice == index, applied(operator, seqs, rng), result)
    return result


def either(chosen: Tensor, these: Sequences, those: Sequences) -> Sequences:
    """Row i of `these` where chosen [B], else of `those`; as wide as the wider of the two.

    With times and places where both have them.
    """
    width = max(these.width, those.width)
    these, those = these.with_width(width), those.with_width(width)

    def of(this: Tensor | None, that: Tensor | None) -> Tensor | None:
        return None if this is None or that is None else torch.where(chosen[:, None], this, that)

    items = torch.where(chosen[:, None], these.items, those.items)
    lengths = torch.where(chosen, these.lengths, those.lengths)
    times, places = of(these.times, those.times), of(these.places, those.places)
    return Sequences(items, lengths, times, places)


def unchanged(before: Sequences, after: Sequences) -> Tensor:
    """[B] bool: True where a view equals the history it was made from."""
    width = max(before.width, after.width)
    same = before.with_width(width).items == after.with_width(width).items
    return (before.lengths == after.lengths) & same.all(dim=1)


def identity_rate(before: Sequences, after: Sequences) -> Tensor:
    """Share of views equal to their input, a scalar in [0, 1].

    With the usual ratios most short histories are not changed at all, so a contrast may be
    weaker than its name says: measure it.
    """
    return unchanged(before, after).double().mean()
