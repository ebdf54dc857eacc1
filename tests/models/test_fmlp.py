"""FMLP-Rec's block is the circular convolution that the paper says it is."""

from __future__ import annotations

import torch
from torch import Tensor

from models.encoders.fmlp import FilterBlock, FMLPConfig

CONFIG = FMLPConfig(dim=3, layers=1, dropout=0.0, max_length=6, inner=5)


def block(kernel: Tensor) -> FilterBlock:
    """A block whose filter is the transform of a kernel [L, d]."""
    made = FilterBlock(CONFIG).eval()
    spectrum = torch.fft.rfft(kernel, dim=0)
    made.filter.data = torch.view_as_real(spectrum).contiguous()
    return made


@torch.no_grad()
def test_a_filter_convolves_each_dimension_with_its_kernel_around_the_row() -> None:
    rng = torch.Generator().manual_seed(0)
    kernel, x = torch.randn(6, 3, generator=rng), torch.randn(2, 6, 3, generator=rng)
    place = torch.arange(6)
    around = kernel[(place[:, None] - place) % 6]  # [to, from, d]
    expected = torch.einsum("tfd,bfd->btd", around, x)
    torch.testing.assert_close(block(kernel).filtered(x), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_kernel_of_one_at_0_changes_nothing() -> None:
    kernel = torch.zeros(6, 3)
    kernel[0] = 1.0
    x = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(block(kernel).filtered(x), x)


@torch.no_grad()
def test_the_last_state_alone_is_the_last_of_all() -> None:
    torch.manual_seed(2)
    made, x = FilterBlock(CONFIG).eval(), torch.randn(2, 6, 3)
    torch.testing.assert_close(made(x, True), made(x, False)[:, -1])
