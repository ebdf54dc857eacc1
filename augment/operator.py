"""What an operator is: a frozen dataclass whose fields are its configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NoReturn, Protocol, runtime_checkable

from torch import Generator

from augment.neighbours import Neighbours
from augment.sequences import Sequences, TrainHistories


class Operator(Protocol):
    """Turns each history of a batch into a changed copy of itself.

    It never edits its input, never touches padding, never returns an empty history and draws
    only from the generator it is given, which lives on the device of the batch.  Its fields
    are checked when it is made: a ValueError says which field is wrong and what is allowed.
    """

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences: ...


@runtime_checkable
class CorrelatedOperator(Operator, Protocol):
    """An operator that puts items' neighbours into a history; called alone, it is an error."""

    def correlate(
        self, seqs: Sequences, neighbours: Neighbours, max_length: int, rng: Generator
    ) -> Sequences:
        """As a call, with the table it reads and the most items that a history may have."""
        ...


@runtime_checkable
class PlaceTelling(Protocol):
    """An operator whose result says where its items stood (`Sequences.places`).

    `gathered`, and dataclasses.replace where no item moves, keep places right.  After one that
    does not say so, what follows each item is no longer known.
    """

    tells_places: ClassVar[bool]


@runtime_checkable
class TimeReading(Protocol):
    """An operator that reads when items were met, and refuses histories without times."""

    needs_times: ClassVar[bool]


@dataclass(frozen=True)
class Bound:
    """A correlated operator together with what it reads: an operator like any other."""

    operator: CorrelatedOperator
    neighbours: Neighbours
    max_length: int

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        return self.operator.correlate(seqs, self.neighbours, self.max_length, rng)


def bind(
    operators: Iterable[Operator], neighbours: Neighbours, max_length: int
) -> tuple[Operator, ...]:
    """The operators, with the table of neighbours handed to those that read one."""
    return tuple(
        Bound(operator, neighbours, max_length)
        if isinstance(operator, CorrelatedOperator)
        else operator
        for operator in operators
    )


def refuse_unbound(name: str) -> NoReturn:
    """What a correlated operator answers when it is called without a table."""
    raise ValueError(f"{name} needs the neighbours of items: bind it to a table first")


def check_times(
    operators: Iterable[Operator], catalogue: Mapping[str, type[Operator]], train: TrainHistories
) -> None:
    """ValueError for operators that read times where the data have none."""
    reading = [one for one in operators if isinstance(one, TimeReading) and one.needs_times]
    if reading and train.times is None:
        names = ", ".join(operator_names(reading, catalogue))
        raise ValueError(f"operators: {names} need the times of interactions; these data have none")


def without_places(operators: Iterable[Operator]) -> tuple[Operator, ...]:
    """Those operators after which nobody knows where an item stood."""
    return tuple(
        operator
        for operator in operators
        if not (isinstance(operator, PlaceTelling) and operator.tells_places)
    )


def check_share(field: str, share: float) -> None:
    """A share of a history lies in [0, 1]; anything else is a ValueError."""
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"{field} must lie in [0, 1], got {share}")


def operator_names(
    operators: Iterable[Operator], catalogue: Mapping[str, type[Operator]]
) -> tuple[str, ...]:
    """Catalogue names, numbered where one occurs again: ("crop", "mask", "mask.2")."""
    known = {cls: name for name, cls in catalogue.items()}
    names: list[str] = []
    for operator in operators:
        name = known.get(type(operator), type(operator).__name__)
        count = sum(other.split(".")[0] == name for other in names)
        names.append(f"{name}.{count + 1}" if count else name)
    return tuple(names)
