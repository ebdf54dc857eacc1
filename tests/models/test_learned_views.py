"""Augmenters learn in a step of their own: who moves when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from experiments.config.train_config import TrainConfig
from experiments.errors import UsageError
from experiments.training.loop import take_second_step
from experiments.training.optimizer import Optimizer, gradient_norms
from models.recbole_plug import SASRec
from models.shard import ALONE
from models.tasks import (
    AugmentedViews,
    Batch,
    LearnedViews,
    ParameterGroup,
    Sizes,
    Step,
    Task,
    TaskLoss,
)
from models.tasks.learned_views import spread
from tests.histories import counting, generator
from tests.models.tiny import build_model, cyclic_histories, encoder_config

TRAIN = cyclic_histories(users=30, num_items=12, longest=9)
BATCH = Batch(counting([3, 2, 4, 6]), torch.tensor([5, 6, 7, 8]), torch.arange(4))


def model_with(**fields: object) -> SASRec:
    task = LearnedViews("it", hidden=(6, 3), **fields)  # type: ignore[arg-type]
    model = build_model(encoder_config("self_attention", dropout=0.0), [task], TRAIN)
    model.start_epoch(1, generator(0))
    return model.train()


def weights(model: SASRec) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Of the augmenters, and all others."""
    every = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    learned = {name: weight for name, weight in every.items() if "augmenters" in name}
    return learned, {name: weight for name, weight in every.items() if name not in learned}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
    return any(not torch.equal(before[name], after[name]) for name in before)


def test_the_model_moves_first_then_the_augmenters_alone_then_the_model_if_asked() -> None:
    for again in (False, True):
        model = model_with(train_again=again)
        optimizer = Optimizer(model, TrainConfig())
        losses = model.losses(BATCH, generator(0))
        start = weights(model)
        optimizer.descend(losses.total)
        first = weights(model)
        assert not moved(start[0], first[0])
        assert moved(start[1], first[1])
        take_second_step(model, optimizer, losses, BATCH, generator(0), ALONE)
        second = weights(model)
        assert moved(first[0], second[0])
        assert moved(first[1], second[1]) == again


def test_the_second_step_descends_the_meta_contrast_of_the_same_views() -> None:
    model = model_with()
    losses = model.losses(BATCH, generator(0))
    found = model.second_step(losses, BATCH)
    assert found is not None
    (step,) = losses.steps
    task = step.task
    assert isinstance(task, LearnedViews)
    views = {
        name: model.encode(view.sequences, "last")  # type: ignore[union-attr]
        for name, view in step.requests.items()
    }
    torch.testing.assert_close(found, task.meta(views, step.step))
    found.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for name, p in model.named_parameters() if "augmenters" not in name)


def test_the_state_of_both_optimisers_is_resumed() -> None:
    def steps(model: SASRec, optimizer: Optimizer, seeds: range) -> None:
        for seed in seeds:
            losses = model.losses(BATCH, generator(seed))
            optimizer.descend(losses.total)
            take_second_step(model, optimizer, losses, BATCH, generator(seed), ALONE)

    whole, stopped = model_with(), model_with()
    one, other = Optimizer(whole, TrainConfig()), Optimizer(stopped, TrainConfig())
    steps(whole, one, range(4))
    steps(stopped, other, range(2))
    resumed = model_with()
    again = Optimizer(resumed, TrainConfig())
    resumed.load_state_dict(stopped.state_dict())
    again.load_state_dict(other.state_dict())
    steps(resumed, again, range(2, 4))
    for part in (0, 1):
        assert not moved(weights(whole)[part], weights(resumed)[part])


def test_the_learning_rate_is_that_of_the_schedule_for_both_steps() -> None:
    optimizer = Optimizer(model_with(), TrainConfig())
    optimizer.set_rate(0.5)
    rates = {group["lr"] for part in optimizer.second for group in part.param_groups}
    assert rates == {0.5}


def test_recboles_trainer_is_told_that_it_takes_no_second_step() -> None:
    with pytest.raises(ValueError, match=r"^a task trains weights of its own in a second step"):
        model_with().calculate_loss(None)


def test_no_second_step_without_a_task_that_has_one() -> None:
    model = build_model(encoder_config("gru"), [], TRAIN).train()
    assert Optimizer(model, TrainConfig()).second == []
    assert model.second_step(model.losses(BATCH, generator(0)), BATCH) is None


