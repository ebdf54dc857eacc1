"""One batch trained on by several processes, to the loss and gradients of a single one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from augment import Sequences


@dataclass(frozen=True)
class Shard:
    """This process's part of every batch.  Shard() is a process that trains alone.

    Every process holds the whole batch and draws the same views; each encodes its own rows,
    and representations are gathered, so every row of the batch is a negative of every other
    whatever the number of processes.  Losses of the whole batch are divided by `count`, and
    gradients are summed.
    """

    rank: int = 0
    count: int = 1

    def part(self, rows: int) -> slice:
        """Which of the rows of a batch are this process's; may be none."""
        each = -(-rows // self.count)
        return slice(min(rows, self.rank * each), min(rows, (self.rank + 1) * each))

    def local(self, seqs: Sequences) -> Sequences:
        """ceil(B / count) rows to encode: this process's, filled up with the last row."""
        if self.count == 1:
            return seqs
        each = -(-len(seqs) // self.count)
        rows = torch.arange(self.rank * each, (self.rank + 1) * each, device=seqs.device)
        rows = rows.clamp(max=len(seqs) - 1)
        return seqs.rows(rows)

    def everyone(self, states: Tensor, rows: int) -> Tensor:
        """[ceil(B / count), d] of each process -> [B, d] of the whole batch, with gradient."""
        if self.count == 1:
            return states
        gathered: Tensor = Gather.apply(states, self)  # type: ignore[no-untyped-call]
        return gathered[:rows]

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes, without gradient."""
        if self.count == 1:
            return value.detach()
        total = value.detach().clone()
        dist.all_reduce(total)
        return total

    def sum_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace every gradient by its sum over the processes, in one exchange."""
        if self.count == 1:
            return
        used = [p for p in parameters if p.grad is not None]  # the same in every process
        grads = [p.grad.flatten() for p in used if p.grad is not None]
        parts = torch.split(self.sum(torch.cat(grads)), [p.numel() for p in used])
        for parameter, part in zip(used, parts, strict=True):
            parameter.grad = part.view_as(parameter)


ALONE = Shard()


class Gather(Function):
    """All processes' rows, one after the other; the gradient of a row is summed over them."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, shard: Shard) -> Tensor:
        ctx.shard = shard
        parts = [torch.empty_like(states) for _ in range(shard.count)]
        dist.all_gather(parts, states.contiguous())
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        shard: Shard = ctx.shard
        total = shard.sum(grad)
        return total.chunk(shard.count)[shard.rank], None
