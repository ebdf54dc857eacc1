"""SASRec's block as it was published, against torch's own attention with the same weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from models.encoders import OriginalConfig
from models.encoders.original import Original, OriginalBlock

DIM, LENGTH = 8, 6


def built(**fields: float | int | None) -> Original:
    torch.manual_seed(0)
    config = OriginalConfig(
        dim=DIM,
        dropout=0.0,
        attention_dropout=0.0,
        max_length=10,
        init_std=0.5,
        **fields,  # type: ignore[arg-type]
    )
    encoder = config.build().eval()
    assert isinstance(encoder, Original)
    for part in encoder.modules():
        if isinstance(part, nn.LayerNorm):  # else a missing one would not be seen
            nn.init.normal_(part.weight, 1.0, 0.3)
            nn.init.normal_(part.bias, 0.0, 0.3)
    return encoder


def as_published(encoder: Original, heads: int, x: Tensor) -> Tensor:
    """[B, L, d]: the states, line by line as in the paper's code."""
    future = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
    seqs = x * math.sqrt(DIM) + encoder.position_embedding.weight[:LENGTH]
    for block in encoder.blocks:
        assert isinstance(block, OriginalBlock)
        attention = nn.MultiheadAttention(DIM, heads, batch_first=True).eval()
        attention.in_proj_weight = block.attention.query_key_value.weight
        attention.in_proj_bias = block.attention.query_key_value.bias
        attention.out_proj.weight = block.attention.output.weight
        attention.out_proj.bias = block.attention.output.bias
        queries = block.attention_norm(seqs)
        mixed, _ = attention(queries, seqs, seqs, attn_mask=future)
        seqs = block.feed_forward_norm(queries + mixed)
        seqs = seqs + block.narrow(torch.relu(block.widen(seqs)))
    states: Tensor = encoder.output_norm(seqs)
    return states


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("inner", [None, 20])
def test_the_states_are_those_of_the_published_block(heads: int, inner: int | None) -> None:
    encoder = built(heads=heads, inner=inner)
    x = torch.randn(3, LENGTH, DIM, generator=torch.Generator().manual_seed(1))
    states = encoder(x, torch.full((3,), LENGTH), False)
    torch.testing.assert_close(states, as_published(encoder, heads, x), rtol=1e-5, atol=1e-5)


def test_its_feed_forward_layer_is_as_wide_as_the_embeddings_unless_said() -> None:
    widths = [
        block.widen.out_features for block in built().blocks if isinstance(block, OriginalBlock)
    ]
    assert widths == [DIM, DIM]
