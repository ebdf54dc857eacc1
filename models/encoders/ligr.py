"""LiGR's block: gated residual sums around attention and a SwiGLU feed-forward layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from models.encoders.dropout import Dropout
from models.encoders.encoder import Encoder, EncoderConfig, initialise
from models.encoders.self_attention import Attention, Queries, Scope, check_attention, through
from models.ranges import check_count


@dataclass(frozen=True)
class LiGRConfig(EncoderConfig):
    """Causal transformer with LiGR's block, as eSASRec has it (RecSys 2025, arXiv:2508.06450).

    The block is LiGR's (arXiv:2502.03417): each sublayer reads a layer norm of its input x and
    is added to x times sigmoid(x W + b); the feed-forward layer is SwiGLU (Shazeer 2020,
    arXiv:2002.05202) without biases, (silu(x W1) * x W3) W2.  Departs from eSASRec's code:
    right-padded, so positions count from the oldest item; weights start from N(0, init_std^2);
    a layer norm ends the stack, without which the scale of a state is free.
    """

    heads: int = 2
    """Attention heads; divides dim."""
    inner: int = 256
    """Width of the feed-forward layer; the papers take 4 times dim."""
    attention_dropout: float = 0.5
    """Probability of zeroing an attention weight."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_attention(self.dim, self.heads, self.attention_dropout)
        check_count("inner", self.inner)

    def build(self) -> Encoder:
        return LiGR(self)


class LiGR(Encoder):
    """Position embeddings, gated blocks, and a last layer norm."""

    def __init__(self, config: LiGRConfig) -> None:
        super().__init__()
        self.position_embedding = nn.Embedding(config.max_length, config.dim)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(GatedBlock(config) for _ in range(config.layers))
        self.output_norm = nn.LayerNorm(config.dim)
        initialise(self, config.init_std)

    def forward(self, x: Tensor, lengths: Tensor, last_only: bool) -> Tensor:
        x = self.dropout(x + self.position_embedding.weight[: x.shape[1]])  # [B, L, d]
        x = through(self.blocks, x, Scope(lengths, x.shape[1], "right"), last_only)
        states: Tensor = self.output_norm(x)  # [B, L, d], or [B, d] when last_only
        return states


class GatedBlock(nn.Module):
    """x + gate(x) * attention(norm(x)), then the same with the feed-forward layer."""

    def __init__(self, config: LiGRConfig) -> None:
        super().__init__()
        dim, inner = config.dim, config.inner
        self.attention = Attention(dim, config.heads, config.attention_dropout)
        self.attention_norm = nn.LayerNorm(dim)
        self.attention_gate = nn.Linear(dim, dim)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward_gate = nn.Linear(dim, dim)
        self.widen = nn.Linear(dim, 2 * inner, bias=False)  # W1 beside W3
        self.narrow = nn.Linear(inner, dim, bias=False)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, queries: Queries) -> Tensor:
        """x [B, L, d] -> [B, L, d], or [B, d] where one position asks."""
        attended = self.dropout(self.attention(self.attention_norm(x), queries))
        x = queries.of(x)
        y = x + self.attention_gate(x).sigmoid() * attended
        fed = self.dropout(self.feed_forward(self.feed_forward_norm(y)))
        out: Tensor = y + self.feed_forward_gate(y).sigmoid() * fed
        return out

    def feed_forward(self, x: Tensor) -> Tensor:
        """SwiGLU: [..., d] -> [..., d]."""
        switched, linear = self.widen(x).chunk(2, dim=-1)  # [..., inner] each
        out: Tensor = self.narrow(self.dropout(F.silu(switched) * linear))
        return out
