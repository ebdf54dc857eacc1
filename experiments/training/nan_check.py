"""Stop a training at the first number that is not finite, and say where it came from."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from torch import Tensor, nn

from models.tasks import Batch

CAUSES = "try a smaller train.learning_rate, train.clip_norm=1, or a larger temperature"


@dataclass(frozen=True)
class Place:
    """A step of a training: epoch (from 1), step of the run and batch of the epoch (from 0)."""

    epoch: int
    step: int
    number: int
    batch: Batch

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}, batch {self.number} (step {self.step}, "
            f"sha256 {batch_sha256(self.batch)[:12]})"
        )


def batch_sha256(batch: Batch) -> str:
    """Hash of a batch's histories and targets, to know it again by."""
    digest = hashlib.sha256()
    for tensor in (batch.histories.items, batch.histories.lengths, batch.targets):
        digest.update(f"{tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def causes(place: Place) -> str:
    """What to try, and what is left of the training."""
    kept = "; the checkpoint of the last whole epoch is kept" if place.epoch > 1 else ""
    return f"{CAUSES}{kept}"


def check_finite(what: str, value: Tensor, place: Place) -> None:
    """FloatingPointError that says where, and what to try, when the value is not finite."""
    if not math.isfinite(value.item()):
        raise FloatingPointError(f"the {what} is {value.item()} in {place}: {causes(place)}")


def check_weights(model: nn.Module, place: Place) -> None:
    """FloatingPointError when a weight is not finite: a gradient was not, where the loss was."""
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise FloatingPointError(f"{name} is not finite after {place}: {causes(place)}")
