"""Whole training steps: our tasks, on official weights and views, give the official losses and the
official gradient of every weight.

Views, positives, negatives and centroids are given, and there is no dropout.  The next-item loss
is the official formula over our states, because official softmaxes have rows for padding and
mask; its own agreement is in test_official_losses.
"""

from __future__ import annotations

import functools
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from augment import MASK, Sequences
from experiments.config.resolve import resolve
from models.recbole_plug import SASRec
from models.tasks import (
    AugmentedViews,
    Batch,
    Intents,
    SameTarget,
    SubsequenceIntents,
    Task,
    View,
)
from models.tasks.intents import Prototypes
from tests.histories import generator
from tests.parity.official import (
    ITEMS,
    LENGTH,
    all_states,
    as_ours,
    doubles,
    official_model,
    shifted,
)

TOLERANCE = 1e-7
VIEWS = AugmentedViews("views", 0.1, pooling="padded")
"""S3-Rec's kin: flattened states of all positions."""
INTENTS = Intents(
    "intents", 0.1, clusters=(3,), pooling="mean_padded", views_of="views", negatives="in_batch"
)
STEPS: dict[str, list[Task]] = {
    "coserec": [VIEWS],
    "iclrec": [VIEWS, INTENTS],
    "icsrec": [SubsequenceIntents("it", prototypes=3)],
    "duorec": [SameTarget("it", 0.1)],
    "cl4srec": [AugmentedViews("it", 0.1)],
}
"""The tasks of the steps, by the preset `published/NAME` that has them."""
GIVEN = {
    "name", "views_of", "anchor", "positive", "operators", "draw", "correlation",
    "short_max_length", "short_operators", "clusters", "prototypes",
}  # fmt: skip
"""Fields of what the steps are given: views, positives and centroids."""


@functools.cache
def record() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(__file__).with_name("steps.json").read_text())
    return content


def left_padded(values: list[list[int]]) -> Sequences:
    """Rows of S3-Rec's kin as ours; a 0 amid a history is an item that is hidden by padding."""
    rows = torch.tensor(values)
    starts = (rows > 0).int().argmax(dim=1)
    return Sequences(shifted(rows, starts), LENGTH - starts)


def right_padded(values: list[list[int]], lengths: list[int]) -> Sequences:
    rows = torch.tensor(values)
    return Sequences(rows.masked_fill(rows == ITEMS + 1, MASK), torch.tensor(lengths))


def batch_of(histories: Sequences, targets: list[int]) -> Batch:
    return Batch(histories, torch.tensor(targets), torch.arange(len(histories)))


def give_views(task: AugmentedViews, one: Sequences, other: Sequences) -> None:
    """Fix what the task would draw."""
    views = [View(seqs, task.pooling) for seqs in (one, other)]
    task.make_views = lambda batch, rng: views  # type: ignore[method-assign, assignment]


def give_centroids(prototypes: Prototypes, vectors: Any) -> None:
    prototypes.vectors, prototypes.mined = doubles(vectors), True
    prototypes.used.fill_(True)


def parts_of(model: SASRec, batch: Batch) -> dict[str, Tensor]:
    """The weighted loss of every task, from the one pass of a training step."""
    return model.losses(batch, generator(0)).parts


def assert_step(name: str, part: str, model: SASRec, joint: Tensor) -> None:
    """The joint loss and the gradient of every weight."""
    close = functools.partial(torch.testing.assert_close, rtol=TOLERANCE, atol=TOLERANCE)
    close(joint, doubles(record()[name]["joint"]))
    expected = as_ours(part, record()[name]["gradients"])
    names, weights = zip(*model.named_parameters(), strict=True)
    found = dict(zip(names, torch.autograd.grad(joint, weights), strict=True))
    assert found.keys() == expected.keys()
    for weight, gradient in found.items():
        close(gradient, expected[weight], msg=f"{name}: {weight}")


def binary(model: SASRec, name: str) -> Tensor:
    inputs = record()[name]["inputs"]
    states = all_states(model, left_padded(inputs["input"]))
    positive, negative = torch.tensor(inputs["positive"]), torch.tensor(inputs["negative"])
    right, wrong = ((states * model.embed(items)).sum(dim=2) for items in (positive, negative))
    return (F.softplus(-right) + F.softplus(wrong))[positive > 0].mean()


