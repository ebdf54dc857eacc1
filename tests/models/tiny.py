"""Models small enough for a test, and training data whose right answer is known."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence as ListOf
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from augment import TrainHistories
from augment.examples import Rows, prefix_rows, window_rows
from experiments.data.batches import make_batch
from experiments.training.build import RECBOLE_FIELDS
from models.augmented_input import AugmentConfig
from models.encoders import ENCODERS, EncoderConfig
from models.losses.next_item import CrossEntropy, NextItemLoss
from models.recbole_plug import Catalogue, SASRec
from models.tasks import (
    Alignment,
    Batch,
    EncodingRequest,
    FeatureTask,
    Intents,
    ItemFeatures,
    Step,
    Task,
    TaskLoss,
    UserItem,
)
from tests.histories import generator, padded

CPU = torch.device("cpu")
Examples = Literal["prefixes", "windows"]
ENCODER_EXAMPLES: list[tuple[str, Examples]] = [
    *((kind, "prefixes") for kind in ENCODERS),
    *((kind, "windows") for kind, config in ENCODERS.items() if config.causal),
]
"""Every encoder with the examples that it can be trained on."""


def encoder_config(kind: str, dropout: float = 0.2, init_std: float = 0.02) -> EncoderConfig:
    """Two layers of eight dimensions that read ten items."""
    sizes = {"dim": 8, "layers": 2, "max_length": 10}
    fields = {field.name for field in dataclasses.fields(ENCODERS[kind])}
    rates = dict.fromkeys({"dropout", "attention_dropout"} & fields, dropout)
    return ENCODERS[kind](**sizes, **rates, init_std=init_std)  # type: ignore[arg-type]


def build_model(
    encoder: EncoderConfig,
    contrast: ListOf[Task],
    train: TrainHistories,
    seed: int = 0,
    next_item: NextItemLoss | None = None,
    augment: AugmentConfig | None = None,
    read: int | None = None,
) -> SASRec:
    """read: how many items RecBole is told to read, where it is not what the encoder does."""
    torch.manual_seed(seed)
    contrast = [given_features(task, train.num_items) for task in contrast]
    fields = {
        **RECBOLE_FIELDS,
        "MAX_ITEM_LIST_LENGTH": read or encoder.max_length,
        "device": CPU,
        "seed": seed,
        "encoder": encoder,
        "next_item": next_item or CrossEntropy(),
        "contrast": contrast,
    }
    if augment is not None:
        fields["augment"] = augment
    return SASRec(fields, Catalogue(train))


def given_features(task: Task, num_items: int) -> Task:
    """A task that reads item features, with random ones unless it has some; others as they are.

    Item 1 has none, the last two items have the same.
    """
    if not isinstance(task, FeatureTask) or list(task.buffers()):
        return task
    given = []
    for seed, _ in enumerate(task.sources()):
        vectors = torch.randn(num_items + 1, 5, generator=generator(seed))
        vectors[:2] = 0.0
        vectors[-1] = vectors[-2]
        given.append(ItemFeatures(vectors, (vectors != 0).any(dim=1)))
    task = copy.deepcopy(task)
    task.take_features(given)
    return task


def cyclic_histories(users: int, num_items: int, longest: int, seed: int = 0) -> TrainHistories:
    """After item i comes item i + 1, after the last comes the first; 3 to `longest` a user."""
    rng = np.random.default_rng(seed)
    lengths, starts = rng.integers(3, longest + 1, users), rng.integers(0, num_items, users)
    rows = [(s + np.arange(n)) % num_items + 1 for s, n in zip(starts, lengths, strict=True)]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return TrainHistories(
        torch.from_numpy(np.concatenate(rows)), torch.from_numpy(offsets), num_items
    )


def views_of(task: Task, batch: Batch, rng: torch.Generator) -> list[EncodingRequest]:
    """What a task asks for, in its order."""
    return list(task.requests(Step(batch, rng)).values())


def by_name(task: Task, encoded: ListOf[Tensor]) -> dict[str, Tensor]:
    """Tensors under the names by which a task asks for them, in its order."""
    names = {Intents: ("histories",), UserItem: ("users", "items"), Alignment: ("items",)}
    return dict(zip(names.get(type(task), ("a", "b", "negatives")), encoded, strict=False))


def loss_of(
    task: Task, encoded: ListOf[Tensor], batch: Batch, drawn: dict[str, Any] | None = None
) -> TaskLoss:
    """A task's loss of these tensors, in the order in which it asks for them."""
    return task.loss(by_name(task, encoded), Step(batch, generator(0), drawn or {}))


def diagnosis_of(
    task: Task, encoded: ListOf[Tensor], batch: Batch, drawn: dict[str, Any] | None = None
) -> dict[str, Tensor]:
    return task.diagnose(by_name(task, encoded), Step(batch, generator(0), drawn or {}))


def training_rows(train: TrainHistories, examples: Examples, max_length: int = 10) -> Rows:
    make = prefix_rows if examples == "prefixes" else window_rows
    return make(train, max_length)


def random_batch(train: TrainHistories, rows: Rows, size: int, seed: int) -> Batch:
    index = np.random.default_rng(seed).choice(len(rows), size, replace=False)
    return make_batch(train, rows, index, CPU)


def train_steps(
    model: SASRec,
    train: TrainHistories,
    examples: Examples,
    steps: int,
    size: int = 16,
    learning_rate: float = 1e-3,
) -> list[float]:
    """The loss of each step of Adam; seeded, dropout and views included."""
    rows = training_rows(train, examples)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    torch.manual_seed(1)
    rng = generator(2)
    model.train()
    losses = []
    for step in range(steps):
        total: Tensor = model.losses(random_batch(train, rows, size, step), rng).total
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(total.item())
    return losses


def cycles_understood(model: SASRec, train: TrainHistories, longest: int) -> float:
    """Share of cyclic_histories after which the model ranks the following item first."""
    ends, starts = train.offsets[1:].tolist(), train.offsets[:-1].tolist()
    histories = padded(
        [train.items[a:b].tolist() for a, b in zip(starts, ends, strict=True)], longest
    )
    best = model.eval().scores(histories)[:, 1:].argmax(dim=1) + 1
    following = train.items[train.offsets[1:] - 1] % train.num_items + 1
    return (best == following).double().mean().item()
