"""LiGR's block, line by line as its papers have it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.encoders.ligr import GatedBlock, LiGR, LiGRConfig
from models.encoders.self_attention import Scope

DIM, LENGTH = 8, 6


def built() -> LiGR:
    torch.manual_seed(0)
    config = LiGRConfig(
        dim=DIM, dropout=0.0, attention_dropout=0.0, max_length=10, init_std=0.5, inner=12
    )
    encoder = LiGR(config).eval()
    for parameter in encoder.parameters():  # biases and norms are trivial at the start
        nn.init.normal_(parameter, 0.3, 0.5)
    return encoder


def attention(block: GatedBlock, x: Tensor) -> Tensor:
    """torch's own, causal, with the block's weights."""
    ours = block.attention
    theirs = nn.MultiheadAttention(DIM, ours.heads, batch_first=True)
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.query_key_value.weight,
            "in_proj_bias": ours.query_key_value.bias,
            "out_proj.weight": ours.output.weight,
            "out_proj.bias": ours.output.bias,
        }
    )
    future = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
    mixed: Tensor = theirs(x, x, x, attn_mask=future, need_weights=False)[0]
    return mixed


def as_published(encoder: LiGR, x: Tensor) -> Tensor:
    x = x + encoder.position_embedding.weight[:LENGTH]
    for block in encoder.blocks:
        assert isinstance(block, GatedBlock)
        gate = torch.sigmoid(F.linear(x, block.attention_gate.weight, block.attention_gate.bias))
        x = x + gate * attention(block, block.attention_norm(x))
        gate = torch.sigmoid(
            F.linear(x, block.feed_forward_gate.weight, block.feed_forward_gate.bias)
        )
        w1, w3 = block.widen.weight.chunk(2)
        normed = block.feed_forward_norm(x)
        swish = normed @ w1.T * torch.sigmoid(normed @ w1.T)
        x = x + gate * ((swish * (normed @ w3.T)) @ block.narrow.weight.T)
    states: Tensor = encoder.output_norm(x)
    return states


@torch.no_grad()
def test_states_are_those_of_the_published_block() -> None:
    encoder, x = built(), torch.randn(3, LENGTH, DIM)
    found = encoder(x, torch.full((3,), LENGTH), False)
    torch.testing.assert_close(found, as_published(encoder, x), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_closed_gates_leave_the_input_as_it_is() -> None:
    block, x = built().blocks[0], torch.randn(3, LENGTH, DIM)
    assert isinstance(block, GatedBlock)
    for gate in (block.attention_gate, block.feed_forward_gate):
        gate.weight.zero_()
        gate.bias.fill_(-100.0)
    scope = Scope(torch.full((3,), LENGTH), LENGTH, "right")
    torch.testing.assert_close(block(x, scope.all()), x)


@pytest.mark.parametrize(("field", "value"), [("heads", 3), ("inner", 0), ("attention_dropout", 1)])
def test_a_field_out_of_range_is_named(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"^{field} "):
        LiGRConfig(**{field: value})  # type: ignore[arg-type]
