"""Pointwise aggregated attention with a gate: the encoder of HSTU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.encoders.dropout import Dropout
from models.encoders.encoder import Encoder, EncoderConfig, at_last, initialise
from models.encoders.self_attention import check_attention
from models.ranges import check_count

EPSILON = 1e-6
GAPS = 64  # powers of two that a number of seconds can lie between


@dataclass(frozen=True)
class HSTUConfig(EncoderConfig):
    """Hierarchical sequential transduction units (ICML 2024, arXiv:2402.17152, section 3).

    A layer makes U, V, Q, K = silu(norm(x) W) (eq. 1), aggregates values without a softmax,
    A = silu(Q K^T + bias) / L over what came before (eq. 2), and adds dropout(norm(A V) * U) W'
    + b' to x (eq. 3).  The bias is learnt for each distance of two positions.  As in the paper's
    experiments on public data: embeddings are multiplied by sqrt(d) and positions added; L is
    max_length; no feed-forward layer.  Departs: states pass a layer norm and keep its length,
    where the paper brings them to length 1 and divides by a temperature (`unit_states`); the
    bias of time is an option, and is of the gap between the two items, where the public code
    takes the time of the item to be predicted for the later one; right-padded.
    """

    heads: int = 1
    """Attention heads."""
    head_dim: int | None = None
    """Size of a head's queries, keys, values and gates; null: dim / heads."""
    attention_dropout: float = 0.0
    """Probability of zeroing an attention weight."""
    time_bias: bool = False
    """Add a bias that is learnt for the time between two items, by powers of two of its seconds;
    the data must have times."""
    unit_states: bool = False
    """Bring states to length 1, as the paper does; then give the loss a temperature (0.05)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        divided = self.dim if self.head_dim is None else self.heads
        check_attention(divided, self.heads, self.attention_dropout)
        if self.head_dim is not None:
            check_count("head_dim", self.head_dim)

    def build(self) -> Encoder:
        return HSTU(self)


class HSTU(Encoder):
    """Scaled item and position embeddings, and a stack of transduction units."""

    def __init__(self, config: HSTUConfig) -> None:
        super().__init__()
        self.scale = math.sqrt(config.dim)
        self.unit_states, self.reads_times = config.unit_states, config.time_bias
        self.position_embedding = nn.Embedding(config.max_length, config.dim)
        self.dropout = Dropout(config.dropout)
        self.units = nn.ModuleList(Unit(config) for _ in range(config.layers))
        self.output_norm = nn.Identity() if config.unit_states else nn.LayerNorm(config.dim)
        initialise(self, config.init_std)

    def forward(
        self, x: Tensor, lengths: Tensor, last_only: bool, times: Tensor | None = None
    ) -> Tensor:
        if self.reads_times and times is None:
            raise ValueError("encoder.time_bias: these histories have no times")
        x = self.dropout(self.scale * x + self.position_embedding.weight[: x.shape[1]])  # [B, L, d]
        for index, unit in enumerate(self.units):
            final = index == len(self.units) - 1
            x = unit(x, lengths if last_only and final else None, times)
        states: Tensor = self.output_norm(x)  # [B, L, d], or [B, d] when last_only
        return F.normalize(states, dim=-1) if self.unit_states else states


class Unit(nn.Module):
    """Gated aggregation of what came before, added to the input."""

    def __init__(self, config: HSTUConfig) -> None:
        super().__init__()
        self.heads, self.max_length = config.heads, config.max_length
        width = config.heads * (config.head_dim or config.dim // config.heads)
        self.input_norm = nn.LayerNorm(config.dim, eps=EPSILON)
        self.project = nn.Linear(config.dim, 4 * width, bias=False)  # U, V, Q, K
        self.mixed_norm = nn.LayerNorm(width, eps=EPSILON)
        self.output = nn.Linear(width, config.dim)
        self.dropout = Dropout(config.dropout)
        self.attention_dropout = Dropout(config.attention_dropout)
        self.distance_bias = nn.Parameter(0.02 * torch.randn(config.max_length))
        if config.time_bias:
            self.gap_bias = nn.Parameter(0.02 * torch.randn(GAPS))

    def forward(self, x: Tensor, last: Tensor | None, times: Tensor | None) -> Tensor:
        """x [B, L, d] -> [B, L, d]; with last = lengths [B], only that position: [B, d]."""
        u, v, q, k = F.silu(self.project(self.input_norm(x))).chunk(4, dim=-1)
        if last is not None:  # the one position that asks
            x, u, q = (at_last(part, last)[:, None] for part in (x, u, q))  # [B, 1, .]
        mixed = self.aggregate(q, k, v, last, times)  # [B, L or 1, width]
        out: Tensor = x + self.output(self.dropout(u * self.mixed_norm(mixed)))
        return out if last is None else out[:, 0]

    def aggregate(
        self, q: Tensor, k: Tensor, v: Tensor, last: Tensor | None, times: Tensor | None
    ) -> Tensor:
        """silu(q k^T + bias) v / max_length, head by head, over what came before."""
        length = k.shape[1]
        place = torch.arange(length, device=k.device)
        asking = place[:, None] if last is None else (last - 1)[:, None, None, None]
        distance = asking - place  # [L, L] or [B, 1, 1, L]; below 0 for what comes later
        bias = self.distance_bias[distance.clamp(min=0)]
        if times is not None:
            bias = bias + self.gap_bias[gaps(times, last)]
        q, k, v = (
            part.view(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in (q, k, v)
        )  # [B, H, L or 1, width / H]
        weight = F.silu(q @ k.transpose(2, 3) + bias) / self.max_length  # [B, H, L or 1, L]
        weight = self.attention_dropout(torch.where(distance >= 0, weight, 0.0))
        mixed: Tensor = (weight @ v).transpose(1, 2).flatten(2)
        return mixed


def gaps(times: Tensor, last: Tensor | None) -> Tensor:
    """[B, 1, L or 1, L]: floor(log2) of the seconds from each item to the one that asks; 0 below 2.

    times: [B, L] int64.  last: [B], where only the item at last - 1 asks.
    """
    asking = times if last is None else at_last(times, last)[:, None]  # [B, L or 1]
    seconds = (asking[:, :, None] - times[:, None, :]).clamp(min=1)
    return seconds.double().log2().long()[:, None]
