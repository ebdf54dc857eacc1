"""BSARec's layer with the Fourier transform written out, as in its paper."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.config.run_config import config_from_tree
from experiments.errors import UsageError
from models.encoders.bsarec import BSARec, BSARecConfig, FrequencyBlock, low_pass
from tests.models.tiny import build_model, cyclic_histories, random_batch, training_rows

DIM, LENGTH = 8, 10


def built(alpha: float = 0.7, cutoff: int = 5) -> BSARec:
    torch.manual_seed(0)
    config = BSARecConfig(
        dim=DIM,
        dropout=0.0,
        attention_dropout=0.0,
        max_length=LENGTH,
        init_std=0.5,
        heads=2,
        alpha=alpha,
        cutoff=cutoff,
    )
    return BSARec(config).eval()


def filtered(block: FrequencyBlock, x: Tensor, kept: int) -> Tensor:
    """[B, L, d]: low frequencies, and high ones times beta^2, by the transform itself."""
    spectrum = torch.fft.rfft(x, dim=1, norm="ortho")
    spectrum[:, kept:] = 0
    low = torch.fft.irfft(spectrum, n=x.shape[1], dim=1, norm="ortho")
    return low + block.sqrt_beta**2 * (x - low)


def attention(block: FrequencyBlock, x: Tensor, lengths: Tensor) -> Tensor:
    """Head by head with -10000 on what is hidden, in float64, where that is minus infinity to a
    row that sees something, and nothing at all to one that sees nothing."""
    place = torch.arange(LENGTH)
    real = place >= LENGTH - lengths[:, None]  # [B, L]
    hidden = ~(real[:, None, :] & (place <= place[:, None]))  # [B, L, L]
    heads = []
    q, k, v = block.attention.query_key_value(x).chunk(3, dim=2)
    for one in zip(*(part.chunk(2, dim=2) for part in (q, k, v)), strict=True):
        scores = one[0] @ one[1].transpose(1, 2) / one[0].shape[2] ** 0.5 - 10000.0 * hidden
        heads.append(scores.softmax(dim=2) @ one[2])
    out: Tensor = block.attention.output(torch.cat(heads, dim=2))
    return out


def as_published(encoder: BSARec, x: Tensor, lengths: Tensor, alpha: float, kept: int) -> Tensor:
    x = encoder.input_norm(x + encoder.position_embedding.weight)
    for block in encoder.blocks:
        assert isinstance(block, FrequencyBlock)
        high = block.filter_norm(filtered(block, x, kept) + x)
        seen = block.attention_norm(attention(block, x, lengths) + x)
        y = alpha * high + (1 - alpha) * seen
        x = block.feed_forward_norm(block.narrow(F.gelu(block.widen(y))) + y)
    return x


@pytest.mark.parametrize(("alpha", "cutoff"), [(0.7, 5), (0.1, 1), (0.9, 9), (0.5, 40)])
@torch.no_grad()
def test_states_are_those_of_the_published_layer(alpha: float, cutoff: int) -> None:
    """At padding, too."""
    encoder, lengths = built(alpha, cutoff).double(), torch.tensor([10, 1, 4])
    for block in encoder.blocks:
        assert isinstance(block, FrequencyBlock)
        block.low_pass = low_pass(LENGTH, cutoff // 2 + 1).double()
    x = torch.randn(3, LENGTH, DIM, dtype=torch.float64)
    expected = as_published(encoder, x, lengths, alpha, cutoff // 2 + 1)
    found = encoder(x, lengths, False)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(encoder(x, lengths, True), expected[:, -1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("length", "kept"), [(50, 3), (10, 1), (7, 2), (1, 1)])
def test_the_low_pass_is_the_fourier_transform(length: int, kept: int) -> None:
    x = torch.randn(2, length, 3)
    spectrum = torch.fft.rfft(x, dim=1)
    spectrum[:, kept:] = 0
    expected = torch.fft.irfft(spectrum, n=length, dim=1)
    torch.testing.assert_close(low_pass(length, kept) @ x, expected, rtol=1e-4, atol=1e-5)


def test_a_constant_passes_and_an_alternation_does_not() -> None:
    assert torch.allclose(low_pass(10, 1) @ torch.ones(10), torch.ones(10))
    alternating = torch.ones(10)
    alternating[1::2] = -1
    assert torch.allclose(low_pass(10, 5) @ alternating, torch.zeros(10), atol=1e-6)


def test_windows_are_refused_with_the_reason() -> None:
    told = (
        "encoder.kind: bsarec is not causal, so under examples: windows a position would see the "
        "item that it is to predict; use --examples=prefixes"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(told)}$"):
        config_from_tree({"encoder": "bsarec", "examples": "windows"})
    assert config_from_tree({"encoder": "bsarec", "examples": "prefixes"}).encoder == BSARecConfig()


def test_a_model_of_it_refuses_labels_at_every_position() -> None:
    train = cyclic_histories(users=10, num_items=8, longest=9)
    model = build_model(BSARecConfig(dim=DIM, max_length=LENGTH), [], train)
    batch = random_batch(train, training_rows(train, "windows"), 4, seed=0)
    with pytest.raises(ValueError, match="is not causal"):
        model.losses(batch, torch.Generator())


def test_it_is_trained_by_what_it_reads() -> None:
    train = cyclic_histories(users=10, num_items=8, longest=9)
    model = build_model(BSARecConfig(dim=DIM, max_length=LENGTH), [], train)
    batch = random_batch(train, training_rows(train, "prefixes"), 4, seed=0)
    model.losses(batch, torch.Generator()).total.backward()  # type: ignore[no-untyped-call]
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    ("field", "value"), [("heads", 3), ("inner", 0), ("alpha", 1.5), ("cutoff", 0)]
)
def test_a_field_out_of_range_is_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{field} "):
        BSARecConfig(**{field: value})  # type: ignore[arg-type]
