"""Features that the encoder reads, fused with embeddings as the fields say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from augment import MASK
from experiments.training.build import RECBOLE_FIELDS
from models.feature_input import FeatureInput, FeaturesConfig, GivenFeatures
from models.losses.next_item import CrossEntropy
from models.recbole_plug import Catalogue, SASRec
from models.tasks import ItemFeatures
from tests.histories import generator, padded
from tests.models.tiny import (
    CPU,
    build_model,
    cyclic_histories,
    encoder_config,
    random_batch,
    training_rows,
)

ITEMS, DIM, WIDTH = 9, 8, 5
TRAIN = cyclic_histories(users=30, num_items=ITEMS, longest=8)
FUSIONS = ["sum", "concat", "gate"]
every_fusion = pytest.mark.parametrize("fusion", FUSIONS)


def given(fusion: str) -> GivenFeatures:
    """Item 2 has none."""
    vectors = torch.randn(ITEMS + 1, WIDTH, generator=generator(0))
    vectors[[0, 2]] = 0.0
    known = (vectors != 0).any(dim=1)
    return GivenFeatures(FeaturesConfig("auto", fusion), ItemFeatures(vectors, known))  # type: ignore[arg-type]


def model_of(fusion: str, seed: int = 0) -> SASRec:
    torch.manual_seed(seed)
    encoder = encoder_config("self_attention", dropout=0.0, init_std=0.3)
    fields = {
        **RECBOLE_FIELDS,
        "MAX_ITEM_LIST_LENGTH": encoder.max_length,
        "device": CPU,
        "seed": seed,
        "encoder": encoder,
        "next_item": CrossEntropy(),
        "contrast": [],
        "item_features": given(fusion),
    }
    return SASRec(fields, Catalogue(TRAIN))


def as_written(part: FeatureInput, fusion: str, item: int, e: Tensor) -> Tensor:
    """One item's input, by the formula of its fusion."""
    features = given(fusion).items
    f = part.project(features.vectors[item]) if features.known[item] else torch.zeros(DIM)
    if fusion == "sum":
        return e + f
    assert part.fuse is not None
    both: Tensor = part.fuse(torch.cat([e, f]))
    if fusion == "concat":
        return both
    return both.sigmoid() * e + (1 - both.sigmoid()) * f if features.known[item] else e


@every_fusion
@torch.no_grad()
def test_each_item_is_read_by_its_formula(fusion: str) -> None:
    model = model_of(fusion)
    assert model.feature_input is not None
    for layer in model.feature_input.children():
        assert isinstance(layer, torch.nn.Linear)
        torch.nn.init.normal_(layer.bias)
    read = model.embed(torch.tensor([[1, 2, 9]]))[0]
    for item, found in zip((1, 2, 9), read, strict=True):
        own = model.item_embedding.weight[item]
        torch.testing.assert_close(found, as_written(model.feature_input, fusion, item, own))


@every_fusion
@torch.no_grad()
def test_padding_is_zero_and_the_mask_has_no_features(fusion: str) -> None:
    model = model_of(fusion)
    assert model.feature_input is not None
    torch.nn.init.normal_(model.feature_input.project.bias)
    padding, mask = model.embed(torch.tensor([0, MASK]))
    assert padding.abs().max() == 0
    if fusion != "concat":
        torch.testing.assert_close(mask, model.item_embedding.weight[-1])


@every_fusion
def test_features_are_trained_through_and_scores_are_products_with_embeddings(fusion: str) -> None:
    model = model_of(fusion)
    batch = random_batch(TRAIN, training_rows(TRAIN, "prefixes"), 16, seed=0)
    model.losses(batch, generator(0)).total.backward()  # type: ignore[no-untyped-call]
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name
    histories = padded([[1, 3], [5]])
    scores = model.represent(histories) @ model.item_embedding.weight[: ITEMS + 1].T
    torch.testing.assert_close(model.scores(histories), scores)


@every_fusion
def test_other_weights_start_as_without_features(fusion: str) -> None:
    plain = build_model(encoder_config("self_attention", 0.0, 0.3), [], TRAIN).state_dict()
    with_features = model_of(fusion).state_dict()
    assert all(torch.equal(weight, with_features[name]) for name, weight in plain.items())
    assert {name.split(".")[0] for name in with_features.keys() - plain.keys()} == {"feature_input"}
    assert not any("vectors" in name for name in with_features)


@pytest.mark.parametrize(
    ("fields", "told"), [({"columns": 0}, "columns"), ({"source": ""}, "source")]
)
def test_a_field_out_of_range_is_named(fields: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told} must be"):
        FeaturesConfig(**fields)  # type: ignore[arg-type]
