"""What every encoder promises: causal, blind to padding, one last state."""

from __future__ import annotations

import math
import re
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.encoders import ENCODERS, Encoder, EncoderConfig, GRUConfig, SelfAttentionConfig
from models.encoders.dropout import Dropout
from models.encoders.encoder import at_last
from models.encoders.self_attention import Attention, Block, Scope, SelfAttention
from tests.models.tiny import encoder_config

BUILT_IN = {kind: encoder_config(kind, dropout=0.0, init_std=0.5) for kind in ENCODERS}
CONFIGS = {  # those that can be handed rows as they are; tests/contract asks all, laid out
    **{
        kind: config
        for kind, config in BUILT_IN.items()
        if config.causal and not config.fixed_length and config.padding == "right"
    },
    "pre-norm": SelfAttentionConfig(8, 2, 0.0, 10, 0.5, attention_dropout=0.0, norm="pre"),
    "one layer": SelfAttentionConfig(8, 1, 0.0, 10, 0.5, attention_dropout=0.0),
}
LENGTHS = torch.tensor([6, 1, 3])
ATTENDING = ("self_attention", "original")
TINY = 1e-12  # dropout that drops nothing, but takes the path of dropout

every_encoder = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
every_norm = pytest.mark.parametrize("norm", ["post", "pre"])


def built(config: EncoderConfig) -> Encoder:
    torch.manual_seed(0)
    return config.build().eval()


def embedded(width: int = 6, seed: int = 0) -> Tensor:
    """[3, width, 8]"""
    return torch.randn(3, width, 8, generator=torch.Generator().manual_seed(seed))


@every_encoder
@pytest.mark.parametrize("training", [False, True])
def test_each_state_depends_on_every_earlier_item_and_no_later_one(
    config: EncoderConfig, training: bool
) -> None:
    encoder, x = built(config).train(training), embedded().requires_grad_()
    for part in encoder.modules():
        if isinstance(part, Dropout):
            part.p = TINY  # attention is written out where there is dropout
    states = encoder(x, torch.full((3,), 6), False)
    for place in range(6):
        direction = torch.linspace(-1, 2, 8)
        (grad,) = torch.autograd.grad((states[:, place] @ direction).sum(), x, retain_graph=True)
        reach = grad.abs().amax(dim=2)  # [3, 6]
        assert (reach[:, : place + 1] > 0).all()
        assert (reach[:, place + 1 :] == 0).all()


@every_encoder
@pytest.mark.parametrize("last_only", [False, True])
def test_padding_and_what_is_in_it_do_not_matter(config: EncoderConfig, last_only: bool) -> None:
    encoder = built(config)
    wide = torch.cat([embedded(), 100 * embedded(4, seed=1)], dim=1)  # [3, 10, 8]
    narrow_states = encoder(embedded(), LENGTHS, last_only)
    wide_states = encoder(wide, LENGTHS, last_only)
    if last_only:
        torch.testing.assert_close(wide_states, narrow_states)
    for row, length in enumerate(LENGTHS.tolist() if not last_only else []):
        alone = encoder(embedded()[row : row + 1, :length], LENGTHS[row : row + 1], False)
        torch.testing.assert_close(narrow_states[row, :length], alone[0])
        torch.testing.assert_close(wide_states[row, :length], alone[0])


@every_encoder
def test_the_gradient_of_the_last_state_is_that_of_all_states(config: EncoderConfig) -> None:
    encoder, x = built(config).double(), embedded().double().requires_grad_()
    direction = torch.linspace(-1, 2, 8, dtype=torch.float64)
    grads = []
    for states in (encoder(x, LENGTHS, True), at_last(encoder(x, LENGTHS, False), LENGTHS)):
        loss = (states @ direction).square().sum()
        grads.append(torch.autograd.grad(loss, [x, *encoder.parameters()]))
    for short, full in zip(*grads, strict=True):
        torch.testing.assert_close(short, full)


def test_at_last_takes_the_state_of_the_last_real_position() -> None:
    states = torch.arange(6.0).view(2, 3, 1)
    assert at_last(states, torch.tensor([1, 3])).tolist() == [[0.0], [5.0]]


def test_self_attention_has_no_position_beyond_max_length() -> None:
    with pytest.raises(RuntimeError):
        built(CONFIGS["self_attention"])(embedded(11), torch.full((3,), 11), False)


