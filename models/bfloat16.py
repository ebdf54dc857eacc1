"""Matrix products in bfloat16, with few shapes on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

MULTIPLE = 128
"""Rows of a product are a multiple of it."""


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
