"""Products in bfloat16 on a CPU: rows of zeros change their shapes and nothing else."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from models.bfloat16 import MULTIPLE, MultipliedInFloat32, bfloat16_products
from models.losses import full_softmax
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


def product_and_gradients(one: nn.Linear) -> list[Tensor]:
    """Of a layer, a batch of products and a sum of one with something else."""
    x = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(1)).requires_grad_()
    with bfloat16_products(CPU):
        rows = one(x)
        mixed = torch.baddbmm(rows[:, :, :1].detach(), rows, rows.transpose(1, 2), alpha=0.5)
        mixed = torch.bmm(mixed, rows)
    mixed.float().square().sum().backward()
    return [rows, mixed, x.grad, one.weight.grad, one.bias.grad]  # type: ignore[list-item]


def test_products_made_in_float32_are_torchs_rounded_products() -> None:
    torchs = product_and_gradients(layer(bias=True))
    with MultipliedInFloat32():
        ours = product_and_gradients(layer(bias=True))
    for one, other in zip(ours, torchs, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)  # type and shape, too


def test_both_factors_of_a_float32_product_are_rounded_and_its_result() -> None:
    generator = torch.Generator().manual_seed(2)
    a, b = torch.randn(4, 300, generator=generator), torch.randn(300, 5, generator=generator)
    with MultipliedInFloat32():
        low = torch.mm(a.bfloat16(), b.bfloat16())
        written = torch.mm(a.bfloat16(), b.bfloat16(), out=torch.empty(4, 5).bfloat16())
        exact = torch.mm(a, b)
    assert torch.equal(low, torch.mm(a.bfloat16().float(), b.bfloat16().float()).bfloat16())
    assert torch.equal(written, low)
    assert torch.equal(exact, torch.mm(a, b))


@pytest.mark.parametrize(
    ("has_units", "held"),
    [(False, 2**22), (True, 2**22), (True, 90 * 16), (True, 90 * 30), (True, 90 * 5)],
)
def test_the_loss_over_all_items_is_that_of_rounded_factors_in_blocks_of_any_size(
    has_units: bool, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full_softmax, "multiplies_bfloat16", lambda device: has_units)
    monkeypatch.setattr(full_softmax, "LOW_BLOCK", held)  # scores: 5 rows and less are in parts
    generator = torch.Generator().manual_seed(4)
    states, items = torch.randn(40, 8, generator=generator), torch.randn(90, 8, generator=generator)
    targets = torch.randint(90, (40,), generator=generator)
    found = []
    for low in (True, False):
        s, i = (t.clone().requires_grad_() for t in (states, items))
        if low:
            with bfloat16_products(CPU):
                loss = full_softmax.cross_entropy(s, i, targets)
        else:
            loss = full_softmax.cross_entropy(s.bfloat16().float(), i.bfloat16().float(), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        found.append([loss, s.grad, i.grad])
    for ours, exact in zip(*found, strict=True):
        torch.testing.assert_close(ours, exact, rtol=2e-2, atol=2e-3)


def test_a_rounded_gradient_is_added_as_a_whole_one_would_be() -> None:
    generator = torch.Generator().manual_seed(3)
    total = torch.randn(2 * ADDED + 7, 5, generator=generator)
    rounded = torch.randn(total.shape, generator=generator).bfloat16()
    expected = total + rounded.float()
    add_rounded(total, rounded)
    assert torch.equal(total, expected)
