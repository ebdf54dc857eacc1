"""A search's table: all its trials, the best first, and what was drawn for each."""

from __future__ import annotations

from typing import Any

from experiments.metric_names import VALID_NDCG10
from experiments.record.line import Line
from experiments.report.compare import table
from experiments.report.searches import search_sheet


def trial(number: int, status: str, valid: float, **drawn: Any) -> Line:
    axes = {"model": "m", "encoder.dropout": 0.3, **{f"contrast.{k}": v for k, v in drawn.items()}}
    values = {VALID_NDCG10: valid, "epochs": 9, "question": "?"}
    return Line("s", str(number), status, f"m search {number}", "beauty", 0, None, axes, values)


def test_trials_are_listed_by_validation_and_what_was_pruned_last() -> None:
    lines = [
        trial(
            0, "pruned", 0.09, weight=0.1, operators=["crop", {"operator": "mask", "ratio": 0.3}]
        ),
        trial(1, "finished", 0.05, weight=0.1),
        trial(2, "finished", 0.07, weight=0.2),
    ]
    found = search_sheet(table(lines))
    assert found.title == "s: beauty, trials of the search"
    assert found.columns == ("trial", "weight", "operators", "valid NDCG@10", "epochs")
    assert [[cell.text for cell in row] for row in found.rows] == [
        ["m search 2", "0.2", "", ".0700", "9"],
        ["m search 1", "0.1", "", ".0500", "9"],
        ["m search 0", "0.1", "[crop, mask(ratio=0.3)]", ".0900", "9, pruned"],
    ]
    assert found.notes[0] == "dropout: 0.3 in all."


def test_a_field_that_is_null_in_some_trials_and_absent_in_others_has_a_column() -> None:
    lines = [
        trial(0, "finished", 0.05, weight=0.1, momentum=None),
        trial(1, "finished", 0.07, weight=0.1),
    ]
    found = search_sheet(table(lines))
    assert found.columns == ("trial", "momentum", "valid NDCG@10", "epochs")
    assert [row[1].text for row in found.rows] == ["", "None"]
    assert found.notes[:2] == ("dropout: 0.3 in all.", "weight: 0.1 in all.")
