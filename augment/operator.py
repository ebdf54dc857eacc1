"""What an operator is: a frozen dataclass whose fields are its configuration."""

from __future__ import annotations

from typing import Protocol

from torch import Generator

from augment.sequences import Sequences


class Operator(Protocol):
    """Turns each history of a batch into a changed copy of itself.

    It never edits its input, never touches padding, never returns an empty history and draws
    only from the generator it is given, which lives on the device of the batch.  Its fields
    are checked when it is made: a ValueError says which field is wrong and what is allowed.
    """

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences: ...


def check_share(field: str, share: float) -> None:
    """A share of a history lies in [0, 1]; anything else is a ValueError."""
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"{field} must lie in [0, 1], got {share}")
