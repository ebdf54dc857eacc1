"""What a task's author gets wrong is one line that says what would be right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from augment import Crop, Sequences
from augment.well_formed import OperatorError
from models.augmented_input import AugmentConfig, AugmentedInput
from models.diagnostics import as_number
from models.encoders.encoder import Encoder, EncoderConfig, EncoderError, build_encoder
from models.losses.loss import Items, LossError, NextItemLoss
from models.tasks import Batch, ContrastiveTask, HistoryState, Step, Task, TaskLoss, View
from models.tasks.answers import check_second_step
from models.tasks.augmented_views import AugmentedViews
from models.tasks.step import Requests, TaskError
from models.tasks.task import check_groups
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
    [
        (torch.zeros(()), "a Tensor"),
        (TaskLoss(torch.zeros(3)), r"one of shape \[3\]"),
        (TaskLoss(0.0), "a float"),  # type: ignore[arg-type]
    ],
)
def test_a_loss_is_one_number(loss: Any, got: str) -> None:
    told = rf"^odd: `loss` has to return a TaskLoss of one number, got {got}$"
    with pytest.raises(TaskError, match=told):
        step_with({"own": HistoryState()}, loss)


@pytest.mark.parametrize(
    ("number", "got"),
    [(torch.zeros(2), r"one of shape \[2\]"), ("many", "a str"), (None, "a None")],
)
def test_what_is_recorded_beside_a_loss_is_a_number(number: Any, got: str) -> None:
    with pytest.raises(TaskError, match=rf"^odd: rows has to be one number, got {got}"):
        step_with({"own": HistoryState()}, TaskLoss(torch.zeros(()), {"rows": number}))


@pytest.mark.parametrize("number", [3, 2.5, True, torch.tensor(7), (torch.ones(4) > 0).sum()])
def test_any_number_may_be_recorded(number: Any) -> None:
    """Means over an epoch's batches are taken of it."""
    found = as_number("odd: rows", number)
    assert float(torch.stack([found, found]).nanmean()) == float(number)


def test_a_moving_average_that_was_not_announced_is_told() -> None:
    answer = {"key": View(padded([[1, 2]] * 8), momentum=0.99)}
    with pytest.raises(TaskError, match=r"^odd: a View has momentum 0.99, which `momentum_copies`"):
        step_with(answer, None)


@pytest.mark.parametrize(
    ("view", "told"),
    [
        (padded([[1, 2]] * 3), r"has to be a Sequences of 8 histories, .* got items \[3, 2\]"),
        (padded([[1, 2]] * 7 + [[13]]), r"row 7 is no history: item 13 is unknown"),
        (padded([[1] * 40] + [[1]] * 7), r"row 0 is no history: its length is 40; right is 1 to"),
        (None, r"got a NoneType"),
    ],
)
def test_a_view_that_is_no_histories_is_told(view: Any, told: str) -> None:
    with pytest.raises(TaskError, match=rf"^odd: view 'key'.* {told}"):
        step_with({"key": View(view)}, None)


def test_the_operator_that_made_a_wrong_row_is_told() -> None:
    @dataclass(frozen=True)
    class Empties:
        def __call__(self, seqs: Sequences, rng: torch.Generator) -> Sequences:
            return Sequences(torch.zeros_like(seqs.items), torch.zeros_like(seqs.lengths))

    task = AugmentedViews(name="views", operators=(Crop(), Empties()))
    model = build_model(encoder_config("gru"), [task], TRAIN)
    with pytest.raises(
        TaskError, match=r"^views: view 'a': row \d, made by Empties, is no history"
    ):
        model.losses(BATCH, generator(0))
    augment = AugmentedInput(AugmentConfig(1.0, (Empties(),)), max_length=16)
    augment.fit(TRAIN)
    with pytest.raises(OperatorError, match=r"^augment: what Empties made of row 0 is no history"):
        augment(BATCH, generator(0))


@pytest.mark.parametrize("views", [[], [HistoryState()], [HistoryState()] * 3, HistoryState()])
def test_a_contrast_makes_two_views(views: Any) -> None:
    @dataclass(eq=False, repr=False)
    class OneSided(ContrastiveTask):
        def make_views(self, batch: Batch, rng: torch.Generator) -> Any:
            return views

    with pytest.raises(TaskError, match=r"^odd: `make_views` has to return two requests$"):
        OneSided(name="odd").requests(Step(BATCH, generator(0)))


