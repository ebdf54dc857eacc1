"""What an operator returns is looked at, so that a mistake of its author is one line."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from augment import MASK, Sequences
from augment.views import draw_two_views
from augment.well_formed import OperatorError, applied, malformed
from tests.histories import generator, padded

HISTORIES = padded([[3, 1, 4], [1, 5], [2]])


class Returning:
    """An operator that returns what it is told to."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __call__(self, seqs: Sequences, rng: torch.Generator) -> Any:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (None, "a NoneType"),
        (HISTORIES.items, "a Tensor"),
        (padded([[1], [2]]), r"items \[2, 1\] and lengths \[2\]"),
        (Sequences(HISTORIES.items, HISTORIES.lengths[:2]), r"items \[3, 3\] and lengths \[2\]"),
        (Sequences(HISTORIES.items[0], HISTORIES.lengths), r"items \[3\] and lengths \[3\]"),
        (replace(HISTORIES, items=HISTORIES.items.double()), "items of torch.float64"),
        (replace(HISTORIES, lengths=[3, 2, 1]), "lengths of list"),  # type: ignore[arg-type]
        (replace(HISTORIES, times=torch.zeros(3, 9)), r"times .* \[3, 3\], got \[3, 9\]"),
    ],
)
def test_anything_but_as_many_histories_is_told(answer: Any, got: str) -> None:
    with pytest.raises(OperatorError, match=rf"^Returning has to return .*{got}"):
        applied(Returning(answer), HISTORIES, generator(0))


@pytest.mark.parametrize("draw", ["with_replacement", "chained"])
def test_every_way_of_drawing_tells_it(draw: Any) -> None:
    with pytest.raises(OperatorError, match=r"^Returning has to return"):
        draw_two_views(HISTORIES, [Returning(None)], draw, generator(0))


@pytest.mark.parametrize(
    ("items", "lengths", "row", "told"),
    [
        ([[1, 2, 3], [0, 0, 0]], [3, 0], 1, r"length is 0; right is 1 to 3"),
        ([[1, 2, 3], [4, 0, 0]], [4, 1], 0, r"length is 4; right is 1 to 3"),
        ([[1, 2, 3], [4, 5, 0]], [3, 1], 1, r"length is 1, and only padding \(0\) may follow"),
        ([[1, 2, 9], [4, 0, 0]], [3, 1], 0, r"item 9 is unknown; items are 1 to 8"),
        ([[1, 2, 8], [-2, 0, 0]], [3, 1], 1, r"item -2 is unknown"),
    ],
)
def test_the_first_row_that_is_no_history_is_found(
    items: list[list[int]], lengths: list[int], row: int, told: str
) -> None:
    found = malformed(Sequences(torch.tensor(items), torch.tensor(lengths)), 8, longest=50)
    assert found is not None
    assert found[0] == row
    assert re.search(told, found[1])


def test_a_history_has_at_most_the_items_that_the_encoder_reads() -> None:
    told = "its length is 3; right is 1 to 2, `max_length`"
    assert malformed(HISTORIES, 8, longest=3) is None
    assert malformed(HISTORIES, 8, longest=2) == (0, told)


def test_hidden_items_are_well_formed_and_so_is_padding_inside() -> None:
    """Official codes of CoSeRec and ICLRec mask with padding, and tasks may want to do the same."""
    assert malformed(padded([[MASK, 2], [8]]), 8, longest=50) is None
    assert malformed(padded([[3, 0, 1], [8]]), 8, longest=50) is None
