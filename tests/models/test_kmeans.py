"""k-means: against plain loops, on planted groups, and where there is little to cluster."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models import kmeans as module
from models.kmeans import kmeans
from tests.histories import generator

PLANTED = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
quiet = pytest.mark.filterwarnings("ignore:clusters. ")

small_points = st.lists(
    st.lists(st.integers(-4, 4).map(float), min_size=2, max_size=2), min_size=1, max_size=12
)


def planted(each: int = 25, noise: float = 0.5) -> tuple[Tensor, Tensor]:
    """Points around four corners, and the corner of each."""
    corner = torch.arange(4).repeat(each)
    drawn = torch.randn(len(corner), 2, generator=generator(1))
    return PLANTED[corner] + noise * drawn, corner


def lloyd_in_loops(points: list[list[float]], start: list[list[float]]) -> list[int]:
    """Assignments when nothing moves any more; no cluster may become empty."""
    centroids, before = start, None
    while True:
        nearest = [
            min(
                range(len(centroids)),
                key=lambda k: sum((p - c) ** 2 for p, c in zip(point, centroids[k], strict=True)),
            )
            for point in points
        ]
        if nearest == before:
            return nearest
        before = nearest
        centroids = []
        for k in range(len(start)):
            mine = [point for point, own in zip(points, nearest, strict=True) if own == k]
            centroids.append([sum(values) / len(mine) for values in zip(*mine, strict=True)])


@pytest.mark.parametrize("seed", range(5))
def test_planted_groups_are_found(seed: int) -> None:
    points, corner = planted()
    centroids, nearest = kmeans(points, 4, generator(seed))
    assert centroids.shape == (4, 2)
    for k in range(4):
        assert len(set(nearest[corner == k].tolist())) == 1
    distance = torch.cdist(PLANTED, centroids).amin(dim=1)
    assert distance.max() < 0.5


@pytest.mark.parametrize("block", [7, 4096])
def test_it_is_lloyd_s_algorithm(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    points = torch.rand(40, 2, generator=generator(3))
    start = points[:3].clone()
    centroids, nearest = kmeans(points, 3, generator(0), start, iterations=100)
    assert nearest.tolist() == lloyd_in_loops(points.tolist(), start.tolist())
    for k in range(3):
        torch.testing.assert_close(centroids[k], points[nearest == k].mean(dim=0))


@quiet
@given(rows=small_points, clusters=st.integers(1, 6), seed=st.integers(0, 99))
def test_every_cluster_has_a_point_and_there_are_as_many_as_can_be(
    rows: list[list[float]], clusters: int, seed: int
) -> None:
    points = torch.tensor(rows)
    before = points.clone()
    centroids, nearest = kmeans(points, clusters, generator(seed))
    distinct = len({tuple(row) for row in rows})
    assert len(centroids) == min(clusters, distinct)
    assert set(nearest.tolist()) == set(range(len(centroids)))
    assert centroids.isfinite().all()
    assert torch.equal(points, before)


@quiet
@given(rows=small_points, clusters=st.integers(1, 6), seed=st.integers(0, 99))
def test_a_start_anywhere_gives_as_many_clusters(
    rows: list[list[float]], clusters: int, seed: int
) -> None:
    points = torch.tensor(rows)
    start = torch.full((clusters, 2), 100.0) + torch.arange(clusters)[:, None]
    centroids, nearest = kmeans(points, clusters, generator(seed), start)
    assert len(centroids) == min(clusters, len({tuple(row) for row in rows}))
    assert set(nearest.tolist()) == set(range(len(centroids)))
    assert start[0, 0] == 100.0


def test_more_clusters_than_distinct_points_are_told() -> None:
    points = torch.tensor([[1.0], [1.0], [2.0]])
    with pytest.warns(UserWarning, match="clusters: 5 were asked for, 2 were found"):
        centroids, nearest = kmeans(points, 5, generator(0))
    assert sorted(centroids[:, 0].tolist()) == [1.0, 2.0]
    assert nearest[0] == nearest[1] != nearest[2]


def test_the_generator_alone_decides() -> None:
    points = torch.rand(200, 3, generator=generator(0))
    torch.manual_seed(1)
    first = kmeans(points, 8, generator(5))
    torch.manual_seed(2)
    second = kmeans(points, 8, generator(5))
    other = kmeans(points, 8, generator(6))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])


def test_a_settled_start_stays_and_its_numbers_too() -> None:
    points, _ = planted()
    centroids, nearest = kmeans(points, 4, generator(0))
    again, same = kmeans(points, 4, generator(9), start=centroids)
    torch.testing.assert_close(again, centroids)
    assert torch.equal(nearest, same)


def test_a_short_start_is_filled_up() -> None:
    points, corner = planted()
    _, nearest = kmeans(points, 4, generator(0), start=PLANTED[:2].clone())
    assert set(nearest[corner < 2].tolist()) == {0, 1}
    assert set(nearest.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("clusters", "start", "told"),
    [(0, None, "^clusters must be at least 1"), (1, PLANTED, "^start must have at most 1 rows")],
)
def test_impossible_numbers_are_named(clusters: int, start: Tensor | None, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        kmeans(PLANTED, clusters, generator(0), start)


@quiet
def test_points_without_a_number_are_refused() -> None:
    points = torch.tensor([[0.0], [float("nan")], [1.0]])
    start = torch.tensor([[0.0], [5.0], [9.0]])
    with pytest.raises(FloatingPointError, match="a representation is not finite"):
        kmeans(points, 3, generator(0), start)
