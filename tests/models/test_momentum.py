"""Keys of a moving average of the model: MoCo."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from experiments.training.build import RECBOLE_FIELDS
from models.feature_input import FeaturesConfig, GivenFeatures
from models.losses.next_item import CrossEntropy
from models.recbole_plug import Catalogue, SASRec
from models.tasks import AugmentedViews, Batch, ItemFeatures
from tests.histories import counting, generator
from tests.models.tiny import (
    build_model,
    cyclic_histories,
    encoder_config,
    loss_of,
    random_batch,
    training_rows,
)

TRAIN = cyclic_histories(users=30, num_items=12, longest=14)
BATCH = Batch(counting([3, 2, 4]), torch.tensor([5, 6, 7]), torch.arange(3))


def model_with(dropout: float = 0.0, momentum: float = 0.9) -> SASRec:
    task = AugmentedViews("it", momentum=momentum)
    model = build_model(encoder_config("self_attention", dropout), [task], TRAIN).train()
    model.start_epoch(1, generator(0))
    return model.train()


def batch(seed: int) -> Batch:
    return random_batch(TRAIN, training_rows(TRAIN, "prefixes"), 8, seed)


def test_the_copy_follows_the_weights_as_the_equation_says() -> None:
    model = model_with()
    (mine,) = model.momentum_copies()
    weights = dict(model.encoder.named_parameters())
    expected = {name: weight.detach().clone() for name, weight in weights.items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for step in range(3):
        before = {name: weight.detach().clone() for name, weight in weights.items()}
        expected = {name: 0.9 * expected[name] + 0.1 * before[name] for name in expected}
        total = model.losses(batch(step), generator(step)).total
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        for name, weight in mine.encoder.named_parameters():
            torch.testing.assert_close(weight, expected[name])
    assert all(weight.grad is None for weight in mine.parameters())


def test_the_copy_has_a_fusion_of_features_of_its_own() -> None:
    """Keys do not change as long as the copy does not, whatever the model's own fusion does."""
    vectors = torch.randn(13, 5, generator=generator(0))
    given = GivenFeatures(FeaturesConfig("auto"), ItemFeatures(vectors, vectors[:, 0] < 9))
    fields = {
        **RECBOLE_FIELDS,
        "MAX_ITEM_LIST_LENGTH": 10,
        "device": torch.device("cpu"),
        "seed": 0,
        "encoder": encoder_config("self_attention", 0.0),
        "next_item": CrossEntropy(),
        "contrast": [AugmentedViews("it", momentum=0.9)],
        "item_features": given,
    }
    model = SASRec(fields, Catalogue(TRAIN)).eval()
    (mine,) = model.momentum_copies()
    items = torch.tensor([[3, 4]])
    before = model.embed(items, mine)
    torch.testing.assert_close(before, model.embed(items))
    assert model.feature_input is not None
    with torch.no_grad():
        model.feature_input.project.weight += 1.0
    torch.testing.assert_close(model.embed(items, mine), before)
    assert not torch.isclose(model.embed(items), before).all()
    model.train().move_copies()
    expected = 0.9 * before + 0.1 * model.embed(items)
    torch.testing.assert_close(model.embed(items, mine), expected)


def test_a_copy_that_has_not_moved_gives_the_models_own_keys() -> None:
    """Without dropout; then the loss is that of the first views as the only anchors."""
    model = model_with()
    found = model.losses(BATCH, generator(0)).parts["it"] / 0.1
    task = model.contrastive_tasks()[0]
    views = [view.sequences for view in task.make_views(BATCH, generator(0))]  # type: ignore[attr-defined]
    queries, keys = (model.encode(seqs, "last") for seqs in views)
    torch.testing.assert_close(found, F.cross_entropy(queries @ keys.T, torch.arange(3)))


def test_evaluation_moves_no_copy() -> None:
    model = model_with(momentum=0.0)
    (mine,) = model.momentum_copies()
    with torch.no_grad():
        model.item_embedding.weight += 1.0
    model.eval().losses(BATCH, generator(0))
    assert not torch.equal(mine.item_embedding.weight, model.item_embedding.weight)
    model.train().losses(BATCH, generator(0))
    assert torch.equal(mine.item_embedding.weight, model.item_embedding.weight)


def test_with_a_queue_only_keys_are_pushed_and_older_ones_are_negatives() -> None:
    task = AugmentedViews(momentum=0.9, negatives="queue", queue_size=6)
    sizes_of = build_model(encoder_config("gru"), [task], TRAIN).contrastive_tasks()[0]
    assert isinstance(sizes_of, AugmentedViews)
    task = sizes_of.train()
    one, other, third = (torch.randn(3, 8, generator=generator(seed)) for seed in range(3))
    loss_of(task, [one, other], BATCH)
    assert task.queue is not None
    torch.testing.assert_close(task.queue.keys[:3], other)
    others = replace(BATCH, users=BATCH.users + 3)
    found = loss_of(task, [one, third], others).value
    logits = one @ torch.cat([third, other]).T
    torch.testing.assert_close(found, F.cross_entropy(logits, torch.arange(3)))


@pytest.mark.parametrize("momentum", [-0.1, 1.0, float("nan")])
def test_a_momentum_out_of_range_is_named(momentum: float) -> None:
    with pytest.raises(ValueError, match=r"^momentum must lie in \[0, 1\)"):
        AugmentedViews(momentum=momentum)


def test_positives_weigh_as_their_labels_say() -> None:
    """Rows 0 and 1 share the target, 1 and 2 the user; a pair always weighs 1."""
    task = AugmentedViews(
        false_negatives=("target", "user"),
        false_negatives_as="positives",
        positive_weights={"user": 0.25},
    )
    rows = Batch(counting([3, 2, 4]), torch.tensor([5, 5, 7]), torch.tensor([0, 1, 1]))
    a, b = (torch.randn(3, 4, generator=generator(seed)) for seed in range(2))
    views = torch.cat([a, b])
    share = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.25], [0.0, 0.25, 1.0]]).repeat(2, 2)
    share.fill_diagonal_(0.0)
    logits = (views @ views.T).fill_diagonal_(float("-inf"))
    log_share = logits.log_softmax(dim=1).masked_fill(share == 0, 0.0)
    expected = -(share * log_share).sum(dim=1) / share.sum(dim=1)
    compared = torch.tensor([True, False, True]).repeat(2)  # row 1 has no negative
    torch.testing.assert_close(loss_of(task, [a, b], rows).value, expected[compared].mean())


def test_weights_of_positives_need_positives_that_are_named() -> None:
    with pytest.raises(ValueError, match=r"^positive_weights needs false_negatives_as: positives"):
        AugmentedViews(false_negatives=("user",), positive_weights={"user": 0.5})
    with pytest.raises(ValueError, match=r"^positive_weights needs .* to name target"):
        AugmentedViews(
            false_negatives=("user",),
            false_negatives_as="positives",
            positive_weights={"target": 0.5},
        )
