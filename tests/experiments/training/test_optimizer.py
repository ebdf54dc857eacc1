"""Lazy rows, and products in bfloat16."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor

from experiments.cli.main import main
from experiments.config.resolve import resolve
from experiments.config.train_config import TrainConfig
from experiments.training.adam import Adam
from experiments.training.optimizer import Optimizer, gradient_norms
from experiments.training.run import prepare
from models.losses import cross_entropy
from models.losses.next_item import SampledSoftmax
from models.recbole_plug import SASRec
from models.tasks import AugmentedViews
from tests.experiments.small_data import FAST, SMALL, planted, read_history, train, write_text
from tests.histories import generator
from tests.models.tiny import (
    build_model,
    cyclic_histories,
    encoder_config,
    random_batch,
    training_rows,
)

TRAIN = cyclic_histories(users=30, num_items=50, longest=8)
LAZY = ("--train.lazy_rows=true", "--next_item={loss: sampled_softmax, negatives: 20}")


def stepped(lazy: bool, steps: int) -> tuple[SASRec, Tensor, set[int]]:
    """A model after some steps, its embeddings before the last, and the rows the last one read."""
    model = build_model(
        encoder_config("self_attention", init_std=0.5), [AugmentedViews(name="it")], TRAIN,
        next_item=SampledSoftmax(negatives=4),
    )  # fmt: skip
    model.sparse_rows = lazy
    optimizer = Optimizer(model, TrainConfig(lazy_rows=lazy, learning_rate=0.01))
    rng = generator(0)
    torch.manual_seed(0)
    for step in range(steps):
        before = model.item_embedding.weight.detach().clone()
        batch = random_batch(TRAIN, training_rows(TRAIN, "prefixes"), 4, step)
        optimizer.descend(model.losses(batch, rng).total)
    grad = model.item_embedding.weight.grad
    assert grad is not None
    assert grad.is_sparse == lazy
    dense = grad.to_dense() if lazy else grad
    return model, before, set(dense.abs().sum(dim=1).nonzero()[:, 0].tolist())


def test_weights_decay_as_in_torch_s_adam() -> None:
    weight, other = (torch.nn.Linear(3, 2) for _ in range(2))
    other.load_state_dict(weight.state_dict())
    mine = Optimizer(weight, TrainConfig(learning_rate=0.1, weight_decay=0.5))
    theirs = torch.optim.Adam(other.parameters(), lr=0.1, weight_decay=0.5)
    for seed in range(3):
        x = torch.randn(4, 3, generator=generator(seed))
        mine.descend(weight(x).sum())
        theirs.zero_grad()
        other(x).sum().backward()  # type: ignore[no-untyped-call]
        theirs.step()
    torch.testing.assert_close(weight.state_dict(), other.state_dict())


def both(weight_decay: float) -> tuple[list[Tensor], Adam, list[Tensor], torch.optim.Adam]:
    """The same weights in two groups, for ours and for torch's."""
    values = [torch.randn(5, 3, generator=generator(1)), torch.randn(7, generator=generator(2))]
    ours, theirs = ([v.clone().requires_grad_() for v in values] for _ in range(2))
    mine = Adam([{"params": ours[:1]}, {"params": ours[1:], "lr": 0.3}], 0.1, weight_decay)
    other = torch.optim.Adam(
        [{"params": theirs[:1]}, {"params": theirs[1:], "lr": 0.3}],
        lr=0.1, weight_decay=weight_decay, fused=True,
    )  # fmt: skip
    return ours, mine, theirs, other


def step_each(weights: list[Tensor], optimizer: Adam | torch.optim.Adam, number: int) -> None:
    """One step against random gradients; in the second the last weight has none."""
    optimizer.zero_grad()
    for place, weight in enumerate(weights):
        if number != 1 or place != len(weights) - 1:
            weight.grad = torch.randn(weight.shape, generator=generator(10 * number + place))
    optimizer.step()


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_adam_is_torch_s_fused_adam_bit_for_bit(weight_decay: float) -> None:
    ours, mine, theirs, other = both(weight_decay)
    for number in range(5):
        step_each(ours, mine, number)
        step_each(theirs, other, number)
        assert all(map(torch.equal, ours, theirs))


def test_adam_goes_on_from_a_state_of_torch_s_adam_and_saves_its_moments_alike() -> None:
    ours, mine, theirs, other = both(0.1)
    for number in range(3):
        step_each(theirs, other, number)
    mine.load_state_dict(other.state_dict())
    for weight, value in zip(ours, theirs, strict=True):
        weight.data.copy_(value.data)
    step_each(ours, mine, 3)
    step_each(theirs, other, 3)
    assert all(map(torch.equal, ours, theirs))
    moments = mine.state_dict()["state"]
    for place, saved in other.state_dict()["state"].items():
        assert all(torch.equal(moments[place][name], value) for name, value in saved.items())


def test_a_state_of_other_weights_is_refused() -> None:
    _, mine, _, _ = both(0.0)
    with pytest.raises(ValueError, match="groups"):
        mine.load_state_dict(Adam([{"params": []}], 0.1).state_dict())


def moved(model: SASRec, before: Tensor) -> set[int]:
    changed = (model.item_embedding.weight != before).any(dim=1)
    return set(changed.nonzero()[:, 0].tolist())


