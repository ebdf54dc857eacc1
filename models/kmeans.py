"""k-means: which few points stand for all of them?"""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from models.ranges import check_count

BLOCK = 4096  # points compared with all centroids at once


def kmeans(
    points: Tensor,
    clusters: int,
    rng: Generator,
    start: Tensor | None = None,
    iterations: int = 20,
) -> tuple[Tensor, Tensor]:
    """Centroids near which all points lie, and the centroid of each point.

    Lloyd's algorithm (1982) from the seeds of k-means++ (Arthur & Vassilvitskii 2007), which
    rng draws.  20 iterations are what ICLRec's code runs.

    points:   [N, d]; N >= 1.
    clusters: at most this many, and no more than there are distinct points: then a warning
              tells the number.
    start:    [k, d] centroids to begin from, such as those of an epoch ago; where k is less
              than `clusters`, seeds are drawn for the rest.
    Returns ([K, d], [N] int64): every centroid is the mean of its points when the iterations
    settled, and has at least one.  A centroid that lost all points moves to the point that lies
    furthest from its own, so equal calls give equal results.
    """
    check_count("clusters", clusters)
    if start is not None and len(start) > clusters:
        raise ValueError(f"start must have at most {clusters} rows, got {len(start)}")
    if not points.isfinite().all():
        raise FloatingPointError("a representation is not finite, so nothing can be clustered")
    centroids = seeds(points, clusters, rng, start)
    nearest = assign_all(points, centroids)
    for _ in range(iterations):
        centroids = means(points, nearest, centroids)
        before, nearest = nearest, assign_all(points, centroids)
        if torch.equal(nearest, before):
            break
    kept, nearest = torch.unique(nearest, return_inverse=True)
    if len(kept) < clusters:
        warnings.warn(
            f"clusters: {clusters} were asked for, {len(kept)} were found: there are not more "
            "distinct points",
            stacklevel=2,
        )
    return centroids[kept], nearest


def seeds(points: Tensor, clusters: int, rng: Generator, start: Tensor | None) -> Tensor:
    """[k, d]: `start`, then points drawn with probability ~ squared distance to the nearest."""
    chosen = [] if start is None else list(start)
    distance = points.new_full((len(points),), float("inf"))
    for centroid in chosen:
        distance = distance.minimum(squared_distance(points, centroid))
    while len(chosen) < clusters:
        weight = distance if chosen else torch.ones_like(distance)
        if weight.max() == 0:
            break
        running = weight.double().cumsum(dim=0)  # multinomial ends at 2^24 points
        at = torch.rand((), dtype=torch.float64, generator=rng, device=rng.device) * running[-1]
        chosen.append(
            points[torch.searchsorted(running, at, right=True).clamp(max=len(points) - 1)]
        )
        distance = distance.minimum(squared_distance(points, chosen[-1]))
    return torch.stack(chosen)


def squared_distance(points: Tensor, centroid: Tensor) -> Tensor:
    """[N, d] and [d] (or [N, d]) to [N]; exactly 0 where they coincide."""
    return (points - centroid).square().sum(dim=1)


def squared_distances(points: Tensor, centroids: Tensor) -> Tensor:
    """[N, K], less each point's squared length, which does not decide which is the nearest."""
    return centroids.square().sum(dim=1) - 2 * points @ centroids.T


def assign_all(points: Tensor, centroids: Tensor) -> Tensor:
    """[N]: each point's centroid.  `centroids` without a point move, in place."""
    blocks = [
        squared_distances(block, centroids).argmin(dim=1) for block in torch.split(points, BLOCK)
    ]
    nearest = torch.cat(blocks)  # [N]
    distance = squared_distance(points, centroids[nearest])
    while True:
        empty = torch.bincount(nearest, minlength=len(centroids)) == 0
        furthest = distance.argmax()
        if not empty.any() or not distance[furthest] > 0:
            return nearest
        moved = empty.long().argmax()  # the first empty one
        centroids[moved] = points[furthest]
        to_moved = squared_distance(points, centroids[moved])
        closer = to_moved < distance
        nearest = torch.where(closer, moved, nearest)
        distance = distance.minimum(to_moved)


def means(points: Tensor, nearest: Tensor, centroids: Tensor) -> Tensor:
    """[k, d]: the mean of each centroid's points; where it has none, what it was."""
    total, count = torch.zeros_like(centroids), centroids.new_zeros(len(centroids), 1)
    for block, index in zip(torch.split(points, BLOCK), torch.split(nearest, BLOCK), strict=True):
        member = F.one_hot(index, len(centroids)).to(points.dtype)  # [n, k]
        total += member.T @ block  # a product, whose order of summation does not change
        count += member.sum(dim=0)[:, None]
    return torch.where(count > 0, total / count.clamp(min=1), centroids)
