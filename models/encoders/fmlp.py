"""Filters of frequencies in the place of attention: the encoder of FMLP-Rec."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.encoders.dropout import Dropout
from models.encoders.encoder import Encoder, EncoderConfig, initialise
from models.ranges import check_count


@dataclass(frozen=True)
class FMLPConfig(EncoderConfig):
    """Learnable filters and feed-forward layers, FMLP-Rec (WWW 2022, arXiv:2202.13556).

    A block takes the Fourier transform of each dimension along the positions, multiplies every
    frequency by a complex weight of its own, and transforms back (section 3.2, equations 7 and 8):
    a circular convolution over the whole row.  Then come dropout, residual sum and layer norm, and
    SASRec's feed-forward layer.  It looks ahead, so it trains on prefixes only; all rows are
    max_length long and padded on the left, as in the published code.  Padding is embedded as 0.
    """

    causal = False
    fixed_length = True
    padding = "left"

    inner: int = 256
    """Width of the feed-forward layer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("inner", self.inner)

    def build(self) -> Encoder:
        return FMLP(self)


class FMLP(Encoder):
    """Position embeddings and a stack of filter blocks over rows of one fixed length."""

    def __init__(self, config: FMLPConfig) -> None:
        super().__init__()
        self.position_embedding = nn.Embedding(config.max_length, config.dim)
        self.input_norm = nn.LayerNorm(config.dim, eps=1e-12)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(FilterBlock(config) for _ in range(config.layers))
        initialise(self, config.init_std)

    def forward(self, x: Tensor, lengths: Tensor, last_only: bool) -> Tensor:
        x = self.dropout(self.input_norm(x + self.position_embedding.weight))  # [B, L, d]
        for index, block in enumerate(self.blocks):
            x = block(x, last_only and index == len(self.blocks) - 1)
        return x  # [B, L, d], or [B, d] when last_only


class FilterBlock(nn.Module):
    """A learnable filter and a feed-forward layer, each with dropout, residual sum and norm."""

    def __init__(self, config: FMLPConfig) -> None:
        super().__init__()
        frequencies = config.max_length // 2 + 1
        self.filter = nn.Parameter(torch.randn(frequencies, config.dim, 2) * config.init_std)
        self.widen = nn.Linear(config.dim, config.inner)
        self.narrow = nn.Linear(config.inner, config.dim)
        self.dropout = Dropout(config.dropout)
        self.filter_norm = nn.LayerNorm(config.dim, eps=1e-12)
        self.feed_forward_norm = nn.LayerNorm(config.dim, eps=1e-12)

    def forward(self, x: Tensor, last_only: bool) -> Tensor:
        """x [B, L, d] -> [B, L, d], or [B, d], the state of the last position."""
        filtered = self.dropout(self.filtered(x))
        if last_only:
            x, filtered = x[:, -1], filtered[:, -1]
        y = self.filter_norm(x + filtered)
        out: Tensor = self.feed_forward_norm(y + self.dropout(self.narrow(F.gelu(self.widen(y)))))
        return out

    def filtered(self, x: Tensor) -> Tensor:
        """[B, L, d]: every frequency times its weight; in float32, whatever products are in."""
        spectrum = torch.fft.rfft(x.float(), dim=1, norm="ortho")  # [B, L // 2 + 1, d]
        weighted = spectrum * torch.view_as_complex(self.filter)
        out: Tensor = torch.fft.irfft(weighted, n=x.shape[1], dim=1, norm="ortho")
        return out
