"""Histories that an operator or a task made are looked at before they are read."""

from __future__ import annotations

import torch
from torch import Generator

from augment.operator import Bound, Operator
from augment.sequences import MASK, PADDING, Sequences


class OperatorError(ValueError):
    """An operator returns something else than histories; the message says what would be right."""


def applied(operator: Operator, seqs: Sequences, rng: Generator) -> Sequences:
    """What an operator makes of histories.

    OperatorError for anything but as many histories; no device is asked for a value.
    """
    found = operator(seqs, rng)
    if wrong := wrong_shape(found, len(seqs)):
        itself = operator.operator if isinstance(operator, Bound) else operator
        raise OperatorError(f"{type(itself).__name__} has to return {wrong}")
    return found


def wrong_shape(found: object, rows: int) -> str | None:
    """What would be right, and what there is; None for a Sequences of that many rows."""
    right = f"a Sequences of {rows} histories, int64 items [{rows}, L] and lengths [{rows}]"
    if not isinstance(found, Sequences):
        return f"{right}, got a {type(found).__name__}"
    tensors = {"items": found.items, "lengths": found.lengths}
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor) or tensor.dtype != torch.int64:
            kind = tensor.dtype if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            return f"{right}, got {name} of {kind}"
    items, lengths = [*found.items.shape], [*found.lengths.shape]
    if len(items) != 2 or items[0] != rows or lengths != [rows]:
        return f"{right}, got items {items} and lengths {lengths}"
    for name, more in (("times", found.times), ("places", found.places)):
        if more is not None and more.shape != found.items.shape:
            return f"{name} of the shape of its items, {items}, got {[*more.shape]}"
    return None


def malformed(seqs: Sequences, num_items: int, longest: int) -> tuple[int, str] | None:
    """The first row that is no history of at most `longest` known items, and what is wrong with it.

    None where all rows are, and on a GPU, which would have to wait.
    """
    if seqs.device.type != "cpu" or not len(seqs):
        return None
    items, lengths, real = seqs.items, seqs.lengths, seqs.real()
    most = min(longest, seqs.width)
    short, long = lengths < 1, lengths > most
    more = ((items != PADDING) & ~real).any(dim=1)  # a 0 inside is what some codes mask with
    unknown = (items < MASK) | (items > num_items)
    wrong = short | long | more | unknown.any(dim=1)
    if not bool(wrong.any()):
        return None
    row = int(wrong.nonzero()[0])
    length = int(lengths[row])
    if short[row] or long[row]:
        limit = "`max_length`" if most == longest else "the width of its items"
        return row, f"its length is {length}; right is 1 to {most}, {limit}"
    if more[row]:
        only = f"only padding (0) may follow in {items[row].tolist()}"
        return row, f"its length is {length}, and {only}"
    item = int(items[row][unknown[row]][0])
    return row, f"item {item} is unknown; items are 1 to {num_items}, and {MASK} is a hidden one"
