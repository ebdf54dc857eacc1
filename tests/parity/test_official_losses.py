"""Every loss of ours that a method published agrees with its official code, value and gradient."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.losses.info_nce import similarities
from models.losses.next_item import CrossEntropy, Items, NextItemLoss
from models.losses.pairwise import BPR, BinaryCrossEntropy
from models.tasks import AugmentedViews, Batch, Intents, LearnedViews, Sizes, Step
from models.tasks.learned_views import spread
from models.tasks.subsequence_intents import SubsequenceIntents
from tests.histories import counting, generator
from tests.parity.official import doubles

Inputs = dict[str, Tensor]
TOLERANCE = 1e-7


@functools.cache
def record() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(__file__).with_name("losses.json").read_text())
    return content


def step_of(rows: int, targets: Tensor | None = None) -> Step:
    """Rows of different targets and users, unless targets are given."""
    targets = torch.arange(rows) if targets is None else targets
    return Step(Batch(counting([1] * rows), targets, torch.arange(rows)), generator(0))


def similarity(settings: dict[str, Any]) -> str:
    return {"cos": "cosine"}.get(settings["similarity"], settings["similarity"])


def contrast(
    settings: dict[str, Any], one: Tensor, other: Tensor, labels: Tensor | None = None
) -> Tensor:
    """Our contrast of two views; labels: rows of one label are masked."""
    task = AugmentedViews(
        temperature=float(settings.get("temperature", 1.0)),
        similarity=similarity(settings),  # type: ignore[arg-type]
        false_negatives=() if labels is None else ("target",),
    )
    return task.contrast(one, other, step_of(len(one), labels))


def next_item(inputs: Inputs, rows: int) -> Tensor:
    """Our cross entropy over the first rows of the table, of which the official softmax is."""
    table = inputs["item_weight"][:rows]
    items = Items(torch.cat([table[:1], table]), rows)
    loss: Tensor = CrossEntropy()(inputs["state"], items, inputs["target"] + 1, generator(0))
    return loss


def two_views(settings: dict[str, Any], inputs: Inputs) -> Tensor:
    names = [name for name in ("view_1", "z_i", "state_1") if name in inputs]
    partner = {"view_1": "view_2", "z_i": "z_j", "state_1": "state_2"}[names[0]]
    masked = settings.get("f_neg") or settings.get("mask")
    labels = inputs.get("target", inputs.get("ids")) if masked else None
    return contrast(settings, inputs[names[0]], inputs[partner], labels)


def cl4srec(settings: dict[str, Any], inputs: Inputs) -> Tensor:
    views = contrast(settings, inputs["view_1"], inputs["view_2"])
    return next_item(inputs, settings["n_items"]) + settings["weight"] * views


def duorec(settings: dict[str, Any], inputs: Inputs) -> Tensor:
    kind = settings.get("contrast", "us_x")
    pairs = {
        "un": [("state", "dropout_twin")],
        "su": [("state", "same_target")],
        "us": [("state", "dropout_twin"), ("state", "same_target")],
        "us_x": [("dropout_twin", "same_target")],
    }[kind]
    total = next_item(inputs, len(inputs["item_weight"]))
    for one, other in pairs:
        total = total + 0.1 * contrast(settings, inputs[one], inputs[other])
    return total


def flattened(settings: dict[str, Any], inputs: Inputs) -> Tensor:
    """States of all positions, padding included: pooling padded, or mean_padded."""
    states = inputs["states"]
    mean = settings["representation"].startswith("mean")
    one, other = (states.mean(dim=1) if mean else states.flatten(1)).chunk(2)
    return contrast(settings, one, other, inputs["label"] if settings.get("de_noise") else None)


def intents_of(settings: dict[str, Any], *centroids: Tensor) -> Intents:
    task = Intents(
        clusters=tuple(len(some) for some in centroids),
        negatives="in_batch",
        mask_same_intent=bool(settings["de_noise"]),
        pooling="mean_padded",
    )
    task.prepare(Sizes(centroids[0].shape[1], 3, 9, 9))
    for prototypes, some in zip(task.centroids(), centroids, strict=True):
        prototypes.vectors, prototypes.mined = some, True
        prototypes.used.fill_(True)
    return task


def intents_of_rows(settings: dict[str, Any], inputs: Inputs) -> Tensor:
    """The intents are those of the rows: each cluster's is the first row's that has its number."""
    ids = [inputs[name] for name in ("ids", "ids_1", "ids_2") if name in inputs]
    vectors = [inputs[name] for name in ("intents", "intents_1", "intents_2") if name in inputs]
    task = intents_of(settings, *vectors)
    values = []
    for prototypes, numbers in zip(task.centroids(), ids, strict=True):
        own = torch.arange(len(numbers))
        if task.mask_same_intent:  # one vector a cluster
            own = (numbers[:, None] == numbers).int().argmax(dim=1)
        values += [task.contrast(inputs[view], prototypes, own) for view in ("view_1", "view_2")]
    return torch.stack(values).mean()


def intent_contrast(settings: dict[str, Any], inputs: Inputs) -> Tensor:
    """From states of all positions to the loss, assignment included."""
    task = intents_of(settings, inputs["centroids"])
    one, other = inputs["states"].mean(dim=1).chunk(2)
    encoded = {"histories": inputs["history_states"].mean(dim=1), "a": one, "b": other}
    return task.loss(encoded, step_of(len(one))).value


def fine(settings: dict[str, Any], inputs: Inputs) -> Tensor:
    task = SubsequenceIntents(
        prototypes=len(inputs["centroids"]),
        false_negatives=("target",) if settings["f_neg"] else (),
    )
    task.prepare(Sizes(inputs["centroids"].shape[1], 3, 9, 9))
    task.centroids.vectors, task.centroids.mined = inputs["centroids"], True
    task.centroids.used.fill_(True)
    return task.fine(inputs["state_1"]) + task.fine(inputs["state_2"])


def learned(settings: dict[str, Any], inputs: Inputs) -> tuple[LearnedViews, Inputs]:
    """The task with the official augmenters, and its views."""
    shapes = [len(inputs[f"augmenter_1.dense_{layer}.bias"]) for layer in (1, 2)]
    task = LearnedViews(
        hidden=tuple(shapes),
        regularisation=0.1 if settings["use_rl"] else 0.0,
        view_weight=settings.get("lmd", 1.0),
        meta_weight=settings.get("beta", 1.0),
    )
    task.prepare(Sizes(inputs["view_1"].shape[1], 3, 9, 9))
    for number, network in enumerate(task.augmenters, 1):
        linear = [part for part in network.modules() if isinstance(part, torch.nn.Linear)]
        for layer, part in enumerate(linear, 1):
            for kind in ("weight", "bias"):
                delattr(part, kind)  # so that the input itself takes its place
                setattr(part, kind, inputs[f"augmenter_{number}.dense_{layer}.{kind}"])
    return task, {"a": inputs["view_1"], "b": inputs["view_2"]}


def meta(settings: dict[str, Any], inputs: Inputs) -> Tensor:
    task, views = learned(settings, inputs)
    return task.second_step(views, step_of(4))


def mclrec_step(settings: dict[str, Any], inputs: Inputs) -> Tensor:
    task, views = learned(settings, inputs)
    return next_item(inputs, settings["n_items"]) + task.loss(views, step_of(4)).value


def mclrec_second_step(settings: dict[str, Any], inputs: Inputs) -> Tensor:
    """The contrast of the plain views is in the value, and moves no augmenter."""
    task, views = learned(settings, inputs)
    plain = contrast({"similarity": "dot"}, views["a"], views["b"])
    return settings["lmd"] * plain + task.second_step(views, step_of(4))


def regularisation(settings: dict[str, Any], inputs: Inputs) -> Tensor:
    views = torch.cat([inputs["a"], inputs["b"]])
    return spread(similarities(views, views, "dot"))


def drawn(loss: NextItemLoss, inputs: Inputs) -> Tensor:
    """Of the last state, or of all positions that have a target; the negatives are given."""
    states, positive = inputs.get("states", inputs.get("state")), inputs.get("positive")
    positive = inputs["target"] if positive is None else positive
    assert states is not None
    scored = positive > 0
    table, chosen = inputs["item_weight"], states[scored]

    def scores(*_: Any) -> tuple[Tensor, Tensor]:
        own = (chosen * table[positive[scored]]).sum(dim=1)
        others = (chosen * table[inputs["negative"][scored]]).sum(dim=1)
        return own, others[:, None]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.losses.pairwise.score_against_others", scores)
        value: Tensor = loss(chosen, Items(table, len(table) - 1), positive[scored], generator(0))
    return value


def official(name: str, settings: dict[str, Any], inputs: Inputs) -> Tensor:
    """The loss of this entry, by our code."""
    for start, function in (
        ("cl4srec/calculate_loss", cl4srec),
        ("duorec/calculate_loss", duorec),
        ("duorec/bsarec_code", duorec),
        ("coserec/one_pair", flattened),
        ("iclrec/instance", flattened),
        ("iclrec/PCLoss", intents_of_rows),
        ("iclrec/intent_contrast", intent_contrast),
        ("icsrec/ficl", fine),
        ("mclrec/meta_contrast", meta),
        ("mclrec/calculate_loss/step2", mclrec_second_step),
        ("mclrec/calculate_loss", mclrec_step),
        ("mclrec/regularisation", regularisation),
    ):
        if name.startswith(start):
            return function(settings, inputs)
    if name.startswith("next_item/ce"):
        return next_item(inputs, len(inputs["item_weight"]))
    if name.startswith("next_item"):
        return drawn(BPR() if "bpr" in name else BinaryCrossEntropy(), inputs)
    return two_views(settings, inputs)


@pytest.mark.parametrize("name", list(record()))
def test_a_loss_and_its_gradients_are_the_official_ones(name: str) -> None:
    entry = record()[name]
    inputs = {
        key: doubles(value) if contains_floats(value) else torch.tensor(value)
        for key, value in entry["inputs"].items()
    }
    wanted = [inputs[key].requires_grad_() for key in entry["gradients"]]
    loss = official(name, entry["settings"], inputs)
    expected = doubles(entry["outputs"]["loss"])
    torch.testing.assert_close(loss.double(), expected, rtol=TOLERANCE, atol=TOLERANCE)
    grads = torch.autograd.grad(loss, wanted, allow_unused=True)
    for (key, gradient), found in zip(entry["gradients"].items(), grads, strict=True):
        of_nothing = torch.zeros_like(inputs[key]) if found is None else found
        torch.testing.assert_close(
            of_nothing, doubles(gradient), rtol=TOLERANCE, atol=TOLERANCE, msg=f"{name}: {key}"
        )


def contains_floats(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(contains_floats, value))
    return isinstance(value, float)