def test_a_contrast_with_requests_of_its_own_needs_no_diagnosis() -> None:
    @dataclass(eq=False, repr=False)
    class Own(ContrastiveTask):
        def requests(self, step: Step) -> Requests:
            return {"own": HistoryState()}

        def loss(self, encoded: Mapping[str, Tensor], step: Step) -> TaskLoss:
            return TaskLoss(encoded["own"].mean())

    model = build_model(encoder_config("gru"), [Own(name="own")], TRAIN)
    assert "contrast/own/loss" in model.losses(BATCH, generator(0), diagnose=True).metrics


@pytest.mark.parametrize("loss", [lambda states: states.mean(dim=1), lambda _: 0.5])
def test_a_next_item_loss_is_one_number(loss: Any) -> None:
    @dataclass(eq=False, repr=False)
    class Summed(NextItemLoss):
        def forward(self, states: Tensor, items: Items, targets: Tensor, rng: Any) -> Any:
            return loss(states)

    model = build_model(encoder_config("gru"), [], TRAIN)
    model.next_item = Summed()
    with pytest.raises(LossError, match=r"^Summed has to return one number, got (shape|float)"):
        model.losses(BATCH, generator(0))


def test_a_task_that_trains_again_has_weights_for_a_second_step() -> None:
    @dataclass(eq=False, repr=False)
    class Again(Task):
        def trains_again(self) -> bool:
            return True

    with pytest.raises(ValueError, match="again trains again after a second step, and"):
        check_groups([Again(name="again")])


def test_a_task_without_requests_says_so() -> None:
    with pytest.raises(TaskError, match=r"^Task defines no `requests`$"):
        Task(name="it").requests(Step(BATCH, generator(0)))


@pytest.mark.parametrize("request_of", [HistoryState, lambda p: View(padded([[1, 2]]), p)])
def test_an_unknown_pooling_is_named(request_of: Any) -> None:
    with pytest.raises(TaskError, match="pooling 'first'; known: last, mean, "):
        request_of("first")


@pytest.mark.parametrize(
    ("answer", "got"), [(TaskLoss(torch.zeros(())), "a TaskLoss"), (torch.zeros(2), r"shape \[2\]")]
)
def test_a_second_step_descends_a_scalar(answer: Any, got: str) -> None:
    with pytest.raises(TaskError, match=rf"^it: `second_step` .* got {got}$"):
        check_second_step(Task(name="it"), answer)
    check_second_step(Task(name="it"), torch.zeros(()))


def test_a_second_step_has_weights_that_move_in_it() -> None:
    @dataclass(eq=False, repr=False)
    class Twice(Task):
        def second_step(self, encoded: Mapping[str, Tensor], step: Step) -> Tensor:
            return torch.zeros(())

    with pytest.raises(ValueError, match="twice has a `second_step`, and parameter_groups"):
        check_groups([Twice(name="twice")])


@pytest.mark.parametrize("last_only", [False, True])
def test_an_encoder_returns_the_states_that_it_is_asked_for(last_only: bool) -> None:
    class Odd(Encoder):
        def forward(self, x: Tensor, lengths: Tensor, last_only: bool) -> Tensor:
            return x if last_only else x[:, :, :1]

    @dataclass(frozen=True)
    class OddConfig(EncoderConfig):
        def build(self) -> Encoder:
            return Odd()

    model = build_model(OddConfig(dim=8), [], TRAIN)
    batch = random_batch(TRAIN, training_rows(TRAIN, "prefixes" if last_only else "windows"), 8, 0)
    with pytest.raises(EncoderError, match=rf"^Odd has to return .* \(last_only is {last_only}, "):
        model.losses(batch, generator(0))


def test_a_config_builds_an_encoder() -> None:
    @dataclass(frozen=True)
    class OddConfig(EncoderConfig):
        def build(self) -> Any:
            return torch.nn.Linear(8, 8)

    with pytest.raises(EncoderError, match="`build` has to return an Encoder, got a Linear"):
        build_encoder(OddConfig(dim=8))
