"""The intent contrast: own centroid against all others, found again in each epoch."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from models.losses.info_nce import Similarity
from models.recbole_plug import SASRec
from models.tasks import Batch, Intents, Sizes
from models.tasks.intents import Prototypes
from tests.histories import counting, generator, padded
from tests.models.tiny import (
    build_model,
    cyclic_histories,
    diagnosis_of,
    encoder_config,
    loss_of,
    train_steps,
)

TRAIN = cyclic_histories(users=30, num_items=12, longest=14)
BATCH = Batch(counting([2, 3, 1]), torch.tensor([4, 5, 6]), torch.arange(3))


def model_with(**fields: Any) -> tuple[SASRec, Intents]:
    model = build_model(encoder_config("gru"), [Intents(name="it", **fields)], TRAIN)
    (task,) = model.contrastive_tasks()
    assert isinstance(task, Intents)
    return model, task


def placed(vectors: list[list[float]], used: int, **fields: Any) -> Intents:
    """A task whose only clustering has these centroids, of which the first `used` count."""
    task = Intents(clusters=(len(vectors),), **fields)
    prototypes = Prototypes(len(vectors), len(vectors[0]), False)
    prototypes.vectors.copy_(torch.tensor(vectors))
    prototypes.used.copy_(torch.arange(len(vectors)) < used)
    prototypes.mined = True
    task.prototypes.append(prototypes)
    return task


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_the_loss_is_the_formula(similarity: Similarity) -> None:
    centroids = [[2.0, 0.0], [0.0, 0.5], [-3.0, 1.0], [9.0, 9.0]]
    states = [[1.8, 0.3], [0.1, 0.9], [-1.0, 2.0]]
    task = placed(centroids, used=3, temperature=0.7, similarity=similarity)
    losses = []
    for state in states:
        distance = [math.dist(state, centroid) for centroid in centroids[:3]]
        own = distance.index(min(distance))
        logits = []
        for centroid in centroids[:3]:
            dot = sum(p * q for p, q in zip(state, centroid, strict=True)) / math.hypot(*centroid)
            logits.append(dot / (1 if similarity == "dot" else math.hypot(*state)) / 0.7)
        total = sum(math.exp(logit) for logit in logits)
        losses.append(-math.log(math.exp(logits[own]) / total))
    loss = loss_of(task, [torch.tensor(states)], BATCH).value.item()
    assert loss == pytest.approx(sum(losses) / 3, rel=1e-5)


def test_accuracy_and_the_number_of_intents_are_those_of_the_batch() -> None:
    task = placed([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], used=3)
    own = torch.tensor([[1.0, 0.1], [0.9, 0.0], [0.0, 1.0]])
    assert diagnosis_of(task, [own], BATCH) == {"accuracy": 1.0, "intents": 2.0}
    other = placed([[1.0, 0.0], [3.0, 0.0], [-9.0, 9.0]], used=3)  # nearest is not most similar
    assert diagnosis_of(other, [torch.tensor([[0.0, 1.0]] * 3)], BATCH)["accuracy"] == 0.0


def test_several_clusterings_are_averaged() -> None:
    states = torch.randn(3, 2, generator=generator(0))
    tables = [[[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]]]
    single = [placed(table, used=len(table)) for table in tables]
    both = Intents(clusters=(2, 3))
    both.prototypes.extend(task.prototypes[0] for task in single)
    expected = sum(loss_of(task, [states], BATCH).value for task in single) / 2
    torch.testing.assert_close(loss_of(both, [states], BATCH).value, expected)


def test_the_gradient_reaches_the_states_and_not_the_centroids() -> None:
    task = placed([[1.0, 0.0], [0.0, 1.0]], used=2)
    states = torch.randn(3, 2, generator=generator(0), requires_grad=True)
    loss_of(task, [states], BATCH).value.backward()  # type: ignore[no-untyped-call]
    assert states.grad is not None
    assert states.grad.abs().max() > 0
    assert not list(task.parameters())


def test_users_of_one_centroid_have_nothing_to_tell_apart() -> None:
    task = placed([[1.0, 0.0], [0.0, 1.0]], used=1)
    states = torch.randn(3, 2, generator=generator(0), requires_grad=True)
    loss = loss_of(task, [states], BATCH).value
    (grad,) = torch.autograd.grad(loss, states)
    assert loss.item() == 0.0
    assert grad.abs().max() == 0.0


def test_centroids_stand_for_training_histories_of_the_model_as_it_is() -> None:
    model, task = model_with(clusters=(4, 2))
    model.start_epoch(1, generator(0))
    first = task.centroids()[0].vectors.clone()
    train_steps(model, TRAIN, "prefixes", 3, learning_rate=0.1)
    model.start_epoch(2, generator(0))
    assert [len(one.vectors) for one in task.centroids()] == [4, 2]
    assert not torch.equal(task.centroids()[0].vectors, first)


def test_without_a_warm_start_nothing_is_saved_and_the_past_does_not_matter() -> None:
    model, task = model_with(clusters=(4,))
    assert not any("prototypes" in name for name in model.state_dict())
    model.start_epoch(1, generator(0))
    model.start_epoch(2, generator(7))
    found = task.centroids()[0].vectors.clone()
    fresh, other = model_with(clusters=(4,))
    fresh.load_state_dict(model.state_dict())
    fresh.start_epoch(2, generator(7))
    assert torch.equal(other.centroids()[0].vectors, found)


def test_a_warm_start_begins_from_what_was_saved() -> None:
    model, task = model_with(clusters=(4,), warm_start=True)
    model.start_epoch(1, generator(0))
    saved = model.state_dict()
    fresh, other = model_with(clusters=(4,), warm_start=True)
    fresh.load_state_dict(saved)
    for one, seed in ((model, 1), (fresh, 2)):  # no seed is drawn any more
        one.start_epoch(2, generator(seed))
    assert torch.equal(other.centroids()[0].vectors, task.centroids()[0].vectors)


def test_before_an_epoch_there_are_no_intents() -> None:
    model, _ = model_with(clusters=(4,))
    with pytest.raises(RuntimeError, match="call start_epoch first"):
        model.losses(BATCH, generator(0))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"clusters": ()}, "^clusters must be"),
        ({"clusters": (8, 1)}, "^clusters must be"),
        ({"temperature": 0.0}, "^temperature must be positive"),
        ({"temperature": float("nan")}, "^temperature must be positive"),
    ],
)
def test_a_field_out_of_range_is_named(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Intents(**fields)


def test_the_intent_may_be_that_of_the_user_s_whole_history() -> None:
    """Whatever the row itself looks like."""
    task = Intents(clusters=(2,), similarity="cosine", temperature=0.5, intent_of="user")
    task.prepare(Sizes(2, 4, 5, 3))
    (one,) = task.centroids()
    one.mine(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), generator(0))
    rows = Batch(padded([[1], [1]]), torch.tensor([2, 2]), torch.tensor([2, 0]))
    states = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    logits = task.logits(states, one)
    own = task.intents(states, rows)[0][1]
    assert own.tolist() == [int(one.of_user[2]), int(one.of_user[0])]
    assert own[0] != own[1]
    expected = torch.nn.functional.cross_entropy(logits, own)
    torch.testing.assert_close(loss_of(task, [states], rows).value, expected)
    assert expected > torch.nn.functional.cross_entropy(logits, one.nearest(states))