# Attention: the path of dropout against torch's fused one ------------------------------------


@every_norm
@pytest.mark.parametrize("last_only", [False, True])
def test_training_with_next_to_no_dropout_is_evaluation(norm: str, last_only: bool) -> None:
    """Values and gradients of the written-out attention are those of torch's fused one."""
    config = SelfAttentionConfig(8, 2, TINY, 10, 0.5, attention_dropout=TINY, norm=norm)  # type: ignore[arg-type]
    encoder, x = built(config).double(), embedded().double().requires_grad_()
    direction = torch.linspace(-1, 2, 8, dtype=torch.float64)
    results = []
    for training in (True, False):
        states = encoder.train(training)(x, LENGTHS, last_only)
        loss = (states @ direction).square().sum()
        results.append([states, *torch.autograd.grad(loss, [x, *encoder.parameters()])])
    for written_out, fused in zip(*results, strict=True):
        torch.testing.assert_close(written_out, fused)


def attention(dropout: float) -> tuple[Attention, Tensor, Tensor, Tensor]:
    """The module, and queries, keys and values [1, 2 heads, 5, 4]."""
    torch.manual_seed(0)
    module = Attention(8, 2, dropout).train()
    q, k, v = torch.randn(3, 1, 2, 5, 4)
    return module, q, k, v


def test_attention_is_softmax_over_what_came_before() -> None:
    module, q, k, v = attention(TINY)
    mixed = module.mix(q, k, v, None)
    for head in range(2):
        for place in range(5):
            scores = k[0, head, : place + 1] @ q[0, head, place] / 2  # sqrt(4)
            expected = scores.softmax(dim=0) @ v[0, head, : place + 1]
            torch.testing.assert_close(mixed[0, head, place], expected)


def test_attention_of_the_last_position_sees_real_items_only() -> None:
    module, q, k, v = attention(TINY)
    mixed = module.mix(q[:, :, 2:3], k, v, Scope(torch.tensor([3]), 5, "right").last().visible)
    expected = F.scaled_dot_product_attention(q[:, :, :3], k[:, :, :3], v[:, :, :3], is_causal=True)
    torch.testing.assert_close(mixed[:, :, 0], expected[:, :, 2])


def test_attention_dropout_is_unbiased() -> None:
    module, q, k, v = attention(0.5)
    count = 4000
    q, k, v = (x.expand(count, -1, -1, -1) for x in (q, k, v))
    torch.manual_seed(0)
    mixed = module.mix(q, k, v, None)  # [4000, 2, 5, 4]
    expected = F.scaled_dot_product_attention(q[:1], k[:1], v[:1], is_causal=True)[0]
    error = mixed.std(dim=0) / count**0.5
    assert ((mixed.mean(dim=0) - expected).abs() <= 5 * error).all()
    assert (error > 0).all()


def torch_layer(block: Block, pre: bool) -> nn.TransformerEncoderLayer:
    """torch's own layer with the weights of ours."""
    layer = nn.TransformerEncoderLayer(
        8, 2, 256, 0.0, F.gelu, 1e-12, batch_first=True, norm_first=pre
    )
    ours = block.state_dict()
    names = {
        "self_attn.out_proj": "attention.output",
        "linear1": "widen",
        "linear2": "narrow",
        "norm1": "attention_norm",
        "norm2": "feed_forward_norm",
    }
    theirs = {f"{t}.{k}": ours[f"{o}.{k}"] for t, o in names.items() for k in ("weight", "bias")}
    for kind in ("weight", "bias"):
        theirs[f"self_attn.in_proj_{kind}"] = ours[f"attention.query_key_value.{kind}"]
    layer.load_state_dict(theirs)
    return layer


@every_norm
def test_it_is_a_stack_of_torch_s_transformer_layers(norm: Literal["post", "pre"]) -> None:
    encoder = built(SelfAttentionConfig(8, 2, 0.0, 10, 0.5, attention_dropout=0.0, norm=norm))
    assert isinstance(encoder, SelfAttention)
    for parameter in encoder.parameters():  # biases and norms are trivial at the start
        nn.init.normal_(parameter)
    x = encoder.input_norm(embedded() + encoder.position_embedding.weight[:6])
    mask = nn.Transformer.generate_square_subsequent_mask(6)
    for block in encoder.blocks:
        assert isinstance(block, Block)
        x = torch_layer(block, norm == "pre")(x, src_mask=mask, is_causal=True)
    states = encoder(embedded(), torch.full((3,), 6), False)
    torch.testing.assert_close(states, encoder.output_norm(x), rtol=1e-4, atol=1e-4)