def test_a_first_lazy_step_is_a_step_of_adam() -> None:
    lazy, dense = stepped(True, 1)[0], stepped(False, 1)[0]
    for mine, other in zip(lazy.parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-2, atol=1e-4)  # epsilon enters otherwise


def test_a_lazy_step_moves_the_rows_it_read_and_no_other() -> None:
    model, before, read = stepped(True, 6)
    assert moved(model, before) == read
    assert 0 < len(read) < 40
    model, before, read = stepped(False, 6)
    assert moved(model, before) > read  # Adam's momentum moves the others on


def test_a_lazy_run_resumes(tmp_path: Path) -> None:
    write_text(tmp_path, "planted", planted())
    fields = ("--model=cl4srec", *FAST, *LAZY)
    train(tmp_path, tmp_path / "whole", *fields, "--epochs=3")
    train(tmp_path, tmp_path / "part", *fields, "--epochs=2")
    assert main(["train", "--out", str(tmp_path / "part"), "--resume", "--epochs=3"]) == 0
    assert read_history(tmp_path / "part") == read_history(tmp_path / "whole")


def test_lazy_rows_are_refused_where_every_row_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--train.lazy_rows=true"]) == 2
    assert "train.lazy_rows: this next_item loss reads every item" in capsys.readouterr().err
    assert main(["train", *LAZY, "--train.weight_decay=0.1"]) == 2
    assert "lazy_rows leaves rows alone" in capsys.readouterr().err


def test_tf32_is_refused_on_a_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--train.precision=tf32", "--train.device=cpu"]) == 2
    assert "train.precision: tf32 is of NVIDIA GPUs" in capsys.readouterr().err


@pytest.mark.parametrize("number", [9, 128, 200])
@pytest.mark.parametrize("weighted", [False, True])
def test_bfloat16_products_give_the_loss_and_gradients_to_their_precision(
    weighted: bool, number: int
) -> None:
    rng = generator(0)
    states = torch.randn(number, 16, generator=rng, requires_grad=True)
    items = torch.randn(30, 16, generator=rng, requires_grad=True)
    targets = torch.randint(30, (number,), generator=rng)
    weights = torch.rand(number, generator=rng) if weighted else None
    exact = cross_entropy(states, items, targets, weights)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = cross_entropy(states, items, targets, weights)
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact.item(), rel=0.02)
    assert rounded.item() != exact.item()
    for low, full in zip(
        torch.autograd.grad(rounded, (states, items)),
        torch.autograd.grad(exact, (states, items)),
        strict=True,
    ):
        assert low.dtype == torch.float32
        torch.testing.assert_close(low, full, rtol=0.05, atol=0.02 * float(full.abs().max()))


def test_bfloat16_products_give_a_finite_loss_where_the_target_has_no_chance() -> None:
    """Its probability, e^-300, is 0 in bfloat16."""
    items = torch.tensor([[1.0], [-1.0], [0.5]], requires_grad=True)
    states = torch.tensor([[150.0], [1.0]], requires_grad=True)
    targets = torch.tensor([1, 0])
    with torch.autocast("cpu", torch.bfloat16):
        loss = cross_entropy(states, items, targets)
    exact = torch.nn.functional.cross_entropy(states @ items.T, targets)
    assert loss.item() == pytest.approx(exact.item(), rel=1e-3)
    for low, full in zip(
        torch.autograd.grad(loss, (states, items)),
        torch.autograd.grad(exact, (states, items)),
        strict=True,
    ):
        torch.testing.assert_close(low, full, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("examples", ["prefixes", "windows"])
def test_bfloat16_training_is_near_float32(
    examples: Literal["prefixes", "windows"], tmp_path: Path
) -> None:
    write_text(tmp_path, "planted", planted())
    fields = [("dataset", "planted"), ("data_dir", str(tmp_path)), ("examples", examples)]
    small = [tuple(field.removeprefix("--").split("=")) for field in SMALL if "batch" not in field]
    first, gradients = [], []
    for precision in ("float32", "bfloat16"):
        numbers = [(key, int(v) if v.isdigit() else v) for key, v in small]
        config, spec = resolve(None, [*fields, *numbers, ("train.precision", precision)])
        run = prepare(config, spec)
        assert isinstance(run.model, SASRec)
        torch.manual_seed(0)
        losses = run.model.losses(next(run.batches.epoch(1)), generator(0))
        losses.total.backward()  # type: ignore[no-untyped-call]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in run.model.parameters())
        first.append(losses.total.item())
        gradients.append(run.model.item_embedding.weight.grad)
    assert first[1] == pytest.approx(first[0], rel=0.02)
    assert not torch.equal(gradients[1], gradients[0])


def test_a_gradient_too_long_for_float32_has_a_finite_norm() -> None:
    """Its square is beyond float32: a line of results holds finite numbers only."""
    layer = torch.nn.Linear(2, 1, bias=False)
    loss = (layer(torch.full((1, 2), 1e15)) * 1e15).sum()
    norms = gradient_norms({"next_item": loss}, [layer.weight])
    assert float(norms["train/gradient_norm"]) == pytest.approx(2**0.5 * 1e30, rel=1e-6)
