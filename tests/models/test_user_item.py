"""Two towers: what q is, what is left out, and that it learns alone."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from augment import TrainHistories
from models.encoders import GRUConfig
from models.losses.next_item import NoNextItem
from models.tasks import Batch, UserItem
from models.tasks.user_item import log_target_share
from tests.histories import counting, generator, padded
from tests.models.tiny import build_model, cyclic_histories, diagnosis_of, loss_of, train_steps

TRAIN = TrainHistories(torch.tensor([1, 2, 3, 4, 2, 2, 3, 5]), torch.tensor([0, 3, 4, 8]), 6)
TARGETS = [2, 3, 2, 3, 5]  # all but the first item of each user


def batch_of(targets: list[int]) -> Batch:
    return Batch(counting([1] * len(targets)), torch.tensor(targets), torch.arange(len(targets)))


def random_vectors(count: int) -> list[Tensor]:
    return list(torch.randn(2, count, 4, generator=generator(0), dtype=torch.float64))


def test_q_is_the_share_of_training_targets() -> None:
    counted = Counter(TARGETS)
    share = log_target_share(TRAIN).exp().tolist()
    for item in range(1, 7):
        assert share[item] == pytest.approx(max(counted[item], 1) / len(TARGETS))


def test_a_user_without_items_at_the_end_takes_nothing_away() -> None:
    longer = TrainHistories(TRAIN.items, torch.tensor([0, 3, 4, 8, 8]), 6)
    assert torch.equal(log_target_share(longer), log_target_share(TRAIN))


@pytest.mark.parametrize("correction", ["log_q", "none"])
@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_its_loss_is_the_plain_loop(correction: str, similarity: str) -> None:
    task = UserItem(temperature=0.5, similarity=similarity, correction=correction)  # type: ignore[arg-type]
    task.fit(TRAIN)
    targets = [2, 3, 2, 5]
    states, items = random_vectors(4)
    counted, total = Counter(TARGETS), 0.0
    for i, own in enumerate(targets):
        scores = {}
        for j, target in enumerate(targets):
            if j != i and target == own:
                continue  # an accidental hit
            score = float(states[i] @ items[j])
            if similarity == "cosine":
                score /= float(states[i].norm() * items[j].norm())
            q = counted[target] / len(TARGETS) if correction == "log_q" else 1.0
            scores[j] = score / 0.5 - math.log(q)
        total -= scores[i] - math.log(sum(math.exp(score) for score in scores.values()))
    found = loss_of(task, [states, items], batch_of(targets)).value
    assert found.item() == pytest.approx(total / 4, rel=1e-6)


def test_its_accuracy_is_the_share_of_rows_that_find_their_target() -> None:
    task = UserItem(correction="none")
    eye = torch.eye(4)
    found = diagnosis_of(task, [eye, eye[[0, 1, 3, 2]]], batch_of([1, 2, 3, 4]))
    assert found["accuracy"] == 0.5


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_not_positive_is_named(temperature: float) -> None:
    with pytest.raises(ValueError, match=r"^temperature must be positive"):
        UserItem(temperature=temperature)


def test_as_the_only_loss_it_finds_planted_structure() -> None:
    """Item i + 1 follows item i: the item after each training history is ranked first."""
    train = cyclic_histories(users=200, num_items=20, longest=8)
    task = UserItem(name="it", weight=1.0)
    model = build_model(GRUConfig(16, 1, 0.1, 10, hidden=32), [task], train)
    model.next_item = NoNextItem()
    train_steps(model, train, "prefixes", steps=200, size=64, learning_rate=0.01)
    scores = model.eval().scores(padded([[item] for item in range(1, 21)]))[:, 1:]
    assert (scores.argmax(dim=1) == torch.arange(1, 21) % 20).double().mean() > 0.95


def test_correction_takes_popularity_out_of_the_negatives() -> None:
    """With states that say nothing, an item's bias becomes ln of its popularity, as under the
    full softmax; in-batch negatives alone would leave popular items hardly better."""
    popularity = torch.tensor([4.0] * 100 + [1.0] * 100) / 500
    gaps = {}
    for correction in ("log_q", "none"):
        task = UserItem(correction=correction)  # type: ignore[arg-type]
        task.register_buffer("log_q", torch.cat([torch.zeros(1), popularity.log()]))
        bias = learned_bias(task, popularity)
        gaps[correction] = (bias[:100].mean() - bias[100:].mean()).item()
    assert gaps["log_q"] == pytest.approx(math.log(4), abs=0.2)
    assert gaps["none"] == pytest.approx(0.0, abs=0.2)


def learned_bias(task: UserItem, popularity: Tensor) -> Tensor:
    """What 300 batches of 32 targets, drawn by popularity, make of a bias for each item."""
    pick = generator(0)
    bias = torch.zeros(len(popularity), requires_grad=True)
    optimizer = torch.optim.Adam([bias], lr=0.03)
    for _ in range(300):
        targets = torch.multinomial(popularity, 32, replacement=True, generator=pick)
        encoded = [torch.ones(32, 1), bias[targets][:, None]]
        optimizer.zero_grad()
        loss_of(task, encoded, batch_of((targets + 1).tolist())).value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return bias.detach()
