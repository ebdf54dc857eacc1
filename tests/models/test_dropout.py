"""Our dropout has the rate, the scale and the gradient of dropout."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.encoders.dropout import Dropout

RATES = [0.5, 0.25, 0.3, 0.1, 0.9]
COUNT = 200_000


def dropped_ones(p: float, count: int = COUNT, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    dropped: Tensor = Dropout(p).train()(torch.ones(count))
    return dropped


def within_five_sigma(hits: int, trials: int, probability: float) -> bool:
    sigma = math.sqrt(trials * probability * (1 - probability))
    return abs(hits - trials * probability) <= 5 * sigma


@pytest.mark.parametrize("p", RATES)
def test_p_is_the_rate(p: float) -> None:
    assert within_five_sigma(int((dropped_ones(p) == 0).sum()), COUNT, p)


@pytest.mark.parametrize("p", RATES)
def test_neighbours_are_dropped_independently(p: float) -> None:
    """Neighbours share a 64-bit draw: both are dropped p * p of the time, at any distance."""
    dropped = (dropped_ones(p) == 0).view(-1, 8)  # a row shares one draw, or two
    for distance in range(1, 8):
        both = dropped[:, 0] & dropped[:, distance]
        assert within_five_sigma(int(both.sum()), len(both), p * p)


@pytest.mark.parametrize("p", RATES)
def test_what_is_kept_is_scaled_so_that_the_mean_stays(p: float) -> None:
    values = torch.unique(dropped_ones(p)).tolist()
    assert values == pytest.approx([0.0, 1 / (1 - p)], rel=2e-4)
    sigma = math.sqrt(p / (1 - p) / COUNT)
    assert abs(dropped_ones(p).double().mean().item() - 1) <= 5 * sigma


def test_the_scale_is_that_of_the_probability_in_use() -> None:
    """0.3 becomes 19,661 / 65,536: the mean stays exact for that."""
    kept = dropped_ones(0.3).max().item()
    assert kept == pytest.approx(65536 / (65536 - 19661), rel=1e-7)


@pytest.mark.parametrize("p", [0.0, 0.5])
def test_evaluation_is_the_identity(p: float) -> None:
    x = torch.randn(3, 4)
    assert Dropout(p).eval()(x) is x


def test_nothing_is_dropped_at_p_0() -> None:
    x = torch.randn(3, 4)
    assert Dropout(0.0).train()(x) is x


@pytest.mark.parametrize("p", RATES)
def test_the_gradient_is_the_mask(p: float) -> None:
    x = torch.ones(50, 3, requires_grad=True)
    y = Dropout(p).train()(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())


@pytest.mark.parametrize("p", RATES)
def test_the_seed_decides_and_each_call_draws_anew(p: float) -> None:
    assert torch.equal(dropped_ones(p, seed=1), dropped_ones(p, seed=1))
    assert not torch.equal(dropped_ones(p, seed=1), dropped_ones(p, seed=2))
    layer = Dropout(p).train()
    assert not torch.equal(layer(torch.ones(COUNT)), layer(torch.ones(COUNT)))


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5, 7), (0, 4)])
@pytest.mark.parametrize("p", [0.5, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_shape_and_dtype_stay(shape: tuple[int, ...], p: float, dtype: torch.dtype) -> None:
    y = Dropout(p).train()(torch.ones(shape, dtype=dtype))
    assert (y.shape, y.dtype) == (shape, dtype)


@pytest.mark.parametrize("p", [1e-12, 1e-6, 0.999, 0.99999, 0.999999])
def test_every_p_that_is_accepted_works(p: float) -> None:
    assert dropped_ones(p, count=100).isfinite().all()


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, math.nan])
def test_p_out_of_range_is_named(p: float) -> None:
    with pytest.raises(ValueError, match=r"^dropout must lie in"):
        Dropout(p)
