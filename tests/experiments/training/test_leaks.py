"""Held-out items decide nothing but the metrics: not what is mined, and not what is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.config.presets import presets
from tests.experiments.small_data import (
    ATTRIBUTES,
    ITEMS,
    NEED_TIMES,
    SMALL,
    planted,
    train,
    write_text,
    write_timed,
    write_timed_text,
)

USERS = planted()
OTHERS = [[*items[:-2], *((item + 6) % ITEMS + 1 for item in items[-2:])] for items in USERS]
"""Other validation and test items.  Every item is in some training history either way."""
SPLITS = {
    "time": ("temporal", "--split.quantile=0.8", "--split.validation_quantile=0.8"),
    "users": ("temporal", "--split.quantile=0.7", "--split.validation=users"),
    "last_train_item": ("temporal", "--split.quantile=0.7", "--split.validation=last_train_item"),
    "files": ("files",),
}


def test_the_held_out_items_differ_and_the_catalogue_does_not() -> None:
    assert all(a[-1] != b[-1] and a[-2] != b[-2] for a, b in zip(USERS, OTHERS, strict=True))
    assert {item for items in USERS for item in items[:-2]} == set(range(1, ITEMS + 1))


def of_both(folder: Path, *arguments: str) -> tuple[list[bytes], list[dict[str, Any]]]:
    """Weights and metrics of the runs on the data in folder/one and folder/other."""
    weights, metrics = [], []
    for name in ("one", "other"):
        (folder / name / "planted_item2attributes.json").write_text(ATTRIBUTES)
        found = train(folder / name, folder / name / "run", "--track.mode=disabled", *arguments)
        weights.append((folder / name / "run" / "model.safetensors").read_bytes())
        metrics.append(found["metrics"])
    return weights, metrics


@pytest.mark.parametrize("model", [*presets(), "popularity"])
def test_other_held_out_items_leave_the_same_model(model: str, tmp_path: Path) -> None:
    epochs = () if model == "popularity" else ("--epochs=1", *SMALL)
    for name, users in (("one", USERS), ("other", OTHERS)):
        write = write_timed_text if model in NEED_TIMES else write_text
        write(tmp_path / name, "planted", users)
    weights, metrics = of_both(tmp_path, f"--model={model}", *epochs)
    assert weights[0] == weights[1]
    assert metrics[0] != metrics[1]


@pytest.mark.parametrize("model", ["popularity", "coserec", "duorec", "iclrec", "same-user"])
@pytest.mark.parametrize("split", SPLITS)
def test_other_items_after_the_cut_leave_the_same_model(
    model: str, split: str, tmp_path: Path
) -> None:
    """`coserec` mines correlations, `duorec` same targets, `iclrec` clusters."""
    kind, *fields = SPLITS[split]
    for name, users in (("one", USERS), ("other", OTHERS)):
        write_timed(tmp_path / name, users)
        if kind == "files":
            (tmp_path / name / "planted.inter").unlink()
    epochs = () if model == "popularity" else ("--epochs=1", *SMALL)
    weights, metrics = of_both(
        tmp_path, f"--model={model}", f"--split.kind={kind}", *fields, *epochs
    )
    assert weights[0] == weights[1]
    assert metrics[0]["test"] != metrics[1]["test"]
