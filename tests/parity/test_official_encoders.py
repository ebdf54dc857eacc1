"""The encoder of RecBole's SASRec, and of S3-Rec and all code that descends from it: with the
official weights, states, scores, losses and gradients are the official ones."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.recbole_plug import SASRec
from tests.parity.official import (
    ITEMS,
    all_states,
    as_ours,
    doubles,
    histories,
    official_model,
    record,
    states_after,
)

PARTS = ["s3rec_lineage", "recbole"]
both = pytest.mark.parametrize("part", PARTS)


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-8) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("precision", [torch.float64, torch.float32])
@both
@torch.no_grad()
def test_the_states_of_histories_are_the_official_ones(part: str, precision: torch.dtype) -> None:
    model = official_model(part).to(precision)
    expected = doubles(record(part)["outputs"]["last_state"]).to(precision)
    close(model.represent(histories(part)), expected, 1e-8 if precision == torch.float64 else 1e-5)


@torch.no_grad()
def test_every_layer_agrees_at_every_position_padding_included() -> None:
    model, outputs = official_model("s3rec_lineage"), record("s3rec_lineage")["outputs"]
    for layers, name in enumerate(("embedded", "layer_1", "layer_2")):
        close(states_after(model, histories("s3rec_lineage"), layers), doubles(outputs[name]))


@both
@torch.no_grad()
def test_scores_of_all_rows_are_the_official_ones(part: str) -> None:
    model, scores = official_model(part), doubles(record(part)["outputs"]["scores"])
    close(model.scores(histories(part))[:, 1:], scores[:, 1 : ITEMS + 1])
    every = model.represent(histories(part)) @ model.item_embedding.weight.T
    close(every[:, : scores.shape[1]], scores)


def assert_gradients(model: SASRec, part: str, loss: Tensor, name: str) -> None:
    expected = as_ours(part, record(part)["gradients"][name])
    names, weights = zip(*model.named_parameters(), strict=True)
    found = dict(zip(names, torch.autograd.grad(loss, weights), strict=True))
    assert found.keys() == expected.keys()
    for weight, gradient in found.items():
        close(gradient, expected[weight])


def test_cross_entropy_and_its_gradients_are_recboles() -> None:
    model, data = official_model("recbole"), record("recbole")
    scores = model.represent(histories("recbole")) @ model.item_embedding.weight[: ITEMS + 1].T
    loss = F.cross_entropy(scores, torch.tensor(data["inputs"]["targets"]))
    close(loss, doubles(data["outputs"]["ce"]))
    assert_gradients(model, "recbole", loss, "ce")


def test_cross_entropy_of_the_last_position_and_its_gradients_are_those_of_s3recs_kin() -> None:
    part = "s3rec_lineage"
    model, data = official_model(part), record(part)
    targets = torch.tensor(data["inputs"]["positive"])[:, -1]
    loss = F.cross_entropy(
        model.represent(histories(part)) @ model.item_embedding.weight.T, targets
    )
    close(loss, doubles(data["outputs"]["ce_of_last_position"]))
    assert_gradients(model, part, loss, "ce_of_last_position")


def test_binary_cross_entropy_and_its_gradients_are_those_of_s3recs_kin() -> None:
    part = "s3rec_lineage"
    model, data = official_model(part), record(part)
    positive, negative = (torch.tensor(data["inputs"][name]) for name in ("positive", "negative"))
    states = all_states(model, histories(part))
    for_target, for_negative = (
        (states * model.embed(items)).sum(dim=2) for items in (positive, negative)
    )
    scored = positive > 0
    loss = (F.softplus(-for_target) + F.softplus(for_negative))[scored].mean()
    close(loss, doubles(data["outputs"]["bce"]))
    assert_gradients(model, part, loss, "bce")
