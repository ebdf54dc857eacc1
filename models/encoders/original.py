"""SASRec's encoder as it was published: normed queries, plain keys and values, narrow layers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from models.encoders.dropout import Dropout
from models.encoders.encoder import Encoder, EncoderConfig, initialise
from models.encoders.self_attention import Attention, Queries, Scope, check_attention, through
from models.ranges import check_count

EPSILON = 1e-8


@dataclass(frozen=True)
class OriginalConfig(EncoderConfig):
    """Causal transformer of SASRec (Kang & McAuley 2018, arXiv:1808.09781, section III).

    A block as in the authors' code and most PyTorch ports of it: the layer norm is before the
    attention and for its queries alone, and the residual sum adds the normed queries; the
    feed-forward layer is as wide as the embeddings, with ReLU; embeddings are multiplied by
    sqrt(d); a layer norm ends the stack.  Departs: right-padded, so positions count from the
    oldest item read, and no padding is attended to; the attention has an output matrix, as in
    the ports.
    """

    heads: int = 1
    """Attention heads; divides dim."""
    inner: int | None = None
    """Width of the feed-forward layer; null: dim."""
    attention_dropout: float = 0.5
    """Probability of zeroing an attention weight."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_attention(self.dim, self.heads, self.attention_dropout)
        if self.inner is not None:
            check_count("inner", self.inner)

    def build(self) -> Encoder:
        return Original(self)


class Original(Encoder):
    """Scaled item and position embeddings, blocks, and a last layer norm."""

    def __init__(self, config: OriginalConfig) -> None:
        super().__init__()
        self.scale = math.sqrt(config.dim)
        self.position_embedding = nn.Embedding(config.max_length, config.dim)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(OriginalBlock(config) for _ in range(config.layers))
        self.output_norm = nn.LayerNorm(config.dim, eps=EPSILON)
        initialise(self, config.init_std)

    def forward(self, x: Tensor, lengths: Tensor, last_only: bool) -> Tensor:
        x = self.dropout(self.scale * x + self.position_embedding.weight[: x.shape[1]])  # [B, L, d]
        x = through(self.blocks, x, Scope(lengths, x.shape[1], "right"), last_only)
        states: Tensor = self.output_norm(x)  # [B, L, d], or [B, d] when last_only
        return states


class OriginalBlock(nn.Module):
    """Attention of normed queries to plain keys and values, then a narrow feed-forward layer."""

    def __init__(self, config: OriginalConfig) -> None:
        super().__init__()
        inner = config.inner or config.dim
        self.attention = QueryAttention(config.dim, config.heads, config.attention_dropout)
        self.widen = nn.Linear(config.dim, inner)
        self.narrow = nn.Linear(inner, config.dim)
        self.dropout = Dropout(config.dropout)
        self.attention_norm = nn.LayerNorm(config.dim, eps=EPSILON)
        self.feed_forward_norm = nn.LayerNorm(config.dim, eps=EPSILON)

    def forward(self, x: Tensor, queries: Queries) -> Tensor:
        """x [B, L, d] -> [B, L, d], or [B, d] where one position asks."""
        one = queries.place is not None
        normed = self.attention_norm(queries.of(x)[:, None] if one else x)  # [B, L or 1, d]
        y: Tensor = normed + self.attention.attend(normed, x, queries.visible)
        y = self.feed_forward_norm(y)
        y = y + self.feed_forward(y)  # [B, L or 1, d]
        return y[:, 0] if one else y

    def feed_forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.narrow(F.relu(self.dropout(self.widen(x)))))
        return out


class QueryAttention(Attention):
    """Attention whose queries are made of something else than its keys and values."""

    def attend(self, queries: Tensor, x: Tensor, visible: Tensor | None) -> Tensor:
        """queries [B, L, d], or [B, 1, d] of the last positions; x [B, L, d] -> as queries."""
        weight, bias, d = self.query_key_value.weight, self.query_key_value.bias, x.shape[2]
        (q,) = self.by_head(F.linear(queries, weight[:d], bias[:d]), 1)  # [B, H, L or 1, d / H]
        k, v = self.by_head(F.linear(x, weight[d:], bias[d:]), 2)
        mixed = self.mix(q, k, v, visible)
        out: Tensor = self.output(mixed.transpose(1, 2).reshape(queries.shape))
        return out