def test_pre_norm_ends_in_a_layer_norm_and_post_norm_has_one_in_its_last_block() -> None:
    for norm in ("post", "pre"):
        encoder = built(SelfAttentionConfig(8, 2, 0.0, 10, 0.5, norm=norm))
        assert isinstance(encoder, SelfAttention)
        states = encoder(embedded(), LENGTHS, True)
        torch.testing.assert_close(states.mean(dim=1), torch.zeros(3), rtol=0, atol=1e-5)
        torch.testing.assert_close(states.std(dim=1, correction=0), torch.ones(3))


# Fields --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("dim", 0, "dim must be at least 1, got 0"),
        ("layers", 0, "layers must be at least 1, got 0"),
        ("max_length", -1, "max_length must be at least 1, got -1"),
        ("dropout", 1.0, "dropout must lie in [0, 1), got 1.0"),
        ("dropout", -0.1, "dropout must lie in [0, 1), got -0.1"),
        ("dropout", float("nan"), "dropout must lie in [0, 1), got nan"),
        ("init_std", 0.0, "init_std must be positive, got 0.0"),
        ("init_std", float("nan"), "init_std must be positive, got nan"),
    ],
)
def test_a_field_out_of_range_is_named(kind: str, field: str, value: float, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        ENCODERS[kind](**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("heads", 0, "heads must divide dim = 64, got 0"),
        ("heads", 3, "heads must divide dim = 64, got 3"),
        ("inner", 0, "inner must be at least 1, got 0"),
        ("attention_dropout", 1.0, "attention_dropout must lie in [0, 1), got 1.0"),
    ],
)
def test_a_field_of_self_attention_out_of_range_is_named(
    field: str, value: float, told: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        SelfAttentionConfig(**{field: value})  # type: ignore[arg-type]


def test_a_field_of_the_gru_out_of_range_is_named() -> None:
    with pytest.raises(ValueError, match=r"^hidden must be at least 1, got 0$"):
        GRUConfig(hidden=0)


@pytest.mark.parametrize("kind", ["gru", *ATTENDING])
def test_dropout_is_of_the_input_and_of_each_block_s_output(kind: str) -> None:
    fields = {"attention_dropout": 0.0} if kind in ATTENDING else {}
    encoder = ENCODERS[kind](dim=8, layers=2, dropout=0.5, max_length=10, **fields).build()
    shapes: list[torch.Size] = []
    for part in encoder.modules():
        if isinstance(part, Dropout) and part.p > 0.0:
            part.register_forward_hook(lambda part, given, found: shapes.append(given[0].shape))
    x, lengths = embedded(), torch.full((3,), 6)
    first, second = encoder(x, lengths, False), encoder(x, lengths, False)
    assert not torch.equal(first, second)
    blocks = 2 * 2 if kind in ATTENDING else 0  # two in each: after its layers, or inside
    assert shapes == [x.shape] * (1 + blocks) * 2
    encoder.eval()
    assert torch.equal(encoder(x, lengths, False), encoder(x, lengths, False))


@pytest.mark.parametrize("kind", ["gru", *ATTENDING])
def test_weights_are_drawn_as_the_fields_say(kind: str) -> None:
    encoder = ENCODERS[kind](dim=64, init_std=0.1).build()
    recurrent = [name for name, _ in encoder.named_parameters() if name.startswith("gru.")]
    assert bool(recurrent) == (kind == "gru")
    for name, weight in encoder.named_parameters():
        if "norm" in name:
            assert (weight == (1.0 if name.endswith("weight") else 0.0)).all()
        elif weight.ndim == 1:
            assert (weight == 0.0).all(), name
        elif name in recurrent:
            bound = math.sqrt(6 / sum(weight.shape))
            assert weight.abs().max() <= bound
            assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
        else:
            assert weight.std().item() == pytest.approx(0.1, rel=0.1), name
