"""Products in bfloat16 on a CPU: rows of zeros change their shapes and nothing else."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from models.bfloat16 import MULTIPLE, bfloat16_products
from models.losses.item_blocks import ADDED, add_rounded

CPU = torch.device("cpu")


def layer(bias: bool) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(6, 4, bias=bias)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 6), (3, 7, 6), (MULTIPLE, 6), (2, 3, MULTIPLE - 1, 6)])
def test_a_linear_layer_has_the_result_and_gradients_of_torchs_autocast(
    shape: tuple[int, ...], bias: bool
) -> None:
    found: list[list[Tensor]] = []
    for products in (bfloat16_products(CPU), torch.autocast("cpu", torch.bfloat16)):
        one, x = layer(bias), torch.randn(shape, generator=torch.Generator().manual_seed(1))
        x.requires_grad_()
        with products:
            out = one(x)
        (out.float() ** 2).sum().backward()
        found.append([out, x.grad, *(p.grad for p in one.parameters())])  # type: ignore[list-item]
    for ours, torchs in zip(*found, strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-2, atol=1e-2)  # shape and type too


class Products(TorchDispatchMode):
    """Notes the rows of every matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is torch.ops.aten.addmm.default:  # bias, rows, weight
            self.rows.add(len(args[1]))
        return function(*args, **(kwargs or {}))


def test_batches_of_different_sizes_are_multiplied_in_one_shape() -> None:
    one = layer(bias=True)
    with Products() as products, bfloat16_products(CPU):
        for number in (1, 17, 100, MULTIPLE):
            assert one(torch.zeros(number, 6)).shape == (number, 4)
    assert products.rows == {MULTIPLE}


def test_outside_of_it_products_are_float32_and_unpadded() -> None:
    one, x = layer(bias=True), torch.randn(3, 6)
    with bfloat16_products(CPU):
        assert one(x).dtype == torch.bfloat16
    assert one(x).dtype == torch.float32


def test_a_rounded_gradient_is_added_as_a_whole_one_would_be() -> None:
    generator = torch.Generator().manual_seed(3)
    total = torch.randn(2 * ADDED + 7, 5, generator=generator)
    rounded = torch.randn(total.shape, generator=generator).bfloat16()
    expected = total + rounded.float()
    add_rounded(total, rounded)
    assert torch.equal(total, expected)
