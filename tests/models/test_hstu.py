"""HSTU's unit, position by position as in its paper."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.encoders.hstu import HSTU, HSTUConfig, Unit, gaps
from tests.models.tiny import build_model, cyclic_histories

DIM, LENGTH, MOST = 8, 6, 10


def built(**fields: int | bool) -> HSTU:
    torch.manual_seed(0)
    config = HSTUConfig(
        dim=DIM,
        dropout=0.0,
        max_length=MOST,
        init_std=0.5,
        **fields,  # type: ignore[arg-type]
    )
    encoder = HSTU(config).eval()
    for parameter in encoder.parameters():  # biases and norms are trivial at the start
        nn.init.normal_(parameter, 0.2, 0.5)
    return encoder


def silu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def unit_as_published(unit: Unit, x: Tensor) -> Tensor:
    """x [L, d] -> [L, d], equations 1 to 3 for one history."""
    u, v, q, k = silu(unit.input_norm(x) @ unit.project.weight.T).chunk(4, dim=1)
    size = u.shape[1] // unit.heads
    mixed = torch.zeros_like(u)
    for head in range(unit.heads):
        own = slice(head * size, (head + 1) * size)
        for i in range(len(x)):
            for j in range(i + 1):
                weight = silu(q[i, own] @ k[j, own] + unit.distance_bias[i - j]) / MOST
                mixed[i, own] += weight * v[j, own]
    out: Tensor = x + unit.output(u * unit.mixed_norm(mixed))
    return out


@pytest.mark.parametrize(
    "fields", [{"heads": 1}, {"heads": 2}, {"heads": 3, "head_dim": 5}, {"unit_states": True}]
)
@torch.no_grad()
def test_states_are_those_of_the_paper_s_equations(fields: dict[str, int]) -> None:
    encoder, x = built(**fields), torch.randn(2, LENGTH, DIM)
    found = encoder(x, torch.full((2,), LENGTH), False)
    for row in range(2):
        state = x[row] * DIM**0.5 + encoder.position_embedding.weight[:LENGTH]
        for unit in encoder.units:
            assert isinstance(unit, Unit)
            state = unit_as_published(unit, state)
        state = encoder.output_norm(state)
        if "unit_states" in fields:
            state = state / state.norm(dim=1, keepdim=True)
        torch.testing.assert_close(found[row], state, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_bias_of_time_is_one_for_each_power_of_two_seconds() -> None:
    times = torch.tensor([[10, 10, 12, 100_000]])
    expected = [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [16, 16, 16, 0]]
    assert gaps(times, None)[0, 0].tolist() == expected
    assert gaps(times, torch.tensor([3]))[0, 0].tolist() == [[1, 1, 0, 0]]
    encoder, x, lengths = built(time_bias=True), torch.randn(1, 4, DIM), torch.tensor([4])
    plain = built()
    plain.load_state_dict(encoder.state_dict(), strict=False)
    for unit in encoder.units:
        assert isinstance(unit, Unit)
        unit.gap_bias.zero_()
    torch.testing.assert_close(encoder(x, lengths, True, times), plain(x, lengths, True))
    unit.gap_bias[16] = 1.0
    later = encoder(x, lengths, True, times)
    assert not torch.isclose(later, plain(x, lengths, True)).all()
    torch.testing.assert_close(later, encoder(x, lengths, False, times)[:, -1])


def test_data_without_times_are_refused_where_they_are_read() -> None:
    train = cyclic_histories(users=10, num_items=8, longest=9)
    with pytest.raises(ValueError, match=r"^the encoder reads the times of items"):
        build_model(HSTUConfig(dim=DIM, max_length=MOST, time_bias=True), [], train)
    with pytest.raises(ValueError, match="these histories have no times"):
        built(time_bias=True)(torch.randn(1, 4, DIM), torch.tensor([4]), True)


@torch.no_grad()
def test_the_state_of_the_last_position_is_computed_alone() -> None:
    encoder, x, lengths = built(heads=2), torch.randn(3, LENGTH, DIM), torch.tensor([6, 1, 3])
    every = encoder(x, lengths, False)
    last = torch.stack([every[row, length - 1] for row, length in enumerate(lengths)])
    torch.testing.assert_close(encoder(x, lengths, True), last)


@torch.no_grad()
def test_unit_states_have_length_1() -> None:
    states = built(unit_states=True)(torch.randn(3, LENGTH, DIM), torch.tensor([6, 1, 3]), True)
    torch.testing.assert_close(states.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize(("field", "value"), [("heads", 3), ("head_dim", 0)])
def test_a_field_out_of_range_is_named(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"^{field} "):
        HSTUConfig(**{field: value})  # type: ignore[arg-type]
