"""Item embeddings and features: which items are compared, the loss, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from augment import MASK, TrainHistories
from models.losses.info_nce import Similarity
from models.losses.next_item import NoNextItem
from models.tasks import Alignment, Batch, ItemEmbeddings, ItemFeatures, Sizes, Step
from models.tasks.alignment import equal_rows
from tests.histories import could_be_uniform, generator, padded
from tests.models.tiny import (
    build_model,
    cyclic_histories,
    diagnosis_of,
    encoder_config,
    loss_of,
    train_steps,
    views_of,
)

ITEMS = 9
TRAIN = TrainHistories(torch.tensor([1, 2, 3, 4, 5, 6, 7, 8]), torch.tensor([0, 4, 8]), ITEMS)
BATCH = Batch(padded([[1, 2, MASK], [5, 2]]), torch.tensor([3, 9]), torch.tensor([0, 1]))


def features_of(*unknown: int, width: int = 4, seed: int = 0) -> ItemFeatures:
    """Random vectors of nine items, but for the given ones."""
    vectors = torch.randn(ITEMS + 1, width, generator=generator(seed))
    vectors[[0, *unknown]] = 0.0
    return ItemFeatures(vectors, (vectors != 0).any(dim=1))


def ready(task: Alignment, *given: ItemFeatures) -> Alignment:
    task.take_features(given or [features_of(2)])
    task.prepare(Sizes(6, 10, ITEMS, 2))
    task.fit(TRAIN)
    return task


def step_of(task: Alignment, seed: int = 0) -> tuple[Tensor, dict[str, Any]]:
    """The items that count, and all that a step drew."""
    step = Step(BATCH, generator(seed))
    task.requests(step)
    return step.drawn["items"][step.drawn["counted"]], step.drawn


def chosen(task: Alignment, seed: int = 0) -> list[int]:
    return step_of(task, seed)[0].tolist()


def test_the_items_of_a_batch_are_distinct_known_and_of_the_training_split() -> None:
    """Item 2 has no features, item 9 is in no training history, one item is hidden."""
    assert sorted(chosen(ready(Alignment()))) == [1, 3, 5]


def test_uniform_items_are_all_known_items_of_the_training_split() -> None:
    assert sorted(chosen(ready(Alignment(items="uniform")))) == [1, 3, 4, 5, 6, 7, 8]


def test_fewer_items_are_drawn_uniformly_and_without_repetition() -> None:
    task = ready(Alignment(items="uniform", count=3))
    draws = [chosen(task, seed) for seed in range(500)]
    assert all(len(set(items)) == 3 for items in draws)
    counts = np.bincount(np.concatenate(draws), minlength=ITEMS + 1)
    assert could_be_uniform(counts[[1, 3, 4, 5, 6, 7, 8]].tolist())
    assert counts.sum() == 1500


def plain_loss(
    one: Tensor,
    other: Tensor,
    groups: list[int],
    temperature: float,
    similarity: Similarity = "cosine",
) -> float:
    """Both directions, row by row; items of one group are no negatives of each other."""
    alike = {"cosine": torch.cosine_similarity, "dot": lambda p, q, dim: (p * q).sum(dim)}
    one, other = one.detach(), other.detach()
    total = 0.0
    for anchors, partners in ((one, other), (other, one)):
        for i in range(len(anchors)):
            scores = {
                j: float(alike[similarity](anchors[i], partners[j], dim=0)) / temperature
                for j in range(len(partners))
                if j == i or groups[j] != groups[i]
            }
            total -= scores[i] - math.log(sum(math.exp(score) for score in scores.values()))
    return total / (2 * len(one))


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_its_loss_is_the_plain_loop_in_both_directions(similarity: Similarity) -> None:
    """Items 1 and 5 have equal features; items that only fill up change nothing."""
    given = features_of(2)
    given.vectors[5] = given.vectors[1]
    task = ready(Alignment(temperature=0.3, similarity=similarity), given)
    table = torch.randn(ITEMS + 1, 6, generator=generator(3))
    (wanted,) = views_of(task, BATCH, generator(0))
    assert isinstance(wanted, ItemEmbeddings)
    found = loss_of(task, [table[wanted.items]], BATCH, step_of(task)[1]).value
    projected = task.projections[0](given.vectors[[1, 3, 5]])
    expected = plain_loss(projected, table[[1, 3, 5]], [0, 1, 0], 0.3, similarity)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_two_kinds_of_features_are_matched_without_embeddings() -> None:
    """Items 1 and 4 have equal texts, which is enough not to tell them apart."""
    text, image = features_of(2, seed=1), features_of(3, width=7, seed=2)
    text.vectors[4] = text.vectors[1]
    task = ready(Alignment(items="uniform", with_features="image.npy"), text, image)
    assert views_of(task, BATCH, generator(0)) == []
    items = [1, 4, 5, 6, 7, 8]  # known in both
    one = task.projections[0](text.vectors[items])
    other = task.projections[1](image.vectors[items])
    expected = plain_loss(one, other, [1, 1, 5, 6, 7, 8], task.temperature)
    assert loss_of(task, [], BATCH, step_of(task)[1]).value.item() == pytest.approx(
        expected, rel=1e-5
    )


def test_accuracy_is_the_share_of_partners_that_are_picked() -> None:
    task = ready(Alignment(temperature=0.3), features_of(2, width=6))
    with torch.no_grad():
        (project,) = task.projections
        project.weight.copy_(torch.eye(6))
        project.bias.zero_()
    _, drawn = step_of(task)
    right = task.get_buffer("vectors_0")[drawn["items"]]
    assert diagnosis_of(task, [right], BATCH, drawn) == {"accuracy": 1.0, "items": 3.0}
    wrong = right.clone()
    wrong[drawn["counted"]] = right[drawn["counted"]].roll(1, dims=0)
    assert diagnosis_of(task, [wrong], BATCH, drawn)["accuracy"] == 0.0


def test_a_batch_without_known_items_costs_nothing() -> None:
    task = ready(Alignment(), features_of(1, 2, 3, 5))
    (wanted,) = views_of(task, BATCH, generator(0))
    assert isinstance(wanted, ItemEmbeddings)
    encoded = [torch.ones(len(wanted.items), 6)]
    _, drawn = step_of(task)
    assert loss_of(task, encoded, BATCH, drawn).value == 0
    assert diagnosis_of(task, encoded, BATCH, drawn) == {"accuracy": 0, "items": 0}


def test_features_are_frozen_and_not_saved() -> None:
    task = ready(Alignment())
    assert {name for name, _ in task.named_parameters()} == set(task.state_dict())
    assert set(task.state_dict()) == {"projections.0.weight", "projections.0.bias"}


def test_equal_rows_have_equal_numbers() -> None:
    group = equal_rows(torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0], [0.0, 0.0]]))
    assert group[0] == group[2]
    assert len(set(group.tolist())) == 3


def test_it_brings_embeddings_to_their_features() -> None:
    """Three kinds of items by their features alone: embeddings of a kind end up together."""
    train = cyclic_histories(users=30, num_items=12, longest=14)
    kind = torch.arange(13) % 3
    vectors = torch.eye(3)[kind] + 0.01 * torch.randn(13, 3, generator=generator(0))
    vectors[0] = 0.0
    task = Alignment(name="it", weight=1.0)
    task.take_features([ItemFeatures(vectors, torch.arange(13) > 0)])
    model = build_model(encoder_config("gru"), [task], train)
    model.next_item = NoNextItem()
    train_steps(model, train, "prefixes", steps=50, learning_rate=0.02)
    table = torch.nn.functional.normalize(model.items().all().detach(), dim=1)
    similar = (table @ table.T).fill_diagonal_(-2.0).argmax(dim=1)
    assert torch.equal(kind[1:][similar], kind[1:])


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"features": ""}, "features must be auto or the name of a file"),
        ({"with_features": ""}, "with_features must be auto or the name of a file"),
        ({"feature_dim": 0}, "feature_dim must be at least 1, got 0"),
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"temperature": 0.0}, "temperature must be positive, got 0.0"),
        ({"temperature": float("nan")}, "temperature must be positive, got nan"),
    ],
)
def test_a_field_out_of_range_is_named(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}"):
        Alignment(**fields)


def test_without_features_or_with_those_of_other_items_it_is_not_prepared() -> None:
    task, sizes = Alignment(), Sizes(6, 10, ITEMS + 1, 2)
    with pytest.raises(ValueError, match=r"^features: the task was given none"):
        task.prepare(sizes)
    task.take_features([features_of()])
    with pytest.raises(ValueError, match=r"^features: 10 rows do not fit 10 items"):
        task.prepare(sizes)
