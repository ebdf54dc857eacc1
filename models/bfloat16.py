"""Matrix products in bfloat16, with few shapes on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

MULTIPLE = 128
"""Rows of a product are a multiple of it."""

PRODUCTS = {
    torch.ops.aten.mm.default,
    torch.ops.aten.mm.out,
    torch.ops.aten.addmm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten.baddbmm.default,
}
"""What matrix products of a forward and a backward pass come down to."""


@contextmanager
def bfloat16_products(device: torch.device) -> Iterator[None]:
    """Inside it, matrix products round their factors and results to bfloat16 (torch's autocast).

    On a CPU torch's library (oneDNN) compiles code for each new shape of a bfloat16 product,
    which was measured to take 1.7 ms, and the number of positions differs from batch to batch.
    There the rows of every linear layer are padded with zeros to a multiple of 128, so that few
    shapes occur; results are the same.
    """
    few_shapes = PaddedRows() if device.type == "cpu" else nullcontext()
    with torch.autocast(device.type, torch.bfloat16), few_shapes:
        yield


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether torch has quick products of bfloat16 there: not on a CPU without AVX-512, say."""
    if device.type != "cpu":
        return True
    built_in: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return built_in and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class MultipliedInFloat32(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside it, products of bfloat16 factors are made in float32 and rounded to bfloat16.

    Those are the products of a processor with units for bfloat16, but for the order in which
    they sum: its sums are float32, too.  Where a processor has no such units torch takes loops
    of its own, which took six times as long as float32 (width 256, AVX2).
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self,
        function: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if function not in PRODUCTS or args[0].dtype != torch.bfloat16:
            return function(*args, **named)
        out = named.pop("out", None)
        product = function.overloadpacket(*(factor.float() for factor in args), **named)
        return product.to(torch.bfloat16) if out is None else out.copy_(product)


class PaddedRows(TorchFunctionMode):
    """Calls of `F.linear`, which `nn.Linear` makes, get rows of zeros; their results do not."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        called = padded_linear if function is F.linear else function
        return called(*args, **(kwargs or {}))


def padded_linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """F.linear: [..., in], [out, in], [out] -> [..., out]."""
    rows = input.reshape(-1, input.shape[-1]).to(torch.bfloat16)
    result = F.linear(padded(rows), weight, bias)[: len(rows)]
    return result.view(*input.shape[:-1], len(weight))


def padded(rows: Tensor, multiple: int = MULTIPLE) -> Tensor:
    """[N, d] -> [N', d]: rows of zeros behind, up to a multiple."""
    return F.pad(rows, (0, 0, 0, -len(rows) % multiple))