def softmax(model: SASRec, batch: Batch, rows: int) -> Tensor:
    """Cross entropy over the rows of the table that the official one has."""
    states = model.represent(batch.histories)
    return F.cross_entropy(states @ model.item_embedding.weight[:rows].T, batch.targets)


@pytest.mark.parametrize("name", STEPS)
def test_the_published_preset_has_the_tasks_of_the_step(name: str) -> None:
    def computed(task: Task) -> dict[str, Any]:
        return {f.name: getattr(task, f.name) for f in fields(task) if f.name not in GIVEN}

    config, _ = resolve(None, [("model", f"published/{name}")])
    assert [type(task) for task in config.contrast] == [type(task) for task in STEPS[name]]
    assert [computed(task) for task in config.contrast] == [computed(t) for t in STEPS[name]]


def with_views(name: str) -> tuple[SASRec, Batch]:
    """A model with two given views."""
    inputs = record()[name]["inputs"]
    model = official_model("s3rec_lineage", STEPS[name])
    task = model.contrastive_tasks()[0]
    assert isinstance(task, AugmentedViews)
    give_views(task, left_padded(inputs["view_1"]), left_padded(inputs["view_2"]))
    return model, batch_of(left_padded(inputs["input"]), [row[-1] for row in inputs["positive"]])


def test_a_step_of_coserec() -> None:
    model, batch = with_views("coserec")
    joint = binary(model, "coserec") + parts_of(model, batch)["views"]
    assert_step("coserec", "s3rec_lineage", model, joint)


def test_a_step_of_iclrec() -> None:
    """The intents' anchors are the views of the other task, pooled by their mean."""
    model, batch = with_views("iclrec")
    task = model.contrastive_tasks()[1]
    assert isinstance(task, Intents)
    give_centroids(task.centroids()[0], record()["iclrec"]["inputs"]["centroids"])
    parts = parts_of(model, batch)
    for part, theirs in (("views", "instance"), ("intents", "intent")):
        expected = 0.1 * record()["iclrec"]["losses"][theirs]
        assert parts[part].item() == pytest.approx(expected, rel=TOLERANCE)
    joint = binary(model, "iclrec") + parts["views"] + parts["intents"]
    assert_step("iclrec", "s3rec_lineage", model, joint)


@pytest.mark.parametrize("masked", [True, False])
def test_a_step_of_icsrec(masked: bool) -> None:
    name = f"icsrec_f_neg={masked}"
    inputs = record()[name]["inputs"]
    task: Task = SubsequenceIntents(
        "it", prototypes=3, false_negatives=("target",) if masked else ()
    )
    model = official_model("s3rec_lineage", [task])
    task = model.contrastive_tasks()[0]
    assert isinstance(task, SubsequenceIntents)
    give_centroids(task.centroids, inputs["centroids"])
    second = left_padded(inputs["second"])
    task.positives = lambda batch, rng: second  # type: ignore[method-assign]
    batch = batch_of(left_padded(inputs["input"]), inputs["target"])
    joint = softmax(model, batch, ITEMS + 2) + parts_of(model, batch)["it"]
    assert_step(name, "s3rec_lineage", model, joint)


def test_a_step_of_duorec() -> None:
    inputs = record()["duorec_us_x"]["inputs"]
    model = official_model("recbole", STEPS["duorec"])
    task = model.contrastive_tasks()[0]
    assert isinstance(task, SameTarget)
    same = right_padded(inputs["same_target"], inputs["same_target_length"])
    task.positives = lambda batch, rng: same  # type: ignore[method-assign]
    batch = batch_of(right_padded(inputs["input"], inputs["length"]), inputs["target"])
    joint = softmax(model, batch, ITEMS + 1) + parts_of(model, batch)["it"]
    assert_step("duorec_us_x", "recbole", model, joint)


def test_a_step_of_cl4srec() -> None:
    inputs = record()["cl4srec"]["inputs"]
    model = official_model("recbole", STEPS["cl4srec"])
    with torch.no_grad():
        model.item_embedding.weight[ITEMS + 1] = doubles(inputs["mask_row"])
    task = model.contrastive_tasks()[0]
    assert isinstance(task, AugmentedViews)
    views = [right_padded(inputs[f"view_{n}"], inputs[f"length_{n}"]) for n in (1, 2)]
    give_views(task, *views)
    batch = batch_of(right_padded(inputs["input"], inputs["length"]), inputs["target"])
    joint = softmax(model, batch, ITEMS + 1) + parts_of(model, batch)["it"]
    assert_step("cl4srec", "recbole", model, joint)
