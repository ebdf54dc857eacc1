"""What tasks may see of the model: every user's latest items, each at the user's place."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from augment import Sequences, TrainHistories
from models.snapshot import Pooling, Snapshot
from models.tasks.users import UserClusters
from tests.histories import generator

TRAIN = TrainHistories(torch.arange(1, 13), torch.tensor([0, 4, 5, 10, 12]), 12)


def ends(seqs: Sequences, pooling: Pooling) -> Tensor:
    """[B, 2]: the first and the last item, and for any other pooling than mean nothing."""
    last = seqs.items.gather(1, seqs.lengths[:, None] - 1)[:, 0]
    return torch.stack([seqs.items[:, 0], last], dim=1).float() * (pooling == "mean")


@pytest.mark.parametrize("rows", [1, 2, 3, 1024])
def test_a_history_is_the_latest_items_in_the_place_of_its_user(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.snapshot.ROWS", rows)
    found = Snapshot(torch.zeros(12, 2), ends, TRAIN, 3).histories("mean")
    assert found.tolist() == [[2, 4], [5, 5], [8, 10], [11, 12]]


def test_clusters_are_of_mean_representations() -> None:
    clusters = UserClusters()
    clusters.mine(4, Snapshot(torch.zeros(12, 2), ends, TRAIN, 3), generator(0))
    assert sorted(clusters.of(torch.arange(4)).tolist()) == [0, 1, 2, 3]
