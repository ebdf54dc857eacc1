"""What makes a step fast changes no number: its loss curve is that of the plainest code."""

from __future__ import annotations

import functools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from augment import MASK, Sequences
from models.encoders.self_attention import Block, SelfAttention
from models.recbole_plug import SASRec
from models.tasks import TASKS, Batch, View
from tests.histories import generator
from tests.models.tiny import (
    Examples,
    build_model,
    cyclic_histories,
    encoder_config,
    loss_of,
    random_batch,
    training_rows,
    views_of,
)

TRAIN = cyclic_histories(users=40, num_items=13, longest=14)
STEPS = 15


def plain_attention(block: Block, x: Tensor) -> Tensor:
    """[B, L, d] -> [B, L, d], head by head, all positions."""
    q, k, v = block.attention.query_key_value(x).chunk(3, dim=2)
    hidden = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
    heads = []
    for one in zip(*(part.chunk(block.attention.heads, dim=2) for part in (q, k, v)), strict=True):
        scores = one[0] @ one[1].transpose(1, 2) / math.sqrt(one[0].shape[2])
        heads.append(scores.masked_fill(hidden, float("-inf")).softmax(dim=2) @ one[2])
    return block.attention.output(torch.cat(heads, dim=2))


def plain_states(model: SASRec, seqs: Sequences) -> Tensor:
    """[B, L, d]: every position of every row, padded to the full length, in a pass of its own."""
    encoder = model.encoder
    assert isinstance(encoder, SelfAttention)
    items = F.pad(seqs.items, (0, len(encoder.position_embedding.weight) - seqs.width))
    rows = torch.where(items == MASK, model.num_items + 1, items)
    x = model.item_embedding(rows) + encoder.position_embedding.weight
    x = encoder.input_norm(x)
    for block in encoder.blocks:
        assert isinstance(block, Block)
        x = block.attention_norm(x + plain_attention(block, x))
        wide = F.gelu(block.widen(x))
        x = block.feed_forward_norm(x + block.narrow(wide))
    return x


def plain_last(model: SASRec, seqs: Sequences) -> Tensor:
    return plain_states(model, seqs)[torch.arange(len(seqs)), seqs.lengths - 1]


def plain_loss(model: SASRec, batch: Batch, rng: torch.Generator) -> Tensor:
    """Scores of all items at all positions, kept whole; a pass for each view."""
    if batch.labels is None:
        states, targets = plain_last(model, batch.histories), batch.targets
    else:
        states = plain_states(model, batch.histories)[:, : batch.histories.width].flatten(0, 1)
        targets = batch.labels.flatten()
    scores = states @ model.item_embedding.weight[1 : model.num_items + 1].T
    loss = F.cross_entropy(scores, targets - 1, ignore_index=-1)
    for task in model.contrastive_tasks():
        views = [view for view in views_of(task, batch, rng) if isinstance(view, View)]
        encoded = [plain_last(model, view.sequences) for view in views]
        loss = loss + task.weight * loss_of(task, encoded, batch).value
    return loss


@functools.cache
def plain_curve(examples: Examples, tasks: tuple[str, ...]) -> list[float]:
    return curve(examples, tasks, plain=True)


def curve(examples: Examples, tasks: tuple[str, ...], plain: bool) -> list[float]:
    """The loss of each step; fused Adam for the fast code, Adam's plain loop for the other."""
    encoder = encoder_config("self_attention", dropout=0.0)
    model = build_model(encoder, [TASKS[task](name=task) for task in tasks], TRAIN)
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.normal_(module.weight, mean=1.0, std=0.1, generator=generator(3))
    kind = {"foreach": False} if plain else {"fused": True}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, **kind)
    rng, losses = generator(2), []
    for step in range(STEPS):
        batch = random_batch(TRAIN, training_rows(TRAIN, examples), 24, step)
        total = plain_loss(model, batch, rng) if plain else model.losses(batch, rng).total
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(total.item())
    return losses


@pytest.mark.parametrize("examples", ["prefixes", "windows"])
@pytest.mark.parametrize("tasks", [(), ("augmented_views",)])
@pytest.mark.parametrize("overhead", [0, 10**9])
def test_a_fast_step_is_the_plain_step(
    examples: Examples, tasks: tuple[str, ...], overhead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One group of rows or as many as there are lengths; blocks of 1 or all rows of scores."""
    plain = plain_curve(examples, tasks)  # which knows neither groups nor blocks
    monkeypatch.setattr("models.encoders.passes.GROUP_OVERHEAD", overhead)
    monkeypatch.setattr("models.losses.full_softmax.BLOCK", overhead or 1)
    fast = curve(examples, tasks, plain=False)
    assert fast[-1] < 0.9 * fast[0]
    assert fast == pytest.approx(plain, rel=2e-4)
