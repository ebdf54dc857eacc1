"""What a task's author gets wrong is one line that says what would be right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from models.tasks import HistoryState, Step, Task, TaskLoss, View
from models.tasks.step import TaskError
from tests.histories import generator, padded
from tests.models.tiny import (
    build_model,
    cyclic_histories,
    encoder_config,
    random_batch,
    training_rows,
)

TRAIN = cyclic_histories(users=30, num_items=12, longest=14)
BATCH = random_batch(TRAIN, training_rows(TRAIN, "prefixes"), 8, seed=0)


def step_with(answer: Any, loss: Any) -> None:
    """A step of a model whose task asks for this and has that loss."""

    @dataclass(eq=False, repr=False)
    class Odd(Task):
        def requests(self, step: Step) -> Any:
            return answer

        def loss(self, encoded: Mapping[str, Tensor], step: Step) -> Any:
            return loss

    build_model(encoder_config("gru"), [Odd(name="odd")], TRAIN).losses(BATCH, generator(0))


@pytest.mark.parametrize(
    ("answer", "got"), [([HistoryState()], "list"), ({"a": padded([[1, 2]])}, "Sequences")]
)
def test_requests_are_names_and_what_to_encode(answer: Any, got: str) -> None:
    with pytest.raises(TaskError, match=rf"^odd: `requests` has to return names .* got a {got}$"):
        step_with(answer, None)


@pytest.mark.parametrize(
    ("loss", "got"),
    [(torch.zeros(()), "a Tensor"), (TaskLoss(torch.zeros(3)), r"one of shape \[3\]")],
)
def test_a_loss_is_one_number(loss: Any, got: str) -> None:
    told = rf"^odd: `loss` has to return a TaskLoss of one number, got {got}$"
    with pytest.raises(TaskError, match=told):
        step_with({"own": HistoryState()}, loss)


def test_a_task_without_requests_says_so() -> None:
    with pytest.raises(TaskError, match=r"^Task defines no `requests`$"):
        Task(name="it").requests(Step(BATCH, generator(0)))


@pytest.mark.parametrize("request_of", [HistoryState, lambda p: View(padded([[1, 2]]), p)])
def test_an_unknown_pooling_is_named(request_of: Any) -> None:
    with pytest.raises(TaskError, match="pooling 'first'; known: last, mean, "):
        request_of("first")
