"""The steps of a training, one by one, as the epoch loop takes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator

from experiments.bench.meters import memory_mb
from experiments.config.resolve import resolve
from experiments.training.loop import take_second_step
from experiments.training.optimizer import Optimizer
from experiments.training.run import prepare

if TYPE_CHECKING:
    from experiments.data.histories import Histories


class Steps:
    """A training of these settings that takes a step whenever it is asked for one.

    Its batches are `count` of the first epoch's, which cost what all of them do, again and again.
    imported_mb: memory before there were data and model.  prepare_mb: highest until they were,
    net of it.
    """

    def __init__(self, settings: dict[str, Any], count: int) -> None:
        config, spec = resolve(None, list(settings.items()))
        self.imported_mb = memory_mb("VmRSS")
        self.run = prepare(config, spec)
        self.prepare_mb = memory_mb("VmHWM") - self.imported_mb
        self.model: Any = self.run.model
        self.optimizer = Optimizer(self.run.model, config.train)
        self.rng = Generator(device=self.run.device).manual_seed(0)
        self.count = min(count, len(self.run.batches))
        parts = self.run.batches.sample(self.count)
        self.batches = endless(lambda: self.run.batches.assembled(parts))

    def step(self) -> None:
        with torch.profiler.record_function("data"):
            batch = next(self.batches)
        losses = self.model.losses(batch, self.rng)
        self.optimizer.descend(losses.total)
        take_second_step(self.model, self.optimizer, losses, batch, self.rng)

    def start_of_epoch(self) -> float:
        """Seconds of mining the model as an epoch starts, after any warm-up, the second time."""
        self.model.start_epoch(998, self.rng)
        started = time.perf_counter()
        self.model.start_epoch(999, self.rng)
        return time.perf_counter() - started

    def evaluate(self, users: int | None) -> float:
        """Seconds of ranking the test targets of the first `users`; None: of all."""
        if users is not None:
            self.run.histories = first_users(self.run.histories, users)
        started = time.perf_counter()
        self.run.evaluate("test")
        return time.perf_counter() - started


def endless(epoch: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Epoch after epoch."""
    while True:
        yield from epoch()


def first_users(histories: Histories, count: int) -> Histories:
    """The data of the first `count` users, with the whole catalogue."""
    count = min(count, histories.num_users)
    end = int(histories.offsets[count])
    parts, times = histories.parts, histories.times
    return replace(
        histories, items=histories.items[:end], offsets=histories.offsets[: count + 1],
        user_ids=histories.user_ids[:count],
        parts=None if parts is None else parts[:end],
        times=None if times is None else times[:end],
    )  # fmt: skip
