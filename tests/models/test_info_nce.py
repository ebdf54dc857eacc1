"""InfoNCE against numbers worked out by hand, closed forms and plain Python loops."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.losses import alignment, cross_entropy, info_nce, uniformity
from models.losses.info_nce import Similarity, contrast_logits, partner_index

Vectors = list[list[float]]

numbers = st.integers(-30, 30).map(lambda tenths: tenths / 10)
temperatures = st.sampled_from([0.05, 0.2, 1.0, 5.0])
both_similarities = pytest.mark.parametrize("similarity", ["dot", "cosine"])


@st.composite
def view_pairs(draw: st.DrawFn) -> tuple[Vectors, Vectors, list[int]]:
    """Two views of one to four rows, and a label for each row."""
    batch, dim = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    vector = st.lists(numbers, min_size=dim, max_size=dim)
    view = st.lists(vector, min_size=batch, max_size=batch)
    labels = st.lists(st.integers(0, 2), min_size=batch, max_size=batch)
    return draw(view), draw(view), draw(labels)


def double(rows: Vectors) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def random_views(batch: int, dim: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    drawn = torch.randn(2, batch, dim, generator=torch.Generator().manual_seed(0)) * scale
    return drawn[0], drawn[1]


def same_rows(labels: list[int]) -> Tensor:
    """[B, B] bool: pairs of rows with the same label."""
    return torch.tensor([[mine == other for other in labels] for mine in labels])


# The cross-entropy under it ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logits", "labels", "each", "mean"),
    [
        (
            [[8.0, 1.0, 1.0], [2.0, 7.0, 1.0], [3.0, 4.0, 6.0]],  # over a temperature of 0.1
            [0, 1, 2],
            [0.0018, 0.0092, 0.1698],
            0.0603,
        ),
        ([[2.0, 1.0], [1.0, 3.0]], [0, 1], [0.3133, 0.1269], 0.2201),
        ([[2.0, 1.0, 0.1], [0.5, 2.5, 0.0]], [0, 1], [0.4170, 0.1967], 0.3069),
    ],
)
def test_golden_values(logits: Vectors, labels: list[int], each: list[float], mean: float) -> None:
    """With the identity as catalogue the states are the logits."""
    states, catalogue = torch.tensor(logits), torch.eye(len(logits[0]))
    targets = torch.tensor(labels)
    rows = [cross_entropy(states[i : i + 1], catalogue, targets[i : i + 1]) for i in labels]
    assert torch.stack(rows).tolist() == pytest.approx(each, abs=5e-5)
    assert cross_entropy(states, catalogue, targets).item() == pytest.approx(mean, abs=5e-5)


@given(x=st.floats(-50, 50))
def test_two_classes_are_the_binary_loss(x: float) -> None:
    two = cross_entropy(double([[x, 0.0]]), torch.eye(2).double(), torch.tensor([0]))
    binary = F.binary_cross_entropy_with_logits(double([[x]]), double([[1.0]]))
    assert two.item() == pytest.approx(binary.item(), abs=1e-12)


# Closed forms --------------------------------------------------------------------------------


@both_similarities
@pytest.mark.parametrize("batch", [1, 2, 3, 16, 200])
@pytest.mark.parametrize("fill", [0.0, 0.7])
def test_views_without_information_cost_a_guess_among_all_others(
    batch: int, fill: float, similarity: Similarity
) -> None:
    view = torch.full((batch, 4), fill)
    loss = info_nce(view, view, 0.2, similarity).item()
    assert loss == pytest.approx(math.log(2 * batch - 1), abs=1e-5)


@both_similarities
@pytest.mark.parametrize("batch", [1, 2, 5, 32])
@pytest.mark.parametrize("temperature", [0.01, 0.2, 1.0, 100.0])
def test_orthonormal_pairs_have_a_closed_form(
    batch: int, temperature: float, similarity: Similarity
) -> None:
    eye = torch.eye(batch)
    expected = math.log(1 + (2 * batch - 2) * math.exp(-1 / temperature))
    assert info_nce(eye, eye, temperature, similarity).item() == pytest.approx(expected, abs=1e-5)


def test_cosine_does_not_see_lengths_and_the_dot_product_does() -> None:
    a, b = random_views(4, 3)
    scaled = a * torch.tensor([[0.5], [1.0], [2.0], [7.0]])
    assert torch.allclose(info_nce(a, b, 0.5, "cosine"), info_nce(scaled, b, 0.5, "cosine"))
    assert not torch.allclose(info_nce(a, b, 0.5, "dot"), info_nce(scaled, b, 0.5, "dot"))


def test_a_single_row_has_nothing_to_confuse_it_with() -> None:
    a, b = random_views(1, 3)
    a.requires_grad_()
    loss = info_nce(a, b, 0.1)
    (grad,) = torch.autograd.grad(loss, a)
    assert loss.item() == 0.0
    assert grad.tolist() == [[0.0, 0.0, 0.0]]


# A reference in plain loops ------------------------------------------------------------------


def similarity_of(x: list[float], y: list[float], kind: Similarity) -> float:
    product = sum(p * q for p, q in zip(x, y, strict=True))
    if kind == "dot":
        return product
    return product / (max(math.hypot(*x), 1e-12) * max(math.hypot(*y), 1e-12))


def info_nce_in_loops(
    a: Vectors, b: Vectors, temperature: float, kind: Similarity, labels: list[int] | None
) -> float:
    views, batch = a + b, len(a)
    total = 0.0
    for i, anchor in enumerate(views):
        row, partner = i % batch, (i + batch) % (2 * batch)
        logits = {}
        for j, other in enumerate(views):
            left_out = labels is not None and j % batch != row and labels[j % batch] == labels[row]
            if j != i and not left_out:
                logits[j] = similarity_of(anchor, other, kind) / temperature
        peak = max(logits.values())
        denominator = sum(math.exp(logit - peak) for logit in logits.values())
        total -= logits[partner] - peak - math.log(denominator)
    return total / len(views)


@both_similarities
@given(pair=view_pairs(), temperature=temperatures)
def test_it_is_the_formula(
    similarity: Similarity, pair: tuple[Vectors, Vectors, list[int]], temperature: float
) -> None:
    a, b, _ = pair
    loss = info_nce(double(a), double(b), temperature, similarity).item()
    assert loss == pytest.approx(info_nce_in_loops(a, b, temperature, similarity, None), abs=1e-9)


@both_similarities
@given(pair=view_pairs(), temperature=temperatures)
def test_false_negatives_leave_the_denominator(
    similarity: Similarity, pair: tuple[Vectors, Vectors, list[int]], temperature: float
) -> None:
    a, b, labels = pair
    same = same_rows(labels)
    loss = info_nce(double(a), double(b), temperature, similarity, same).item()
    expected = info_nce_in_loops(a, b, temperature, similarity, labels)
    assert loss == pytest.approx(expected, abs=1e-9)


@both_similarities
@given(pair=view_pairs(), temperature=temperatures)
def test_the_views_may_be_swapped(
    similarity: Similarity, pair: tuple[Vectors, Vectors, list[int]], temperature: float
) -> None:
    a, b = double(pair[0]), double(pair[1])
    swapped = info_nce(b, a, temperature, similarity).item()
    assert swapped == pytest.approx(info_nce(a, b, temperature, similarity).item(), abs=1e-12)


# What is left out ----------------------------------------------------------------------------


def test_the_logits_leave_out_a_view_itself_and_the_rows_that_are_the_same() -> None:
    a, b = random_views(3, 2)
    logits = contrast_logits(a, b, 1.0, same=same_rows([7, 7, 8]))
    compared = logits.isfinite().int().tolist()
    assert compared == [
        [0, 0, 1, 1, 0, 1],
        [0, 0, 1, 0, 1, 1],
        [1, 1, 0, 1, 1, 1],
        [1, 0, 1, 0, 0, 1],
        [0, 1, 1, 0, 0, 1],
        [1, 1, 1, 1, 1, 0],
    ]
    assert partner_index(3, logits.device).tolist() == [3, 4, 5, 0, 1, 2]


@both_similarities
def test_rows_without_negatives_cost_nothing_and_have_no_gradient(similarity: Similarity) -> None:
    a, b = random_views(3, 2)
    a.requires_grad_()
    loss = info_nce(a, b, 0.01, similarity, same=torch.ones(3, 3, dtype=torch.bool))
    (grad,) = torch.autograd.grad(loss, a)
    assert loss.item() == 0.0
    assert grad.abs().max() == 0.0


@both_similarities
def test_a_row_without_negatives_drops_out_of_the_mean(similarity: Similarity) -> None:
    a, b = random_views(3, 2)
    a.requires_grad_()
    same = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 1]]).bool()  # row 0 has no negative
    loss = info_nce(a, b, 0.5, similarity, same)
    (grad,) = torch.autograd.grad(loss, a)
    without = info_nce(a[1:], b[1:], 0.5, similarity)
    assert loss.item() == pytest.approx(without.item(), rel=1e-6)
    assert grad.isfinite().all()
    assert grad[0].abs().max() == 0.0


# Numerics ------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [None, [0, 0, 1]])
def test_an_overflow_is_no_solved_contrast(labels: list[int] | None) -> None:
    a, b = (torch.full((3, 2), 1e20) for _ in range(2))
    same = None if labels is None else same_rows(labels)
    assert not info_nce(a, b, 1.0, same=same).isfinite()


@both_similarities
@pytest.mark.parametrize("labels", [None, [0, 0, 1, 2]])
def test_the_gradient_is_the_derivative(similarity: Similarity, labels: list[int] | None) -> None:
    a, b = (view.double().requires_grad_() for view in random_views(4, 3))
    same = None if labels is None else same_rows(labels)
    assert torch.autograd.gradcheck(lambda x, y: info_nce(x, y, 0.5, similarity, same), (a, b))


@both_similarities
@pytest.mark.parametrize("temperature", [1e-3, 1e-2, 1e4])
def test_any_temperature_is_finite_in_single_precision(
    similarity: Similarity, temperature: float
) -> None:
    a, b = random_views(16, 64)  # norms of 8, as layer-normalised states have at d = 64
    a.requires_grad_()
    loss = info_nce(a, b, temperature, similarity)
    (grad,) = torch.autograd.grad(loss, a)
    assert loss.isfinite()
    assert grad.isfinite().all()


# The representation space --------------------------------------------------------------------


def unit(x: list[float]) -> list[float]:
    norm = max(math.hypot(*x), 1e-12)
    return [value / norm for value in x]


def squared_distance(x: list[float], y: list[float]) -> float:
    return sum((p - q) ** 2 for p, q in zip(unit(x), unit(y), strict=True))


@given(pair=view_pairs())
def test_alignment_is_the_mean_squared_distance_on_the_sphere(
    pair: tuple[Vectors, Vectors, list[int]],
) -> None:
    a, b, _ = pair
    expected = sum(squared_distance(x, y) for x, y in zip(a, b, strict=True)) / len(a)
    assert alignment(double(a), double(b)).item() == pytest.approx(expected, abs=1e-9)


@given(pair=view_pairs())
def test_uniformity_is_the_log_mean_potential_of_all_pairs(
    pair: tuple[Vectors, Vectors, list[int]],
) -> None:
    view = pair[0]
    pairs = [(x, y) for i, x in enumerate(view) for y in view[:i]]
    potentials = [math.exp(-2 * squared_distance(x, y)) for x, y in pairs]
    expected = math.log(sum(potentials) / len(potentials)) if potentials else 0.0
    assert uniformity(double(view)).item() == pytest.approx(expected, abs=1e-9)


def test_alignment_goes_from_0_for_one_direction_to_4_for_opposites() -> None:
    a, _ = random_views(5, 3)
    assert alignment(a, 3 * a).item() == pytest.approx(0.0, abs=1e-6)
    assert alignment(a, -a).item() == pytest.approx(4.0, abs=1e-5)


def test_uniformity_of_coinciding_orthogonal_and_opposite_rows() -> None:
    assert uniformity(torch.ones(4, 3)).item() == 0.0
    assert uniformity(torch.eye(6)).item() == pytest.approx(-4.0, abs=1e-5)
    assert uniformity(torch.tensor([[1.0], [-1.0]])).item() == pytest.approx(-8.0, abs=1e-5)
    assert uniformity(torch.ones(1, 3)).item() == 0.0
