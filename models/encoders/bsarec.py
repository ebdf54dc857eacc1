"""Self-attention mixed with a filter of frequencies: the encoder of BSARec."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from augment.operator import check_share
from models.encoders.dropout import Dropout
from models.encoders.encoder import Encoder, EncoderConfig, initialise
from models.encoders.self_attention import Attention, Queries, Scope, check_attention, through
from models.ranges import check_count


@dataclass(frozen=True)
class BSARecConfig(EncoderConfig):
    """Attention beside a frequency rescaler, BSARec (AAAI 2024, arXiv:2312.10325).

    A layer is alpha * filter(x) + (1 - alpha) * attention(x), each with dropout, residual sum
    and layer norm, then SASRec's feed-forward layer.  The filter takes each dimension's Fourier
    transform along the positions, keeps the lowest frequencies and scales the others by
    beta^2, which is learnt for each dimension (section 4, "frequency rescaler").  It runs over
    all max_length positions, padding included, and looks ahead, as the published code does: so
    the encoder is not causal, and trains on prefixes only.  Left-padded, like that code;
    positions at padding attend to the whole row.  The transform is a product with a fixed
    matrix, which is the same to rounding; padding is embedded as 0, where the code has noise.
    """

    causal = False
    fixed_length = True
    padding = "left"

    heads: int = 1
    """Attention heads; divides dim."""
    inner: int = 256
    """Width of the feed-forward layer."""
    attention_dropout: float = 0.5
    """Probability of zeroing an attention weight."""
    alpha: float = 0.7
    """Share of the filter, in [0, 1]; the rest is attention's."""
    cutoff: int = 5
    """c of the paper: c // 2 + 1 frequencies, from 0 up, pass as they are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_attention(self.dim, self.heads, self.attention_dropout)
        check_count("inner", self.inner)
        check_share("alpha", self.alpha)
        check_count("cutoff", self.cutoff)

    def build(self) -> Encoder:
        return BSARec(self)


class BSARec(Encoder):
    """Position embeddings and a stack of blocks over rows of one fixed length."""

    def __init__(self, config: BSARecConfig) -> None:
        super().__init__()
        self.position_embedding = nn.Embedding(config.max_length, config.dim)
        self.input_norm = nn.LayerNorm(config.dim, eps=1e-12)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(FrequencyBlock(config) for _ in range(config.layers))
        initialise(self, config.init_std)

    def forward(self, x: Tensor, lengths: Tensor, last_only: bool) -> Tensor:
        x = self.dropout(self.input_norm(x + self.position_embedding.weight))  # [B, L, d]
        x = through(self.blocks, x, Scope(lengths, x.shape[1], "left"), last_only)
        return x  # [B, L, d], or [B, d] when last_only


class FrequencyBlock(nn.Module):
    """Filter and attention side by side, mixed, and a feed-forward layer."""

    def __init__(self, config: BSARecConfig) -> None:
        super().__init__()
        self.alpha = config.alpha
        self.attention = Attention(config.dim, config.heads, config.attention_dropout)
        self.widen = nn.Linear(config.dim, config.inner)
        self.narrow = nn.Linear(config.inner, config.dim)
        self.dropout = Dropout(config.dropout)
        self.filter_norm = nn.LayerNorm(config.dim, eps=1e-12)
        self.attention_norm = nn.LayerNorm(config.dim, eps=1e-12)
        self.feed_forward_norm = nn.LayerNorm(config.dim, eps=1e-12)
        self.sqrt_beta = nn.Parameter(torch.randn(config.dim))
        matrix = low_pass(config.max_length, config.cutoff // 2 + 1)
        self.register_buffer("low_pass", matrix, persistent=False)

    def forward(self, x: Tensor, queries: Queries) -> Tensor:
        """x [B, L, d] -> [B, L, d], or [B, d] where the last position asks."""
        residual = queries.of(x)
        filtered = self.filter_norm(residual + self.dropout(self.rescaled(x, queries)))
        attended = self.attention_norm(residual + self.dropout(self.attention(x, queries)))
        y = self.alpha * filtered + (1.0 - self.alpha) * attended
        fed = self.dropout(self.narrow(F.gelu(self.widen(y))))
        out: Tensor = self.feed_forward_norm(y + fed)
        return out

    def rescaled(self, x: Tensor, queries: Queries) -> Tensor:
        """Low frequencies as they are, high ones times beta^2."""
        matrix = self.get_buffer("low_pass")  # [L, L]
        low = matrix @ x if queries.place is None else matrix[-1] @ x  # [B, L, d] or [B, d]
        out: Tensor = low + self.sqrt_beta.square() * (queries.of(x) - low)
        return out


def low_pass(length: int, kept: int) -> Tensor:
    """[L, L]: what the Fourier transform of L positions without its frequencies from `kept` up,
    transformed back, does to them."""
    spectrum = torch.fft.rfft(torch.eye(length, dtype=torch.float64), dim=0, norm="ortho")
    spectrum[kept:] = 0.0
    matrix: Tensor = torch.fft.irfft(spectrum, n=length, dim=0, norm="ortho")
    return matrix.float()
