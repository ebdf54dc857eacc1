"""In-batch softmax against plain loops and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.losses.in_batch import in_batch_logits, in_batch_softmax
from tests.histories import generator


def random_rows(count: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    one, other = torch.randn(2, count, 4, generator=generator(seed), dtype=torch.float64)
    return one, other


def plain_loss(
    anchors: Tensor, items: Tensor, temperature: float, log_q: list[float], false_negatives: Tensor
) -> float:
    """The definition, row by row."""
    total = 0.0
    for i in range(len(anchors)):
        scores = {
            j: float(anchors[i] @ items[j]) / temperature - log_q[j]
            for j in range(len(items))
            if i == j or not false_negatives[i, j]
        }
        total -= scores[i] - math.log(sum(math.exp(score) for score in scores.values()))
    return total / len(anchors)


def test_it_is_the_plain_loop() -> None:
    one, other = random_rows()
    log_q = torch.tensor([0.1, 0.5, 0.2, 0.9, 0.01], dtype=torch.float64).log()
    false_negatives = torch.rand(5, 5, generator=generator(1)) < 0.4
    found = in_batch_softmax(in_batch_logits(one, other, 0.7, "dot", log_q, false_negatives))
    expected = plain_loss(one, other, 0.7, log_q.tolist(), false_negatives)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_without_information_the_loss_is_ln_n() -> None:
    zero = torch.zeros(6, 3)
    assert in_batch_softmax(in_batch_logits(zero, zero, 1.0)).item() == pytest.approx(math.log(6))


@pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0])
def test_orthonormal_pairs_have_a_closed_form(temperature: float) -> None:
    eye = torch.eye(4, dtype=torch.float64)
    expected = math.log(1 + 3 * math.exp(-1 / temperature))
    found = in_batch_softmax(in_batch_logits(eye, eye, temperature))
    assert found.item() == pytest.approx(expected)


def test_an_equal_log_q_changes_nothing() -> None:
    one, other = random_rows()
    plain = in_batch_softmax(in_batch_logits(one, other, 1.0))
    shifted = in_batch_logits(one, other, 1.0, log_q=torch.full((5,), -3.0))
    torch.testing.assert_close(in_batch_softmax(shifted), plain)


def test_cosine_is_dot_of_unit_rows() -> None:
    one, other = random_rows()
    units = [some / some.norm(dim=1, keepdim=True) for some in (one, other)]
    torch.testing.assert_close(
        in_batch_logits(one, other, 0.2, "cosine"), in_batch_logits(*units, 0.2, "dot")
    )


def test_rows_that_do_not_count_have_neither_loss_nor_gradient() -> None:
    one, other = random_rows()
    one.requires_grad_()
    counted = torch.tensor([True, False, True, True, False])
    loss = in_batch_softmax(in_batch_logits(one, other, 1.0, false_negatives=~counted), counted)
    (grad,) = torch.autograd.grad(loss, one)
    alone = in_batch_softmax(in_batch_logits(one[counted], other[counted], 1.0))
    torch.testing.assert_close(loss, alone)
    assert grad[~counted].abs().max() == 0


def test_where_nothing_counts_the_loss_is_0_and_so_is_its_gradient() -> None:
    one, other = random_rows()
    one.requires_grad_()
    nobody = torch.zeros(5, dtype=torch.bool)
    loss = in_batch_softmax(in_batch_logits(one, other, 1.0, false_negatives=~nobody), nobody)
    (grad,) = torch.autograd.grad(loss, one)
    assert loss == 0
    assert grad.abs().max() == 0


def test_with_every_row_its_own_negatives_left_out_the_loss_is_0() -> None:
    one, other = random_rows()
    everyone = torch.ones(5, 5, dtype=torch.bool)
    assert in_batch_softmax(in_batch_logits(one, other, 1.0, false_negatives=everyone)) == 0
