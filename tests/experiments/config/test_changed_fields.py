"""What a run's first lines and its name say was changed: what its reader has to know, no more."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.config.resolve import changed_fields, resolve


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {}),
        ({"seed": 3, "track.mode": "disabled"}, {}),
        ({"contrast.0.temperature": 0.3}, {"contrast.0.temperature": (0.3, 1.0)}),
        ({"encoder.kind": "gru"}, {"encoder.kind": ("gru", "self_attention")}),
        (
            {"split.kind": "temporal", "split.quantile": 0.8, "split.target": "last"},
            {"split.kind": ("temporal", "leave_one_out"), "split.quantile": (0.8, 0.9)},
        ),
        (
            {"next_item.loss": "sampled_softmax", "next_item.negatives": 7},
            {
                "next_item.loss": ("sampled_softmax", "cross_entropy"),
                "next_item.negatives": (7, 1024),
            },
        ),
    ],
)
def test_fields_that_come_with_another_kind_are_named_where_they_differ_from_it(
    given: dict[str, Any], changed: dict[str, Any]
) -> None:
    fields = [("model", "cl4srec"), ("dataset", "ml-100k"), *given.items()]
    assert changed_fields(resolve(None, fields)[0]) == changed
