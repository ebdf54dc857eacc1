"""Prefixes as positives and as what is clustered: ICSRec."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest
import torch

from augment import Sequences
from models.tasks import SameTarget, SubsequenceIntents
from tests.histories import generator, padded, real_items
from tests.models.tiny import (
    build_model,
    cyclic_histories,
    encoder_config,
    random_batch,
    training_rows,
)

TRAIN = cyclic_histories(users=25, num_items=6, longest=9)
ROWS = training_rows(TRAIN, "prefixes")

pytestmark = pytest.mark.filterwarnings("ignore:clusters. ")


def all_prefixes() -> list[tuple[int, int, list[int]]]:
    """Target, place of the target and prefix, user after user."""
    found = []
    for first, last in zip(TRAIN.offsets[:-1].tolist(), TRAIN.offsets[1:].tolist(), strict=True):
        items = TRAIN.items[first:last].tolist()
        found += [(items[n], first + n, items[:n][-10:]) for n in range(1, len(items))]
    return found


def positives(kind: Literal["other_row", "last_row"], seed: int) -> list[tuple[int, list[int]]]:
    """Where the targets stand, and the positive of each row."""
    (task,) = build_model(
        encoder_config("gru"), [SameTarget("it", positive=kind)], TRAIN
    ).contrastive_tasks()
    assert isinstance(task, SameTarget)
    batch = random_batch(TRAIN, ROWS, 30, seed=1)
    assert batch.target_at is not None
    found: Sequences = task.positives(batch, generator(seed))
    return list(zip(batch.target_at.tolist(), real_items(found), strict=True))


def test_the_last_row_is_the_last_of_the_target_that_is_not_the_rows_own() -> None:
    for at, found in positives("last_row", 0):
        (target,) = {one for one, place, _ in all_prefixes() if place == at}
        others = [row for one, place, row in all_prefixes() if one == target and place != at]
        assert found == others[-1]


def test_another_row_is_any_of_the_target_but_the_rows_own() -> None:
    seen: dict[int, set[tuple[int, ...]]] = {}
    for seed in range(200):
        for at, found in positives("other_row", seed):
            seen.setdefault(at, set()).add(tuple(found))
    for at, found_rows in seen.items():
        (target,) = {one for one, place, _ in all_prefixes() if place == at}
        others = {tuple(row) for one, place, row in all_prefixes() if one == target and place != at}
        assert found_rows <= others
        assert len(found_rows) > len(others) / 2


def test_rows_that_nobody_knows_are_refused() -> None:
    (task,) = build_model(
        encoder_config("gru"), [SameTarget("it", positive="last_row")], TRAIN
    ).contrastive_tasks()
    batch = replace(random_batch(TRAIN, ROWS, 4, seed=1), target_at=None)
    with pytest.raises(ValueError, match=r"^positive: last_row needs batches that know"):
        task.positives(batch, generator(0))  # type: ignore[operator]


def test_every_prefix_that_something_follows_is_clustered() -> None:
    model = build_model(encoder_config("self_attention", dropout=0.0), [], TRAIN).eval()
    from models.snapshot import Snapshot

    items = model.item_embedding.weight[1 : model.num_items + 1]
    snapshot = Snapshot(items, model.encode, TRAIN, 10)
    found = snapshot.prefixes("last", 10**6, generator(0))
    rows = [row for _, _, row in all_prefixes()]
    torch.testing.assert_close(found, model.encode(padded(rows), "last"))
    some = snapshot.prefixes("last", 20, generator(0))
    assert len(some) == 20
    assert all((found - one).abs().sum(dim=1).min() < 1e-5 for one in some)


@pytest.mark.parametrize(("coarse", "fine"), [(0.3, 0.1), (1.0, 0.0), (0.0, 1.0)])
def test_the_loss_is_the_weighted_sum_of_both_contrasts(coarse: float, fine: float) -> None:
    task = SubsequenceIntents("it", coarse_weight=coarse, fine_weight=fine, prototypes=4)
    model = build_model(encoder_config("gru", dropout=0.0), [task], TRAIN)
    model.start_epoch(1, generator(0))
    losses = model.train().losses(random_batch(TRAIN, ROWS, 12, seed=1), generator(0))
    parts: dict[str, Any] = {
        name: losses.metrics.get(f"contrast/it/{name}_loss", torch.zeros(()))
        for name in ("coarse", "fine")
    }
    assert (parts["coarse"] > 0) == (coarse > 0)
    assert (parts["fine"] > 0) == (fine > 0)
    expected = coarse * parts["coarse"] + fine * parts["fine"]
    torch.testing.assert_close(losses.parts["it"].detach(), expected)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"coarse_weight": 0.0, "fine_weight": 0.0}, "^coarse_weight and fine_weight are 0"),
        ({"fine_weight": -0.1}, "^fine_weight must be at least 0"),
        ({"prototypes": 1}, "^prototypes must be at least 2"),
        ({"prefixes_clustered": 0}, "^prefixes_clustered must be at least 1"),
        ({"momentum": 0.9}, "^momentum: 0.9 makes b a key"),
        ({"coarse_weight": 0.0, "head": "mlp"}, "^head: mlp is read by the coarse contrast alone"),
    ],
)
def test_a_field_out_of_range_is_named(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SubsequenceIntents(**fields)
