"""RecBole's methods say what ours say, and its Trainer's epochs are ours."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.encoders import ENCODERS
from models.tasks import AugmentedViews, Batch, SameTarget, SameUser
from tests.histories import generator, padded
from tests.models.tiny import (
    build_model,
    cyclic_histories,
    encoder_config,
    random_batch,
    training_rows,
)

TRAIN = cyclic_histories(users=30, num_items=12, longest=14)


@pytest.mark.parametrize("kind", ENCODERS)
def test_recbole_s_methods_agree_with_ours(kind: str) -> None:
    model = build_model(encoder_config(kind), [AugmentedViews("it")], TRAIN).eval()
    histories, targets = padded([[1, 2, 3], [7]], width=10), torch.tensor([4, 8])
    interaction = {
        "user_id": torch.tensor([0, 1]),
        "item_id": targets,
        "item_id_list": histories.items,
        "item_length": histories.lengths,
    }
    scores = model.scores(histories)
    torch.testing.assert_close(model.full_sort_predict(interaction), scores)
    torch.testing.assert_close(model.predict(interaction), scores[[0, 1], targets])
    torch.testing.assert_close(
        model(histories.items, histories.lengths), model.represent(histories)
    )
    ours = model.losses(Batch(histories, targets, interaction["user_id"]), generator(0)).total
    torch.testing.assert_close(model.calculate_loss(interaction), ours)


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_model_told_to_read_fewer_items_is_one_that_reads_fewer(kind: str) -> None:
    """Encoder, heads and views alike: its weights and its loss are those of a shorter encoder."""
    tasks = [SameUser("it", pooling="concat", head="linear"), SameTarget("that")]
    short = replace(encoder_config(kind), max_length=4)
    told = build_model(encoder_config(kind), tasks, TRAIN, read=4).eval()
    model = build_model(short, tasks, TRAIN).eval()
    ours, theirs = model.state_dict(), told.state_dict()
    assert {name: value.shape for name, value in theirs.items()} == {
        name: value.shape for name, value in ours.items()
    }
    batch = random_batch(TRAIN, training_rows(TRAIN, "prefixes", 4), 8, 0)
    losses = [one.losses(batch, generator(0)).total for one in (model, told)]
    assert losses[0] == losses[1]


def test_a_model_told_to_read_more_items_than_its_encoder_does_says_so() -> None:
    with pytest.raises(ValueError, match=r"^MAX_ITEM_LIST_LENGTH is 11, and the encoder reads 10"):
        build_model(encoder_config("gru"), [], TRAIN, read=11)


def test_every_epoch_of_recbole_s_trainer_is_one() -> None:
    """It calls train() as each starts, and eval() in between; its checkpoints hold the count."""
    task = AugmentedViews("it", temperature_mode="cosine", temperature_to=0.1, temperature_epochs=4)
    model = build_model(encoder_config("gru"), [task], TRAIN)
    histories = padded([[1, 2, 3], [7]], width=10)
    interaction = {
        "user_id": torch.tensor([0, 1]),
        "item_id": torch.tensor([4, 8]),
        "item_id_list": histories.items,
        "item_length": histories.lengths,
    }
    (fitted,) = model.contrastive_tasks()
    assert isinstance(fitted, AugmentedViews)
    temperatures = []
    for _ in range(4):
        model.train()
        for _ in range(2):
            model.calculate_loss(interaction)
            assert model.training
            temperatures.append(fitted.temperature_now())
        model.eval()
    assert temperatures[::2] == temperatures[1::2] == sorted(set(temperatures), reverse=True)
    assert model.other_parameter() == {"epoch": 4}
