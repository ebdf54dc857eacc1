"""The notebook runs from its first cell to its last."""

from __future__ import annotations

import json
from typing import Any

import matplotlib
import pytest

from experiments.storage.files import REPOSITORY

NOTEBOOK = REPOSITORY / "experiments" / "docs" / "first_steps.ipynb"


def code_cells() -> list[dict[str, Any]]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_what_the_notebook_shows_was_run_in_this_order() -> None:
    assert [cell["execution_count"] for cell in code_cells()] == list(range(1, 7))
    assert all(
        output["output_type"] != "error" for cell in code_cells() for output in cell["outputs"]
    )


@pytest.mark.slow
def test_every_cell_of_the_notebook_runs() -> None:
    """On a smaller model, to be quick."""
    matplotlib.use("Agg")
    names: dict[str, Any] = {}
    for cell in code_cells():
        source = "".join(cell["source"])
        if "epochs" in source and "train(" in source:
            smaller = source.replace('"epochs": 2', '"epochs": 1, "encoder.dim": 16')
            source = smaller.replace('"encoder.max_length": 50', '"encoder.max_length": 10')
            assert source.count('"encoder.dim": 16') == source.count('_length": 10') == 1
        exec(compile(source, str(NOTEBOOK), "exec"), names)
    assert set(names["runs"]) == {"sasrec", "cl4srec"}
