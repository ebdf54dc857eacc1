"""Causal self-attention over a history: the encoder of SASRec."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.encoders.dropout import Dropout
from models.encoders.encoder import (
    Encoder,
    EncoderConfig,
    Padding,
    at_last,
    initialise,
    real_positions,
)
from models.ranges import check_below_one, check_count


@dataclass(frozen=True)
class SelfAttentionConfig(EncoderConfig):
    """Causal transformer of SASRec (arXiv:1808.09781), with RecBole's sizes and dropout sites."""

    heads: int = 2
    """Attention heads; divides dim."""
    inner: int = 256
    """Width of the feed-forward layer."""
    attention_dropout: float = 0.5
    """Probability of zeroing an attention weight."""
    norm: Literal["post", "pre"] = "post"
    """Layer norm after each residual sum (SASRec in RecBole) or before each sublayer."""
    padding: Padding = "right"
    """right: positions count from the oldest item that is read, as in RecBole.  left: from the
    latest one, as in S3-Rec (arXiv:2008.07873) and the code that descends from it; there the
    states at padding attend to the whole row, which only shows where they are read."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_attention(self.dim, self.heads, self.attention_dropout)
        check_count("inner", self.inner)

    def build(self) -> Encoder:
        return SelfAttention(self)


def check_attention(dim: int, heads: int, dropout: float) -> None:
    """ValueError for fields that no attention can have."""
    if heads < 1 or dim % heads:
        raise ValueError(f"heads must divide dim = {dim}, got {heads}")
    check_below_one("attention_dropout", dropout)


class SelfAttention(Encoder):
    """Position embeddings and a stack of causal transformer blocks.

    Where only the last state is wanted, the last block computes queries and feed-forward for
    that position alone: the same result for about half of the arithmetic of two blocks.
    """

    def __init__(self, config: SelfAttentionConfig) -> None:
        super().__init__()
        self.padding = config.padding
        self.reads_real = config.padding == "left"
        self.position_embedding = nn.Embedding(config.max_length, config.dim)
        self.input_norm = nn.LayerNorm(config.dim, eps=1e-12)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        pre = config.norm == "pre"
        self.output_norm = nn.LayerNorm(config.dim, eps=1e-12) if pre else nn.Identity()
        initialise(self, config.init_std)

    def forward(
        self, x: Tensor, lengths: Tensor, last_only: bool, real: Tensor | None = None
    ) -> Tensor:
        x = x + positions(self.position_embedding.weight, x.shape[1], self.padding)  # [B, L, d]
        x = self.dropout(self.input_norm(x))
        x = through(self.blocks, x, Scope(lengths, x.shape[1], self.padding, real), last_only)
        states: Tensor = self.output_norm(x)  # [B, L, d], or [B, d] when last_only
        return states


def positions(table: Tensor, width: int, padding: Padding) -> Tensor:
    """[width, d]: the position embeddings of rows whose padding is on one side."""
    return table[:width] if padding == "right" else table[len(table) - width :]


@dataclass(frozen=True)
class Queries:
    """Which positions ask, and what each of them may attend to.

    place:   [B] the one position of each row that asks; None: all of them.
    visible: [B or 1, 1, L or 1, L] bool; None: itself and what came before.
    """

    place: Tensor | None
    visible: Tensor | None

    def of(self, x: Tensor) -> Tensor:
        """[B, L, d] -> [B, L, d], or [B, d] where one position asks."""
        return x if self.place is None else at_last(x, self.place + 1)


class Scope:
    """What causal attention over padded rows sees.

    lengths: [B].  width: L.  real: [B, L] bool, where an item is; None: where lengths say so.
    """

    def __init__(
        self, lengths: Tensor, width: int, padding: Padding, real: Tensor | None = None
    ) -> None:
        self.lengths, self.width, self.padding = lengths, width, padding
        self.real = real_positions(lengths, width, padding) if real is None else real

    def all(self) -> Queries:
        """Every position asks.  Behind right padding nothing is read; what is in front of it on
        the left must be hidden, and a position that has nothing else to see sees the whole row."""
        if self.padding == "right":
            return Queries(None, None)
        seen = causal(self.width, self.real.device) & self.real[:, None, :]  # [B, L, L]
        return Queries(None, seen_or_all(seen)[:, None])

    def last(self) -> Queries:
        """Each row's latest item asks, and sees all real ones."""
        if self.padding == "right":
            return Queries(self.lengths - 1, self.real[:, None, None, :])
        place = torch.full_like(self.lengths, self.width - 1)
        return Queries(place, seen_or_all(self.real[:, None, :])[:, None])


