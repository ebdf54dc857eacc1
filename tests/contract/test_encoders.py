"""What every encoder promises, the built-in ones and those of plug-ins, laid out as they ask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from augment import Sequences
from models.encoders import ENCODERS, Encoder, EncoderConfig, SelfAttentionConfig, build_encoder
from models.encoders.dropout import Dropout
from models.encoders.passes import Request, encode_together
from tests.histories import counting, padded, seeds
from tests.models.tiny import encoder_config

ITEMS, LONGEST = 20, 10
CONFIGS: dict[str, EncoderConfig] = {
    **{kind: encoder_config(kind, dropout=0.0, init_std=0.5) for kind in ENCODERS},
    "left": SelfAttentionConfig(8, 2, 0.0, LONGEST, 0.5, attention_dropout=0.0, padding="left"),
    "pre-norm": SelfAttentionConfig(8, 2, 0.0, LONGEST, 0.5, attention_dropout=0.0, norm="pre"),
    "one layer": SelfAttentionConfig(8, 1, 0.0, LONGEST, 0.5, attention_dropout=0.0),
}
OURS = [name for name, config in CONFIGS.items() if type(config).__module__.startswith("models.")]
CAUSAL = {name: config for name, config in CONFIGS.items() if config.causal}

every_encoder = pytest.mark.parametrize("name", list(CONFIGS))
causal_encoders = pytest.mark.parametrize("name", list(CAUSAL))
batches = st.lists(
    st.lists(st.integers(1, ITEMS), min_size=1, max_size=LONGEST), min_size=2, max_size=6
)


def built(name: str) -> Encoder:
    torch.manual_seed(0)
    return build_encoder(CONFIGS[name]).eval()


def embed(items: Tensor) -> Tensor:
    """Random vectors of items 0 to ITEMS; padding's is 0, as in every model."""
    table = torch.randn(ITEMS + 1, 8, generator=torch.Generator().manual_seed(0))
    table[0] = 0.0
    return table[items]


def states(encoder: Encoder, seqs: Sequences, want: Literal["last", "mean", "all"]) -> Tensor:
    return encode_together(encoder, embed, {"it": Request(seqs, want)})["it"]


@every_encoder
@pytest.mark.parametrize("want", ["last", "mean", "all"])
@settings(max_examples=10)
@given(rows=batches)
@torch.no_grad()
def test_a_state_does_not_depend_on_its_batch(
    name: str, want: Literal["last", "mean", "all"], rows: list[list[int]]
) -> None:
    encoder = built(name)
    together = states(encoder, padded(rows), want)
    for row, items in enumerate(rows):
        alone = states(encoder, padded([items]), want)[0]
        found = together[row, : len(items)] if want == "all" else together[row]
        torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-5)


@causal_encoders
@settings(max_examples=10)
@given(
    first=st.lists(st.integers(1, ITEMS), min_size=1, max_size=5),
    ends=st.tuples(*[st.lists(st.integers(1, ITEMS), min_size=4, max_size=4)] * 2),
)
@torch.no_grad()
def test_later_items_change_no_state_of_a_causal_encoder(
    name: str, first: list[int], ends: tuple[list[int], list[int]]
) -> None:
    seqs = padded([[*first, *end] for end in ends])
    before, after = states(built(name), seqs, "all")[:, : len(first)]
    torch.testing.assert_close(before, after)


@every_encoder
@torch.no_grad()
def test_an_encoder_that_says_it_is_not_causal_does_look_ahead(name: str) -> None:
    if name in CAUSAL:
        return
    before, after = states(built(name), padded([[1, 2, 3, 4], [1, 2, 3, 5]]), "all")[:, :3]
    assert not torch.isclose(before, after).all()


@every_encoder
@torch.no_grad()
def test_the_last_state_is_the_last_of_all_states(name: str) -> None:
    seqs = counting([6, 1, 3, LONGEST])
    last, every = (states(built(name), seqs, want) for want in ("last", "all"))
    assert last.shape == (4, 8)
    for row, length in enumerate(seqs.lengths.tolist()):
        torch.testing.assert_close(last[row], every[row, length - 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OURS)
@torch.no_grad()
def test_every_item_and_the_order_of_the_first_and_last_two_matter(name: str) -> None:
    """No promise of every encoder: a plug-in may well read a history as a set."""
    encoder, items = built(name), [3, 1, 4, 7, 5, 9]
    changed = [[*items[:place], 12, *items[place + 1 :]] for place in range(6)]
    swapped = [[1, 3, *items[2:]], [*items[:4], 9, 5]]
    original, *others = states(encoder, padded([items, *changed, *swapped]), "last")
    for other in others:
        assert not torch.isclose(original, other, rtol=1e-3).all()


@every_encoder
@pytest.mark.parametrize("want", ["last", "all"])
def test_its_weights_get_finite_gradients(name: str, want: Literal["last", "all"]) -> None:
    encoder, direction = built(name).train(), torch.linspace(-1, 2, 8)
    for part in encoder.modules():
        if isinstance(part, Dropout):
            part.p = 0.1
    found = states(encoder, counting([6, 1, 3]), want)
    (found @ direction).square()[0].sum().backward()  # type: ignore[no-untyped-call]
    grads = [weight.grad for weight in encoder.parameters() if weight.grad is not None]
    assert len(grads) == len(list(encoder.parameters()))
    assert all(grad.isfinite().all() for grad in grads)


@pytest.mark.parametrize("name", OURS)
def test_dropout_makes_training_random(name: str) -> None:
    """No promise of every encoder: a plug-in may have none."""
    encoder = build_encoder(replace(CONFIGS[name], dropout=0.5)).train()
    first, second = (states(encoder, counting([6, 1, 3]), "last") for _ in range(2))
    assert not torch.equal(first, second)


@every_encoder
@given(seed=seeds)
@settings(max_examples=2)
def test_the_seed_decides_the_weights(name: str, seed: int) -> None:
    pair = []
    for _ in range(2):
        torch.manual_seed(seed)
        pair.append(build_encoder(CONFIGS[name]).state_dict())
    assert pair[0].keys() == pair[1].keys()
    assert all(torch.equal(pair[0][key], pair[1][key]) for key in pair[0])


class MadeOn(TorchDispatchMode):
    """Notes where every tensor is that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.devices: set[str] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        made = function(*args, **(kwargs or {}))
        if isinstance(made, Tensor):
            self.devices.add(made.device.type)
        return made


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("last_only", [True, False])
def test_a_step_makes_nothing_on_the_host(name: str, last_only: bool) -> None:
    """What is made there and copied makes a GPU wait; `meta` is a device without values."""
    encoder = built(name).train().to("meta")
    zeros = torch.zeros(3, LONGEST, device="meta")
    further = {}
    if encoder.reads_real:
        further["real"] = zeros.bool()
    with MadeOn() as look:
        encoder(torch.zeros(3, LONGEST, 8, device="meta"), zeros[:, 0].long(), last_only, **further)
    assert look.devices == {"meta"}


@every_encoder
@pytest.mark.parametrize("lengths", [[1] * 3, [7] * 3, list(range(1, 8))])
@torch.no_grad()
def test_histories_of_any_length_up_to_max_length_are_read(name: str, lengths: list[int]) -> None:
    encoder = build_encoder(replace(CONFIGS[name], max_length=7)).eval()
    last, every = (states(encoder, counting(lengths), want) for want in ("last", "all"))
    assert last.shape == (len(lengths), 8)
    assert every.shape == (len(lengths), max(lengths), 8)
    assert last.isfinite().all()
    assert every.isfinite().all()
