"""One pass over many requests is each request alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from augment import Sequences
from models.encoders import ENCODERS, Encoder, SelfAttentionConfig, build_encoder, passes
from models.encoders.encoder import Layout, at_last
from models.encoders.passes import Request, cuts, encode_together
from tests.histories import counting, histories, timed
from tests.models.tiny import encoder_config

OVERHEADS = [0, 3, 10**9]  # cut at every length, at some, never

ascending = st.lists(st.integers(1, 50), min_size=1, max_size=40).map(sorted)


def trimmed(seqs: Sequences) -> Sequences:
    """At most ten columns, as many as the encoders of this file read."""
    return Sequences(seqs.items[:, :10], seqs.lengths)


requests = st.builds(
    Request,
    histories(longest=10).map(trimmed),
    st.sampled_from(["last", "mean", "concat", "all"]),
    st.just(10),
)


class Embedding(nn.Module):
    """Random vectors for items -1 to 20; padding has one too, and a big one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.randn(22, 8, generator=torch.Generator().manual_seed(0))
        self.weight[1] = 50.0  # row of padding
        self.calls = 0

    def forward(self, items: Tensor) -> Tensor:
        self.calls += 1
        return self.weight[items + 1]


class Recorder(Encoder):
    """Returns its input, and keeps the shapes it was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[tuple[int, int, bool]] = []
        self.padded_positions = 0

    def forward(self, x: Tensor, lengths: Tensor, last_only: bool) -> Tensor:
        self.called.append((x.shape[0], x.shape[1], last_only))
        self.padded_positions += x.shape[0] * x.shape[1] - int(lengths.sum())
        return at_last(x, lengths) if last_only else x


ENCODER = {}
for kind in ENCODERS:
    torch.manual_seed(0)
    ENCODER[kind] = build_encoder(encoder_config(kind, init_std=0.5)).eval()
torch.manual_seed(0)
ENCODER["left"] = build_encoder(
    SelfAttentionConfig(8, 2, 0.0, 10, 0.5, attention_dropout=0.0, padding="left")
).eval()
LEARNT_PADDING = {kind for kind, encoder in ENCODER.items() if encoder.layout.length is not None}


def alone(encoder: Encoder, request: Request) -> Tensor:
    """Row by row, without padding that is not asked for: [B, d], or [B, L, d] with zeros there."""
    embed, rows = Embedding(), []
    for row, length in enumerate(request.sequences.lengths.tolist()):
        items = request.sequences.items[row : row + 1, :length]
        front = (encoder.layout.length or length) - length
        items = nn.functional.pad(items, (front, 0))  # only an encoder that pads on the left
        states = encoder(embed(items), torch.tensor([length]), False)[0, front:]  # [n, d]
        if request.want == "all":
            rows.append(nn.functional.pad(states, (0, 0, 0, request.sequences.width - length)))
        elif request.want == "concat":
            rows.append(nn.functional.pad(states, (0, 0, 10 - length, 0)).flatten())
        else:
            rows.append(states[-1] if request.want == "last" else states.mean(dim=0))
    return torch.stack(rows)


@pytest.mark.parametrize("kind", ENCODER)
@pytest.mark.parametrize("overhead", OVERHEADS)
@settings(max_examples=15)
@given(some=st.lists(requests, min_size=1, max_size=4))
@torch.no_grad()
def test_together_is_as_alone(kind: str, overhead: int, some: list[Request]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "GROUP_OVERHEAD", overhead)
        together = encode_together(ENCODER[kind], Embedding(), dict(enumerate(some)))
    assert list(together) == list(range(len(some)))
    for request, states in zip(some, together.values(), strict=True):
        if request.want == "all":  # states at padding mean nothing
            assert states.shape == (*request.sequences.items.shape, 8)
            states = states * request.sequences.real()[:, :, None]
        torch.testing.assert_close(states, alone(ENCODER[kind], request), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("overhead", OVERHEADS)
@given(lengths=ascending)
def test_cuts_are_a_partition_in_order(overhead: int, lengths: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "GROUP_OVERHEAD", overhead)
        groups = cuts(np.array(lengths), 0, len(lengths))
    assert groups[0][0] == 0
    assert groups[-1][1] == len(lengths)
    assert all(start < stop for start, stop in groups)
    assert all(left[1] == right[0] for left, right in pairwise(groups))


@given(lengths=ascending)
def test_groups_that_cost_nothing_have_no_padding(lengths: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "GROUP_OVERHEAD", 0)
        groups = cuts(np.array(lengths), 0, len(lengths))
    assert [lengths[start] for start, _ in groups] == sorted(set(lengths))


def test_a_cut_is_made_where_it_saves_the_most_and_more_than_a_group_costs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lengths = np.array([1, 2, 2, 9, 10])  # a cut saves 9, 16, 24 or 4 positions; then at most 2
    monkeypatch.setattr(passes, "GROUP_OVERHEAD", 23)
    assert cuts(lengths, 0, 5) == [(0, 3), (3, 5)]
    monkeypatch.setattr(passes, "GROUP_OVERHEAD", 24)
    assert cuts(lengths, 0, 5) == [(0, 5)]


def test_the_embedding_is_asked_once_and_padding_is_not_encoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passes, "GROUP_OVERHEAD", 0)
    embed, recorder = Embedding(), Recorder()
    views: list[tuple[Sequences, Literal["last", "mean"]]] = [
        (counting([5, 2], width=8), "last"),
        (counting([2, 3]), "mean"),
        (counting([5]), "last"),
    ]
    encode_together(recorder, embed, {n: Request(*view) for n, view in enumerate(views)})
    assert embed.calls == 1
    assert recorder.padded_positions == 0
    assert recorder.called == [(1, 2, True), (2, 5, True), (1, 2, False), (1, 3, False)]


def test_the_mean_is_over_real_positions_only() -> None:
    embed = Embedding()
    seqs = counting([1, 3], width=6)
    mean = encode_together(Recorder(), embed, {"it": Request(seqs, "mean")})["it"]
    torch.testing.assert_close(mean[0], embed.weight[2])
    torch.testing.assert_close(mean[1], embed.weight[2:5].mean(dim=0))


def test_concat_is_right_aligned_behind_zeros() -> None:
    embed = Embedding()
    request = Request(counting([1, 3], width=6), "concat", max_length=4)
    found = encode_together(Recorder(), embed, {"it": request})["it"]
    zero = torch.zeros(8)
    assert torch.equal(found[0], torch.cat([zero, zero, zero, embed.weight[2]]))
    assert torch.equal(found[1], torch.cat([zero, *embed.weight[2:5]]))


@pytest.mark.parametrize("kind", sorted(ENCODER.keys() - LEARNT_PADDING))
@pytest.mark.parametrize("want", ["last", "mean", "concat"])
@torch.no_grad()
def test_the_vector_of_padding_does_not_matter(
    kind: str, want: Literal["last", "mean", "concat"]
) -> None:
    request = Request(counting([4, 1, 2], width=9), want, max_length=9)
    embed, other = Embedding(), Embedding()
    other.weight[1] = -7.0
    before = encode_together(ENCODER[kind], embed, {"it": request})["it"]
    after = encode_together(ENCODER[kind], other, {"it": request})["it"]
    torch.testing.assert_close(after, before)


@pytest.mark.parametrize("kind", ENCODER)
def test_gradients_flow_to_every_request(kind: str) -> None:
    embed = Embedding()
    embed.weight.requires_grad_()
    wants: list[Literal["last", "mean", "all"]] = ["last", "mean", "all"]
    for want in wants:
        states = encode_together(
            ENCODER[kind], embed, {w: Request(counting([3, 2]), w) for w in wants}
        )[want]
        (grad,) = torch.autograd.grad(states.square().sum() + states.sum(), embed.weight)
        assert (grad[2:4].abs().sum(dim=1) > 0).all()


class Clock(Encoder):
    """The state at each position is its item's time, in every dimension."""

    reads_times = True

    def forward(  # type: ignore[override]
        self, x: Tensor, lengths: Tensor, last_only: bool, times: Tensor | None
    ) -> Tensor:
        assert times is not None
        states = times[:, :, None].expand(x.shape).float()
        return at_last(states, lengths) if last_only else states


