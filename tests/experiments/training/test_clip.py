"""A gradient that is too long is scaled down as a whole, and any other is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from experiments.cli.main import main
from experiments.config.train_config import TrainConfig
from experiments.training.optimizer import Optimizer, clip
from models.losses.next_item import SampledSoftmax
from tests.experiments.small_data import FAST, planted, read_history, train, write_text
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


def with_gradients(*grads: Tensor) -> list[Tensor]:
    weights = [torch.zeros(grad.shape) for grad in grads]
    for weight, grad in zip(weights, grads, strict=True):
        weight.grad = grad.clone()
    return weights


def gradients(weights: list[Tensor]) -> list[Tensor]:
    return [weight.grad for weight in weights if weight.grad is not None]


def test_a_long_gradient_gets_the_given_norm_and_keeps_its_direction() -> None:
    weights = with_gradients(torch.tensor([3.0, 0.0]), torch.tensor([[4.0]]))
    assert clip(weights, 2.5).item() == 5.0
    assert [grad.tolist() for grad in gradients(weights)] == [[1.5, 0.0], [[2.0]]]


@given(longest=st.floats(0.01, 100), seed=st.integers(0, 99))
def test_it_is_what_torch_does(longest: float, seed: int) -> None:
    rng = generator(seed)
    grads = [torch.randn(4, 3, generator=rng), torch.randn(7, generator=rng)]
    ours, theirs = with_gradients(*grads), with_gradients(*grads)
    norm = clip(ours, longest)
    expected = nn.utils.clip_grad_norm_(theirs, longest)
    assert norm.item() == pytest.approx(expected.item(), rel=1e-5)
    for mine, other in zip(gradients(ours), gradients(theirs), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def test_a_gradient_of_any_size_that_float32_has_is_measured() -> None:
    weights = with_gradients(torch.full((4,), 1e30))
    assert clip(weights, 1.0).item() == pytest.approx(2e30)
    assert gradients(weights)[0].tolist() == [0.5] * 4


def test_a_gradient_of_zero_stays() -> None:
    weights = with_gradients(torch.zeros(3))
    assert clip(weights, 1.0).item() == 0.0
    assert gradients(weights)[0].tolist() == [0.0] * 3


def test_a_sparse_gradient_whose_rows_repeat_is_measured_by_their_sums() -> None:
    rows, values = [[1, 1, 0]], torch.tensor([[1.0], [2.0], [4.0]])
    grad = torch.sparse_coo_tensor(rows, values, (3, 1), check_invariants=True)
    weights = [torch.zeros(3, 1)]
    weights[0].grad = grad
    assert clip(weights, 2.5).item() == 5.0
    assert gradients(weights)[0].to_dense().tolist() == [[2.0], [1.5], [0.0]]


def norm_of_step(lazy: bool) -> tuple[float, float]:
    """(norm before, norm after) of one step of a small model that is clipped to 0.1."""
    model = build_model(
        encoder_config("self_attention", init_std=0.5), [], TRAIN,
        next_item=SampledSoftmax(negatives=4),
    )  # fmt: skip
    model.sparse_rows = lazy
    optimizer = Optimizer(model, TrainConfig(lazy_rows=lazy, clip_norm=0.1))
    torch.manual_seed(0)
    batch = random_batch(TRAIN, training_rows(TRAIN, "prefixes"), 4, 0)
    before = optimizer.descend(model.losses(batch, generator(0)).total)
    assert before is not None
    grads = gradients(list(model.parameters()))
    assert any(grad.is_sparse for grad in grads) == lazy
    dense = [grad.to_dense() if grad.is_sparse else grad for grad in grads]
    return before.item(), torch.stack([grad.norm() for grad in dense]).norm().item()


def test_lazy_rows_are_clipped_as_all_rows_are() -> None:
    lazy, dense = norm_of_step(True), norm_of_step(False)
    assert lazy == pytest.approx(dense, rel=1e-5)
    assert lazy[0] > 0.2
    assert lazy[1] == pytest.approx(0.1, rel=1e-5)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_text(tmp_path / "data", "planted", planted())
    return tmp_path / "data"


@pytest.mark.parametrize("more", [(), LAZY])
def test_a_norm_that_is_never_reached_changes_no_bit(more, data: Path, tmp_path: Path) -> None:
    fields = ("--model=cl4srec", "--epochs=2", *FAST, *more)
    train(data, tmp_path / "without", *fields)
    train(data, tmp_path / "with", *fields, "--train.clip_norm=1e9")
    assert read_history(tmp_path / "with") == read_history(tmp_path / "without")
    one, other = (tmp_path / name / "model.safetensors" for name in ("with", "without"))
    assert one.read_bytes() == other.read_bytes()


def test_recorded_gradient_norms_are_those_before_clipping(data: Path, tmp_path: Path) -> None:
    """They are of the first batch, whose weights clipping has not changed yet."""
    fields = ("--model=cl4srec", "--epochs=2", *FAST)
    train(data, tmp_path / "without", *fields)
    train(data, tmp_path / "with", *fields, "--train.clip_norm=0.001")
    first, second = (read_history(tmp_path / name) for name in ("with", "without"))
    for key in ("train/gradient_norm", "contrast/augmented_views/gradient_norm"):
        assert first[0][key] == second[0][key]
    assert first[1] != second[1]


def test_a_clipped_run_resumes(data: Path, tmp_path: Path) -> None:
    fields = ("--model=cl4srec", *FAST, "--train.clip_norm=0.1")
    train(data, tmp_path / "whole", *fields, "--epochs=3")
    train(data, tmp_path / "part", *fields, "--epochs=2")
    assert main(["train", "--out", str(tmp_path / "part"), "--resume", "--epochs=3"]) == 0
    assert read_history(tmp_path / "part") == read_history(tmp_path / "whole")


@pytest.mark.parametrize("value", ["0", "-1", ".inf", ".nan", "long"])
def test_a_norm_that_is_not_positive_is_refused(value: str, capsys) -> None:
    assert main(["train", f"--train.clip_norm={value}"]) == 2
    error = capsys.readouterr().err
    assert "clip_norm" in error
    assert error.count("\n") == 1
