"""The arithmetic under the operators."""

from __future__ import annotations

import pytest
import torch

from augment.sequences import cut, random_below, window_size
from tests.histories import could_be_uniform, exact_floor, generator, padded

LENGTHS = torch.arange(1, 201)


@pytest.mark.parametrize(
    ("share", "length", "size"),
    [(0.3, 10, 3), (0.6, 5, 3), (0.1, 10, 1), (0.7, 90, 63), (0.29, 100, 29), (1 / 3, 3, 1)],
)
def test_a_window_is_not_a_rounding_error_short(share: float, length: int, size: int) -> None:
    assert window_size(torch.tensor([length]), share).tolist() == [size]


@pytest.mark.parametrize(("share", "length", "size"), [(0.3, 3, 0), (0.6, 1, 0), (0.999, 1, 0)])
def test_a_window_is_rounded_down(share: float, length: int, size: int) -> None:
    assert window_size(torch.tensor([length]), share).tolist() == [size]


def test_the_floor_is_exact_for_every_percentage_and_length() -> None:
    for percent in range(101):
        expected = [exact_floor(percent, length) for length in LENGTHS.tolist()]
        assert window_size(LENGTHS, percent / 100).tolist() == expected


@pytest.mark.parametrize("bound", [1, 2, 3, 7])
def test_random_below_takes_every_value_equally_often(bound: int) -> None:
    drawn = random_below(torch.full((5000,), bound), generator(0))
    assert drawn.min() >= 0
    assert could_be_uniform(drawn.bincount()) or bound == 1
    assert len(drawn.bincount()) == bound


def test_each_row_has_a_bound_of_its_own() -> None:
    bounds = torch.tensor([1, 2, 3] * 200)
    drawn = random_below(bounds, generator(0)).view(200, 3)
    assert drawn.amax(dim=0).tolist() == [0, 1, 2]


def test_cut_takes_slices_and_pads_them() -> None:
    flat = torch.tensor([11, 12, 13, 14, 15])
    slices = cut(flat, torch.tensor([1, 4, 0]), torch.tensor([2, 1, 4]), width=4)
    assert slices.tolist() == [[12, 13, 0, 0], [15, 0, 0, 0], [11, 12, 13, 14]]


def test_real_marks_everything_but_padding() -> None:
    seqs = padded([[1, 2], [3]], width=3)
    assert seqs.real().tolist() == [[True, True, False], [True, False, False]]
    assert (len(seqs), seqs.width) == (2, 3)
