"""The first steps of every preset give the losses that were recorded of it, dropout and views
included: a change of code that shall change no number is held to that."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.config.presets import preset_tree, presets
from experiments.config.run_config import config_from_tree
from models.encoders import ENCODERS
from tests.histories import generator
from tests.models.tiny import Examples, build_model, cyclic_histories, encoder_config, train_steps

RECORD = Path(__file__).with_name("first_steps.json")
UNTIMED = cyclic_histories(users=40, num_items=13, longest=14)
TIMES = torch.arange(len(UNTIMED.items)) * 7 + UNTIMED.items % 5
EXAMPLES: tuple[Examples, ...] = ("prefixes", "windows")

pytestmark = pytest.mark.filterwarnings("ignore:clusters. ")  # more than there are users here


def first_steps(preset: str, examples: Examples) -> list[float]:
    """Three steps after the start of a second epoch, on a tiny encoder.

    Only [mask]'s and the tasks' own weights may differ between presets.
    """
    tree = preset_tree(preset)
    fields: dict[str, Any] = {key: tree[key] for key in ("contrast", "next_item") if key in tree}
    if examples == "prefixes" and "augment" in tree:
        fields["augment"] = tree["augment"]
    config = config_from_tree(fields)
    reads_times = any("time_" in str(task) for task in fields["contrast"])
    train = replace(UNTIMED, times=TIMES) if reads_times else UNTIMED
    kind = tree.get("encoder", {}).get("kind", "self_attention")
    model = build_model(
        encoder_config(kind), config.contrast, train, 0, config.next_item, config.augment
    )
    model.start_epoch(2, generator(0))
    return train_steps(model, train, examples, steps=3)


def recorded() -> dict[str, list[float]]:
    found: dict[str, list[float]] = json.loads(RECORD.read_text())
    return found


def test_a_record_is_of_a_preset() -> None:
    names = {f"{preset}/{examples}" for preset in presets() for examples in EXAMPLES}
    assert recorded().keys() <= names


@pytest.mark.parametrize("name", list(recorded()))
def test_the_first_steps_are_those_recorded(name: str) -> None:
    preset, _, examples = name.rpartition("/")
    assert first_steps(preset, examples) == pytest.approx(recorded()[name], rel=1e-6)  # type: ignore[arg-type]


def record() -> None:
    """Write what the code says now: `python -c "...test_first_steps import record; record()"`."""
    known = recorded() if RECORD.exists() else {}
    for preset in presets():
        encoder = ENCODERS[preset_tree(preset).get("encoder", {}).get("kind", "self_attention")]
        for examples in EXAMPLES if encoder.causal else EXAMPLES[:1]:
            name = f"{preset}/{examples}"
            known.setdefault(name, first_steps(preset, examples))
    lines = [f"  {json.dumps(name)}: {json.dumps(known[name])}" for name in sorted(known)]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n")