def seen_or_all(seen: Tensor) -> Tensor:
    """[B, Q, L] bool -> the same, but all where nothing is seen."""
    return seen | ~seen.any(dim=2, keepdim=True)


def through(blocks: nn.ModuleList, x: Tensor, scope: Scope, last_only: bool) -> Tensor:
    """[B, L, d] through all blocks; the final one asks for [B, d], the last state, if told so."""
    for index, block in enumerate(blocks):
        final = index == len(blocks) - 1
        x = block(x, scope.last() if last_only and final else scope.all())
    return x


class Block(nn.Module):
    """Self-attention and feed-forward, each with dropout, residual sum and layer norm."""

    def __init__(self, config: SelfAttentionConfig) -> None:
        super().__init__()
        self.pre = config.norm == "pre"
        self.attention = Attention(config.dim, config.heads, config.attention_dropout)
        self.widen = nn.Linear(config.dim, config.inner)
        self.narrow = nn.Linear(config.inner, config.dim)
        self.dropout = Dropout(config.dropout)
        self.attention_norm = nn.LayerNorm(config.dim, eps=1e-12)
        self.feed_forward_norm = nn.LayerNorm(config.dim, eps=1e-12)

    def forward(self, x: Tensor, queries: Queries) -> Tensor:
        """x [B, L, d] -> [B, L, d], or [B, d] where one position asks."""
        normed = self.attention_norm(x) if self.pre else x
        y: Tensor = queries.of(x) + self.dropout(self.attention(normed, queries))
        if self.pre:
            return y + self.feed_forward(self.feed_forward_norm(y))
        y = self.attention_norm(y)
        y = self.feed_forward_norm(y + self.feed_forward(y))
        return y

    def feed_forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.narrow(F.gelu(self.widen(x))))
        return out


class Attention(nn.Module):
    """Multi-head scaled dot-product attention of each position to itself and earlier ones."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, queries: Queries) -> Tensor:
        """x [B, L, d] -> [B, L, d], or [B, d] where one position asks."""
        q, k, v = self.project(x, queries)  # [B, H, L or 1, d / H], 2 x [B, H, L, d / H]
        mixed = self.mix(q, k, v, queries.visible)  # [B, H, L or 1, d / H]
        wide = mixed.transpose(1, 2).reshape(x.shape[0], -1, x.shape[2])  # [B, L or 1, d]
        out: Tensor = self.output(wide if queries.place is None else wide[:, 0])
        return out

    def project(self, x: Tensor, queries: Queries) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each contiguous; queries for one position if it alone asks."""
        weight, bias, d = self.query_key_value.weight, self.query_key_value.bias, x.shape[2]
        if queries.place is None:
            q, k, v = self.by_head(F.linear(x, weight, bias), 3)
            return q, k, v
        k, v = self.by_head(F.linear(x, weight[d:], bias[d:]), 2)
        (q,) = self.by_head(F.linear(queries.of(x), weight[:d], bias[:d])[:, None], 1)
        return q, k, v

    def by_head(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """[B, L, parts * d] -> parts x [B, H, L, d / H], by one copy."""
        batch, length, _ = x.shape
        split = x.view(batch, length, parts, self.heads, -1).permute(2, 0, 3, 1, 4)
        return split.contiguous().unbind()

    def mix(self, q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None) -> Tensor:
        """Values weighed by attention; visible as in `Queries`."""
        dropout = self.dropout.p if self.training else 0.0
        if dropout == 0.0 or q.device.type != "cpu":
            return F.scaled_dot_product_attention(
                q, k, v, attn_mask=visible, dropout_p=dropout, is_causal=visible is None
            )
        # With dropout torch's CPU kernel takes this same path, only with a slower dropout.
        hidden = torch.zeros(1, dtype=q.dtype).masked_fill(
            ~(causal(k.shape[2], k.device) if visible is None else visible), float("-inf")
        )
        flat_q, flat_k, flat_v = (part.flatten(0, 1) for part in (q, k, v))  # [B * H, L, d / H]
        if visible is not None:
            hidden = hidden.expand(-1, self.heads, -1, -1).flatten(0, 1)
        scale = 1.0 / math.sqrt(q.shape[3])
        scores = torch.baddbmm(hidden, flat_q, flat_k.transpose(1, 2), alpha=scale)
        return torch.bmm(self.dropout(scores.softmax(dim=2)), flat_v).view(q.shape)


def causal(length: int, device: torch.device) -> Tensor:
    """[L, L] bool: row i sees columns 0..i."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()