def test_a_task_written_for_the_first_contract_is_told_what_changed() -> None:
    with pytest.raises(TypeError, match=r"^Old is written for an earlier version: views"):

        class Old(Task):
            def views(self, batch: Batch, rng: torch.Generator) -> list[object]:
                return []

    with pytest.raises(TypeError, match="loss and diagnose get"):

        class Older(Task):
            def loss(self, encoded: list[Tensor], batch: Batch) -> TaskLoss:  # type: ignore[override]
                return TaskLoss(encoded[0].sum())


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"view_weight": 0.0, "meta_weight": 0.0}, "^view_weight and meta_weight are 0"),
        ({"meta_weight": -1.0}, "^meta_weight must be at least 0"),
        ({"hidden": (0,)}, "^hidden must be widths of at least 1"),
        ({"train_again": True, "negatives": "queue"}, "^train_again would push the keys"),
        ({"momentum": 0.9}, "^momentum: 0.9 makes b a key"),
        ({"view_weight": 0.0, "hard_k": 3}, "^hard_k: 3 is read by the contrast of a and b"),
    ],
)
def test_a_field_out_of_range_is_named(fields: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        LearnedViews(**fields)  # type: ignore[arg-type]


def test_groups_of_weights_that_would_never_be_trained_are_refused() -> None:
    class Elsewhere(LearnedViews):
        def parameter_groups(self) -> list[ParameterGroup]:
            return [ParameterGroup((torch.nn.Parameter(torch.ones(2)),), second_step=True)]

    class Without(LearnedViews):
        second_step = Task.second_step

    class Frozen(LearnedViews):
        def prepare(self, sizes: Sizes) -> None:
            super().prepare(sizes)
            self.requires_grad_(False)

    kinds = ((Elsewhere, "not part of the task"), (Without, "no `second_step`"), (Frozen, "frozen"))
    for kind, message in kinds:
        with pytest.raises(ValueError, match=rf"^contrast: .*it has .*{message}"):
            build_model(encoder_config("gru"), [kind("it")], TRAIN)


def test_a_second_step_that_only_the_model_could_descend_is_one_line() -> None:
    class OfTheModel(LearnedViews):
        def second_step(self, encoded: Mapping[str, Tensor], step: Step) -> Tensor:
            return encoded["a"].square().sum()

    model = build_model(encoder_config("gru"), [OfTheModel("it")], TRAIN).train()
    optimizer = Optimizer(model, TrainConfig())
    losses = model.losses(BATCH, generator(0))
    with pytest.raises(UsageError, match=r"^contrast: second_step depends on none of its weights"):
        take_second_step(model, optimizer, losses, BATCH, generator(0))


def test_rows_that_are_no_negatives_have_no_part_in_the_meta_contrast() -> None:
    """Not in its regularisation either: with no other row left, nothing is."""
    rows = replace(BATCH, users=torch.tensor([3, 3, 3, 3]))
    views = {name: torch.randn(4, 8, generator=generator(seed)) for seed, name in enumerate("ab")}
    task = model_with(false_negatives=("user",)).contrastive_tasks()[0]
    assert task.second_step(views, Step(rows, generator(0))).item() == 0.0
    assert task.second_step(views, Step(BATCH, generator(0))).item() > 0.0


def test_the_regularisation_of_masked_rows_is_that_of_the_others_alone() -> None:
    a, b = (torch.randn(3, 4, generator=generator(seed)) for seed in range(2))
    same = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 1]]).bool()  # row 0 has no negative
    every, others = torch.cat([a, b]), torch.cat([a[1:], b[1:]])
    found = spread(every @ every.T, same)
    torch.testing.assert_close(found, spread(others @ others.T))


def test_a_queue_beside_a_task_that_trains_again_is_refused() -> None:
    """The repeat would push the same keys once more."""
    tasks = [LearnedViews("it", train_again=True), AugmentedViews("fed", negatives="queue")]
    with pytest.raises(ValueError, match=r"^contrast: it trains again .* keys of fed .* twice"):
        build_model(encoder_config("gru"), tasks, TRAIN)


def test_gradient_norms_are_of_the_weights_that_the_losses_move() -> None:
    """The augmenters stand still in the first step."""
    model = model_with(view_weight=0.0)
    optimizer = Optimizer(model, TrainConfig())
    losses = model.losses(BATCH, generator(0))
    found = gradient_norms(losses.parts, optimizer.parameters)["contrast/it/gradient_norm"]
    losses.parts["it"].backward()
    moved = [p.grad for n, p in model.named_parameters() if "augmenters" not in n]
    lengths = torch.stack([grad.double().norm() for grad in moved if grad is not None])
    torch.testing.assert_close(found, lengths.norm())
