"""The products of a step are counted in their shapes, backward pass included."""

from __future__ import annotations

import torch

from experiments.bench.products import flops, products_of, seconds_alone


def test_a_linear_layer_is_three_products_of_equal_work() -> None:
    x = torch.randn(5, 4, requires_grad=True)
    weight = torch.randn(4, 3, requires_grad=True)

    def step() -> None:
        torch.mm(x, weight).sum().backward()  # type: ignore[no-untyped-call]

    products = products_of(step, steps=2)
    assert sum(products.values()) == 6
    assert flops(products) == 2 * 3 * (2 * 5 * 4 * 3)


def test_batched_products_and_sums_with_products_are_counted() -> None:
    a, b = torch.randn(2, 5, 4), torch.randn(2, 4, 3)
    bias = torch.zeros(2, 5, 3)

    def step() -> None:
        torch.baddbmm(bias, a, b)
        torch.addmm(bias[0], a[0], b[0])
        torch.mm(a[0], b[0], out=torch.empty(5, 3))
        torch.mm(a[0][:0], b[0])  # no rows, no work

    products = products_of(step, steps=1)
    assert sum(products.values()) == 3
    assert flops(products) == (2 + 1 + 1) * 2 * 5 * 4 * 3


def test_products_are_repeated_with_their_strides_and_type() -> None:
    wide, narrow = torch.randn(6, 4).bfloat16(), torch.randn(6, 4).bfloat16()
    products = products_of(lambda: torch.mm(wide.T, narrow), steps=1)
    ((left, right),) = products
    assert left.made().stride() == (1, 4)
    assert left.made().dtype == right.made().dtype == torch.bfloat16
    assert seconds_alone(products) > 0.0
