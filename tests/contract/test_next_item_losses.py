"""What every next-item loss promises, the built-in ones and those that are added later."""

from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from models.losses.next_item import NEXT_ITEM_LOSSES, CrossEntropy, Items, NextItemLoss, NoNextItem
from models.recbole_plug import SASRec
from tests.histories import generator
from tests.models.tiny import (
    Examples,
    build_model,
    cyclic_histories,
    encoder_config,
    random_batch,
    train_steps,
    training_rows,
)

NUM = 12
TRAIN = cyclic_histories(users=30, num_items=NUM, longest=14)
PREDICTING = {n: kind for n, kind in NEXT_ITEM_LOSSES.items() if not issubclass(kind, NoNextItem)}
SAMPLING = {name: kind for name, kind in PREDICTING.items() if not kind.whole_catalogue}

every_loss = pytest.mark.parametrize("name", list(PREDICTING))
sampling_losses = pytest.mark.parametrize("name", list(SAMPLING))
both_examples = pytest.mark.parametrize("examples", ["prefixes", "windows"])


def fitted(name: str) -> NextItemLoss:
    loss = NEXT_ITEM_LOSSES[name]()
    loss.fit(TRAIN)
    return loss


def example(rows: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """States, a table with padding and [mask], targets."""
    rng = generator(0)
    states = torch.randn(rows, 4, generator=rng).requires_grad_()
    table = torch.randn(NUM + 2, 4, generator=rng).requires_grad_()
    return states, table, torch.randint(1, NUM + 1, (rows,), generator=rng)


def value_and_gradients(loss: NextItemLoss, rows: int = 5, sparse: bool = False) -> list[Tensor]:
    states, table, targets = example(rows)
    value = loss(states, Items(table, NUM, sparse), targets, generator(3))
    return [value.detach(), *torch.autograd.grad(value, (states, table))]


def test_none_predicts_nothing() -> None:
    assert len(PREDICTING) == len(NEXT_ITEM_LOSSES) - 1
    assert not NoNextItem.whole_catalogue
    assert CrossEntropy.whole_catalogue


@every_loss
@pytest.mark.parametrize("rows", [1, 5])
def test_it_is_a_positive_scalar_with_finite_gradients(name: str, rows: int) -> None:
    value, grad_states, grad_table = value_and_gradients(fitted(name), rows)
    assert value.shape == ()
    assert value > 0
    for grad in (grad_states, grad_table):
        assert grad.isfinite().all()
        assert grad.abs().max() > 0


@every_loss
def test_neither_padding_nor_the_mask_is_touched(name: str) -> None:
    grad = value_and_gradients(fitted(name), rows=40)[2]
    assert grad[[0, -1]].abs().max() == 0
    assert grad[1:-1].abs().amax(dim=1).min() > 0


@every_loss
def test_the_loss_is_the_mean_over_targets(name: str) -> None:
    """Repeating the rows of a batch does not change the expectation's scale."""
    loss, (states, table, targets) = fitted(name), example()
    draws = 20
    means = []
    for times in (1, 8):
        rng = generator(0)
        batch = states.repeat(times, 1), Items(table, NUM), targets.repeat(times)
        means.append(sum(loss(*batch, rng).item() for _ in range(draws)) / draws)
    assert means[0] == pytest.approx(means[1], rel=0.25)


@every_loss
def test_a_better_scored_target_costs_less(name: str) -> None:
    """Orthonormal items: a state along one of them scores all others 0."""
    loss, table, targets = fitted(name), torch.eye(NUM + 2), torch.tensor([1, 5, NUM])
    items, along = Items(table, NUM), table[targets]
    costs = [loss(scale * along, items, targets, generator(0)).item() for scale in (-1, 0, 1)]
    assert costs[0] > costs[1] > costs[2]


@every_loss
def test_the_inputs_are_not_edited(name: str) -> None:
    loss, inputs = fitted(name), example()
    before = [tensor.detach().clone() for tensor in inputs]
    states, table, targets = inputs
    loss(states, Items(table, NUM), targets, generator(0)).backward()
    for tensor, old in zip(inputs, before, strict=True):
        assert torch.equal(tensor, old)


@every_loss
def test_the_generator_alone_decides(name: str) -> None:
    loss = fitted(name)
    torch.manual_seed(1)
    before = torch.get_rng_state(), random.getstate(), str(np.random.get_state())  # noqa: NPY002
    first = value_and_gradients(loss)
    after = torch.get_rng_state(), random.getstate(), str(np.random.get_state())  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    torch.manual_seed(2)
    for once, again in zip(first, value_and_gradients(loss), strict=True):
        assert torch.equal(once, again)


@every_loss
def test_only_losses_that_sample_draw(name: str) -> None:
    rng, (states, table, targets) = generator(0), example()
    fitted(name)(states, Items(table, NUM), targets, rng)
    drew = not torch.equal(rng.get_state(), generator(0).get_state())
    assert drew == (name in SAMPLING)


@every_loss
def test_nothing_is_saved_and_a_saved_model_is_read_again(name: str) -> None:
    """What is counted is counted again; it moves with the model all the same."""
    first, second = (
        build_model(encoder_config("gru"), [], TRAIN, seed, NEXT_ITEM_LOSSES[name]())
        for seed in (0, 1)
    )
    assert not first.next_item.state_dict()
    assert not [key for key in first.state_dict() if key.startswith("next_item")]
    second.load_state_dict(first.state_dict())
    batch = random_batch(TRAIN, training_rows(TRAIN, "prefixes"), 8, seed=0)
    losses = [model.eval().losses(batch, generator(4)).total.item() for model in (first, second)]
    assert losses[0] == losses[1]
    for buffer in copy.deepcopy(first.next_item).to("meta").buffers():
        assert buffer.is_meta


@every_loss
def test_to_fit_twice_is_to_fit_once(name: str) -> None:
    loss = fitted(name)
    once = value_and_gradients(loss)
    loss.fit(TRAIN)
    for before, after in zip(once, value_and_gradients(loss), strict=True):
        assert torch.equal(before, after)


@every_loss
@both_examples
def test_training_is_decided_by_the_seed(name: str, examples: Examples) -> None:
    def losses() -> list[float]:
        model = build_model(encoder_config("gru"), [], TRAIN, 0, NEXT_ITEM_LOSSES[name]())
        return train_steps(model, TRAIN, examples, 3)

    assert losses() == losses()


# Catalogues of a million items ---------------------------------------------------------------


class LargestResult(TorchDispatchMode):
    """Elements of the largest dense tensor that an operation returns, forward or backward."""

    elements = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(tensor, Tensor) and tensor.layout == torch.strided and not func.is_view:
                self.elements = max(self.elements, tensor.numel())
        return result


@sampling_losses
def test_sparse_gradients_are_the_dense_ones(name: str) -> None:
    loss = fitted(name)
    value, grad_states, grad_table = value_and_gradients(loss, sparse=True)
    assert grad_table.is_sparse
    dense = value_and_gradients(loss)
    for mine, other in zip([value, grad_states, grad_table.to_dense()], dense, strict=True):
        torch.testing.assert_close(mine, other)


@sampling_losses
def test_no_operation_is_as_large_as_the_catalogue(name: str) -> None:
    num, states = 1_000_000, torch.randn(3, 2, generator=generator(0)).requires_grad_()
    loss = SAMPLING[name](negatives=8)  # type: ignore[call-arg]
    loss.fit(cyclic_histories(users=3, num_items=num, longest=4))
    table = torch.nn.Parameter(torch.zeros(num + 2, 2))
    targets = torch.tensor([1, 500_000, num])
    with LargestResult() as largest:
        loss(states, Items(table, num, sparse=True), targets, generator(0)).backward()
    assert largest.elements <= 3 * 8 * 2
    assert table.grad is not None
    assert table.grad.is_sparse
    assert table.grad._nnz() <= 3 * (1 + 8)


def test_the_full_softmax_is_as_large_as_the_catalogue() -> None:
    """So the measure above measures something."""
    states, table, targets = example()
    with LargestResult() as largest:
        CrossEntropy()(states, Items(table, NUM), targets, generator(0)).backward()
    assert largest.elements >= 5 * NUM


def models_of(name: str) -> SASRec:
    return build_model(encoder_config("gru"), [], TRAIN, 0, NEXT_ITEM_LOSSES[name]())


@sampling_losses
def test_a_models_table_gets_sparse_gradients(name: str) -> None:
    model = models_of(name)
    model.sparse_rows = True
    batch = random_batch(TRAIN, training_rows(TRAIN, "prefixes"), 8, seed=0)
    model.losses(batch, generator(0)).total.backward()
    sparse = model.item_embedding.weight.grad
    assert sparse is not None
    assert sparse.is_sparse
    dense = models_of(name)
    dense.losses(batch, generator(0)).total.backward()
    torch.testing.assert_close(sparse.to_dense(), dense.item_embedding.weight.grad)