@pytest.mark.parametrize("overhead", OVERHEADS)
def test_an_encoder_that_reads_times_is_given_those_of_its_rows(
    overhead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "GROUP_OVERHEAD", overhead)
    first, second = timed(counting([4, 1, 7])), timed(counting([2, 9]), seed=1)
    asked = {"a": Request(first, "last"), "b": Request(second, "all"), "c": Request(second, "last")}
    states = encode_together(Clock(), Embedding(), asked)
    assert first.times is not None
    assert second.times is not None
    assert torch.equal(states["a"][:, 0], at_last(first.times, first.lengths).float())
    assert torch.equal(states["c"][:, 0], at_last(second.times, second.lengths).float())
    assert torch.equal(states["b"][second.real()][:, 0], second.times[second.real()].float())


@torch.no_grad()
def test_padded_is_every_position_as_the_encoder_made_it() -> None:
    """On the side of its padding, and as wide as it is asked for."""
    embed, seqs = Embedding(), counting([1, 3])
    found = encode_together(Recorder(), embed, {"it": Request(seqs, "padded", 5)})["it"]
    expected = embed(torch.tensor([[1, 0, 0, 0, 0], [1, 2, 3, 0, 0]]))
    assert torch.equal(found, expected.flatten(1))
    left = Recorder()
    left.layout = Layout("left")
    found = encode_together(left, embed, {"it": Request(seqs, "padded", 5)})["it"]
    expected = embed(torch.tensor([[0, 0, 0, 0, 1], [0, 0, 1, 2, 3]]))
    assert torch.equal(found, expected.flatten(1))


@pytest.mark.parametrize("kind", ["self_attention", "gru", "left"])
@pytest.mark.parametrize("overhead", OVERHEADS)
@pytest.mark.parametrize("beside", [False, True])
@settings(max_examples=10, deadline=None)
@given(seqs=histories(longest=10).map(trimmed), seed=st.integers(0, 9))
def test_states_at_scored_positions_are_those_of_all_positions(
    kind: str, overhead: int, beside: bool, seqs: Sequences, seed: int
) -> None:
    """Alone, or beside a request whose rows share the groups."""
    chosen = torch.rand(seqs.items.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    scored = torch.nonzero((chosen & seqs.real()).flatten())[:, 0]
    asked = {"scored": Request(seqs, "scored", scored=scored)}
    further = {"other": Request(seqs, "mean")} if beside else {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "GROUP_OVERHEAD", overhead)
        embedding = Embedding()
        found = encode_together(ENCODER[kind], embedding, asked | further)["scored"]
        every = encode_together(ENCODER[kind], embedding, {"all": Request(seqs, "all")})["all"]
    torch.testing.assert_close(found, every.flatten(0, 1)[scored], rtol=1e-4, atol=1e-4)
