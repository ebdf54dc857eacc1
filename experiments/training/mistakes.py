"""What the author of an operator, a task, a loss or an encoder gets wrong, told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from augment.well_formed import OperatorError
from experiments.errors import UsageError
from models.encoders.encoder import EncoderError
from models.losses.loss import LossError
from models.tasks.step import TaskError

PARTS = {
    OperatorError: "operators",
    TaskError: "contrast",
    LossError: "next_item",
    EncoderError: "encoder",
}


@contextmanager
def mistakes_of_authors() -> Iterator[None]:
    """A mistake of theirs is a UsageError that names the part."""
    try:
        yield
    except (OperatorError, TaskError, LossError, EncoderError) as error:
        raise UsageError(f"{PARTS[type(error)]}: {error}") from error
