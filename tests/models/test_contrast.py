"""Every axis of the contrast against plain loops over rows, and against closed forms."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.losses.contrast import binary_nce, debiased, decoupled, multi_positive
from models.losses.info_nce import info_nce
from models.losses.negatives import agree, hardest, importance, in_batch, plain_weight

Table = list[list[float]]
Mask = list[list[bool]]
Objective = Any

tenths = st.integers(-30, 30).map(lambda value: value / 10)


@st.composite
def comparisons(draw: st.DrawFn) -> tuple[Table, Mask, Mask]:
    """Logits, positives (one a row or more) and negatives (any number) of up to four anchors."""
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    logits = [[draw(tenths) for _ in range(columns)] for _ in range(rows)]
    kinds = [[draw(st.sampled_from("pnnn-")) for _ in range(columns)] for _ in range(rows)]
    for row in kinds:
        row[draw(st.integers(0, columns - 1))] = "p"
    positive = [[kind == "p" for kind in row] for row in kinds]
    return logits, positive, [[kind == "n" for kind in row] for row in kinds]


def pick(values: list[float], mask: list[bool]) -> list[float]:
    return [value for value, chosen in zip(values, mask, strict=True) if chosen]


def in_loops(
    kind: str,
    logits: Table,
    positive: Mask,
    negative: Mask,
    hard_k: int = 0,
    beta: float = 0.0,
    tau_plus: float = 0.0,
    temperature: float = 1.0,
) -> float:
    """The mean over anchors with a negative of their losses, anchor by anchor."""
    losses = []
    for row, plus, minus in zip(logits, positive, negative, strict=True):
        same, others = pick(row, plus), sorted(pick(row, minus), reverse=True)
        others = others[:hard_k] if hard_k else others
        if not others:
            continue
        share = [math.exp(beta * s) for s in others]
        weights = [w * len(others) / sum(share) for w in share]
        negatives = sum(w * math.exp(s) for w, s in zip(weights, others, strict=True))
        positives = sum(math.exp(s) for s in same)
        loss = 0.0
        for s in same:
            if kind == "info_nce":
                loss -= math.log(math.exp(s) / (positives + negatives))
            elif kind == "decoupled":
                loss -= math.log(math.exp(s) / negatives)
            elif kind == "debiased":
                mean = negatives / len(others)
                least = (mean - tau_plus * math.exp(s)) / (1 - tau_plus)
                g = len(others) * max(least, math.exp(-1 / temperature))
                loss -= math.log(math.exp(s) / (math.exp(s) + g))
            else:
                loss += math.log(1 + math.exp(-s))
        loss /= len(same)
        if kind == "binary":
            terms = [w * math.log(1 + math.exp(s)) for w, s in zip(weights, others, strict=True)]
            loss += sum(terms) / len(others)
        losses.append(loss)
    return sum(losses) / len(losses) if losses else 0.0


def double(rows: Table) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def computed(
    kind: str, logits: Tensor, positive: Mask, negative: Mask, hard_k: int = 0, beta: float = 0.0
) -> Tensor:
    chosen = torch.tensor(negative)
    weight = plain_weight(hardest(logits, chosen, hard_k) if hard_k else chosen)
    weight = importance(logits, weight, beta) if beta else weight
    functions: dict[str, Objective] = {
        "info_nce": multi_positive,
        "decoupled": decoupled,
        "binary": binary_nce,
    }
    loss: Tensor = functions[kind](logits, torch.tensor(positive), weight)
    return loss


every_kind = pytest.mark.parametrize("kind", ["info_nce", "decoupled", "binary"])


@every_kind
@given(case=comparisons())
def test_it_is_the_formula(kind: str, case: tuple[Table, Mask, Mask]) -> None:
    logits, positive, negative = case
    for hard_k, beta in product([0, 1, 2, 9], [0.0, 0.5, 2.0]):
        loss = computed(kind, double(logits), positive, negative, hard_k, beta).item()
        expected = in_loops(kind, logits, positive, negative, hard_k, beta)
        assert loss == pytest.approx(expected, abs=1e-9), (hard_k, beta)


@pytest.mark.parametrize("tau_plus", [0.0, 0.01, 0.1, 0.9])
@pytest.mark.parametrize("beta", [0.0, 1.0])
@given(case=comparisons(), temperature=st.sampled_from([0.4, 1.0]))
def test_debiased_is_the_formula(
    tau_plus: float, beta: float, temperature: float, case: tuple[Table, Mask, Mask]
) -> None:
    logits, positive, negative = case
    positive = [[flag and j == row.index(True) for j, flag in enumerate(row)] for row in positive]
    table, weight = double(logits), plain_weight(torch.tensor(negative))
    weight = importance(table, weight, beta) if beta else weight
    loss = debiased(table, torch.tensor(positive), weight, tau_plus, temperature).item()
    expected = in_loops(
        "debiased",
        logits,
        positive,
        negative,
        beta=beta,
        tau_plus=tau_plus,
        temperature=temperature,
    )
    assert loss == pytest.approx(expected, abs=1e-9)


@every_kind
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_the_gradient_is_the_derivative_even_where_an_anchor_has_no_negative(
    kind: str, beta: float
) -> None:
    logits = double([[0.3, -1.0, 2.0], [0.5, 0.1, -0.4], [1.0, 2.0, 3.0]]).requires_grad_()
    positive = [[True, False, False], [True, True, False], [False, False, True]]
    negative = [[False, True, True], [False, False, True], [False, False, False]]
    assert torch.autograd.gradcheck(
        lambda x: computed(kind, x, positive, negative, beta=beta), logits
    )


def test_the_debiased_gradient_is_the_derivative_above_and_at_the_floor() -> None:
    logits = double([[0.9, 0.8, 0.7], [0.9, -0.9, -0.8], [0.1, 0.2, 0.3]]).requires_grad_()
    positive = torch.tensor([[True, False, False]] * 3)
    weight = plain_weight(torch.tensor([[False, True, True]] * 2 + [[False] * 3]))
    assert torch.autograd.gradcheck(
        lambda x: debiased(x, positive, weight, 0.3, torch.tensor(1.0).double()), logits
    )


@pytest.mark.parametrize("temperature", [0.01, 0.02, 1.0])
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_every_objective_is_finite_in_single_precision(temperature: float, beta: float) -> None:
    """At 0.01 a cosine of 1 is a logit of 100, whose exponential single precision cannot hold."""
    cosine = torch.tensor([[1.0, 1.0, -1.0], [-1.0, 1.0, 1.0], [1.0, -1.0, -1.0]])
    logits = (cosine / temperature).requires_grad_()
    positive = torch.tensor([[True, False, False]] * 3)
    weight = plain_weight(~positive)
    weight = importance(logits, weight, beta) if beta else weight
    for loss in (
        multi_positive(logits, positive, weight),
        decoupled(logits, positive, weight),
        binary_nce(logits, positive, weight),
        debiased(logits, positive, weight, 0.1, temperature),
    ):
        (grad,) = torch.autograd.grad(loss, logits, retain_graph=True)
        assert loss.isfinite()
        assert grad.isfinite().all()


# Closed forms --------------------------------------------------------------------------------


def views(rows: int) -> tuple[Tensor, Tensor]:
    drawn = torch.randn(2, rows, 3, generator=torch.Generator().manual_seed(0)).double()
    return drawn[0], drawn[1]


@pytest.mark.parametrize("labels", [None, [0, 0, 1, 2]])
def test_one_positive_against_all_others_is_the_quick_info_nce(labels: list[int] | None) -> None:
    a, b = views(4)
    same = None if labels is None else agree(*[torch.tensor(labels)[:, None]] * 2)
    logits = torch.cat([a, b]) @ torch.cat([a, b]).T / 0.7
    positive, negative = in_batch(4, same, None, False, logits.device)
    loss = multi_positive(logits, positive, plain_weight(negative))
    torch.testing.assert_close(loss, info_nce(a, b, 0.7, "dot", same))


def test_info_nce_is_decoupled_plus_the_positive_s_share() -> None:
    """lse(p, n) - p = softplus(lse(n) - p)."""
    logits = double([[0.3, -1.0, 2.0]])
    positive = torch.tensor([[True, False, False]])
    weight = plain_weight(~positive)
    one = decoupled(logits, positive, weight)
    expected = torch.nn.functional.softplus(one)
    torch.testing.assert_close(multi_positive(logits, positive, weight), expected)


def test_without_information_binary_nce_costs_two_coins() -> None:
    positive, negative = in_batch(5, None, None, False, torch.device("cpu"))
    loss = binary_nce(torch.zeros(10, 10), positive, plain_weight(negative))
    assert loss.item() == pytest.approx(2 * math.log(2))


def test_debiased_with_no_hidden_positives_is_info_nce() -> None:
    logits = double([[0.3, -0.4, 0.9, 0.1]])
    positive = torch.tensor([[True, False, False, False]])
    weight = plain_weight(~positive)
    plain = multi_positive(logits, positive, weight)
    torch.testing.assert_close(debiased(logits, positive, weight, 0.0, 1.0), plain)


def test_no_anchor_with_a_negative_costs_nothing() -> None:
    logits = double([[5.0, 1.0]])
    positive = torch.tensor([[True, False]])
    weight = plain_weight(torch.tensor([[False, False]]))
    for loss in (
        multi_positive(logits, positive, weight),
        decoupled(logits, positive, weight),
        binary_nce(logits, positive, weight),
        debiased(logits, positive, weight, 0.1, 1.0),
    ):
        assert loss.item() == 0.0


# Which and how much ---------------------------------------------------------------------------


def test_the_hardest_are_the_most_similar_negatives_and_no_others() -> None:
    logits = torch.tensor([[9.0, 1.0, 3.0, 2.0], [9.0, 1.0, 3.0, 2.0]])
    negative = torch.tensor([[False, True, True, True], [False, True, False, False]])
    chosen = hardest(logits, negative, 2)
    assert chosen.int().tolist() == [[0, 0, 1, 1], [0, 1, 0, 0]]


def test_importance_has_mean_1_and_grows_with_similarity() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, 50.0]])
    weight = plain_weight(torch.tensor([[True, True, True, False]]))
    weights = importance(logits, weight, 1.0).exp()[0]
    expected = [3 * math.exp(s) / (1 + math.e + math.e**2) for s in (0, 1, 2)]
    assert weights.tolist() == pytest.approx([*expected, 0.0], rel=1e-5)


def test_masks_of_three_rows_two_of_which_are_the_same() -> None:
    same = agree(*[torch.tensor([[7], [7], [8]])] * 2)
    device = torch.device("cpu")
    positive, negative = in_batch(3, same, None, False, device)
    assert positive.int().tolist()[0] == [0, 0, 0, 1, 0, 0]
    assert negative.int().tolist()[0] == [0, 0, 1, 0, 0, 1]
    positive, negative = in_batch(3, same, None, True, device)
    assert positive.int().tolist()[0] == [0, 1, 0, 1, 1, 0]
    assert negative.int().tolist()[5] == [1, 1, 0, 1, 1, 0]
    positive, negative = in_batch(3, None, same, False, device)
    assert negative.int().tolist()[0] == [0, 1, 0, 0, 1, 0]
    assert negative.int().tolist()[2] == [0, 0, 0, 0, 0, 0]


def test_rows_agree_when_any_label_does_and_never_without_labels() -> None:
    labels = torch.tensor([[1, 5], [1, 6], [2, 6]])
    assert agree(labels, labels).int().tolist() == [[1, 1, 0], [1, 1, 1], [0, 1, 1]]
    assert not agree(labels[:, :0], labels[:, :0]).any()


@pytest.mark.parametrize("objective", [multi_positive, decoupled, binary_nce])
def test_weights_that_overflow_are_no_anchors_without_negatives(objective: Objective) -> None:
    logits, positive = torch.full((2, 3), 1e38), torch.eye(2, 3).bool()
    weight = importance(logits, plain_weight(~positive), 10.0)
    assert not objective(logits, positive, weight).isfinite()
