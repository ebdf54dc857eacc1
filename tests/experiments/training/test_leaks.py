"""Held-out items decide nothing but the metrics: not what is mined, and not what is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.config.resolve import presets
from tests.experiments.small_data import ATTRIBUTES, ITEMS, SMALL, planted, train, write_text

USERS = planted()
OTHERS = [[*items[:-2], *((item + 6) % ITEMS + 1 for item in items[-2:])] for items in USERS]
"""Other validation and test items.  Every item is in some training history either way."""


def test_the_held_out_items_differ_and_the_catalogue_does_not() -> None:
    assert all(a[-1] != b[-1] and a[-2] != b[-2] for a, b in zip(USERS, OTHERS, strict=True))
    assert {item for items in USERS for item in items[:-2]} == set(range(1, ITEMS + 1))


@pytest.mark.parametrize("model", [*presets(), "popularity"])
def test_other_held_out_items_leave_the_same_model(model: str, tmp_path: Path) -> None:
    epochs = () if model == "popularity" else ("--epochs=1", *SMALL)
    weights, metrics = [], []
    for name, users in (("one", USERS), ("other", OTHERS)):
        write_text(tmp_path / name, "planted", users)
        (tmp_path / name / "planted_item2attributes.json").write_text(ATTRIBUTES)
        found = train(
            tmp_path / name,
            tmp_path / name / "run",
            f"--model={model}",
            "--track.mode=disabled",
            *epochs,
        )
        weights.append((tmp_path / name / "run" / "model.safetensors").read_bytes())
        metrics.append(found["metrics"])
    assert weights[0] == weights[1]
    assert metrics[0] != metrics[1]
