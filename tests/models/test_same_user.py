"""Two segments of one history: disjoint, of the right user, from the training split."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from augment import TrainHistories
from models.encoders import GRUConfig
from models.losses import info_nce
from models.losses.next_item import NoNextItem
from models.recbole_plug import SASRec
from models.tasks import Batch, SameUser, Sizes
from tests.histories import Rows, could_be_uniform, counting, generator, real_items, seeds, train_of
from tests.models.tiny import build_model, loss_of, train_steps, views_of


def fitted(rows: Rows, max_length: int = 10) -> SameUser:
    task = SameUser()
    task.prepare(Sizes(8, max_length, 99, len(rows)))
    task.fit(train_of(rows))
    return task


def segments(rows: Rows, users: list[int], seed: int = 0, max_length: int = 10) -> list[Rows]:
    """The items of both views, for batch rows of these users."""
    batch = Batch(counting([1] * len(users)), torch.ones(len(users)), torch.tensor(users))
    views = views_of(fitted(rows, max_length), batch, generator(seed))
    return [real_items(view.sequences) for view in views]


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6), seed=seeds)
def test_the_segments_put_together_are_the_history(lengths: list[int], seed: int) -> None:
    rows = [[100 * user + place + 1 for place in range(n)] for user, n in enumerate(lengths)]
    users = [*range(len(rows)), 0]
    earlier, later = segments(rows, users, seed)
    for user, first, second in zip(users, earlier, later, strict=True):
        if len(rows[user]) == 1:
            assert first == second == rows[user]
        else:
            assert first + second == rows[user]
            assert first
            assert second


def test_the_latest_items_of_each_segment_are_read() -> None:
    history = list(range(1, 101))
    earlier, later = segments([history], [0] * 50, max_length=7)
    for first, second in zip(earlier, later, strict=True):
        middle = first[-1]
        assert first == history[:middle][-7:]
        assert second == history[middle:][-7:]


def test_every_split_is_equally_likely() -> None:
    earlier, _ = segments([[1, 2, 3, 4, 5]], [0] * 4000)
    counts = np.bincount([len(first) for first in earlier], minlength=5)
    assert counts[0] == 0
    assert could_be_uniform(counts[1:].tolist())


def test_pairs_of_one_user_are_left_out() -> None:
    batch = Batch(counting([1, 2, 3]), torch.tensor([7, 8, 9]), torch.tensor([4, 4, 5]))
    one, other = torch.randn(2, 3, 4, generator=generator(0))
    same = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    found = loss_of(SameUser(), [one, other], batch).value
    torch.testing.assert_close(found, info_nce(one, other, 1.0, "dot", same))
    alone = Batch(batch.histories, batch.targets, torch.zeros(3, dtype=torch.int64))
    assert loss_of(SameUser(), [one, other], alone).value == 0


def planted() -> TrainHistories:
    """Six kinds of users, each with three items of its own, in random order."""
    pick = np.random.default_rng(0)
    rows = [(pick.integers(0, 3, 12) + 3 * (user % 6) + 1).tolist() for user in range(60)]
    return train_of(rows, num_items=18)


def test_it_recognises_users_by_what_they_choose() -> None:
    """On its own it brings items of one kind of user together."""
    task = SameUser(name="it", weight=1.0, similarity="cosine", temperature=0.2, pooling="mean")
    model = build_model(GRUConfig(16, 1, 0.0, 10, hidden=16), [task], planted())
    model.next_item = NoNextItem()
    train_steps(model, planted(), "prefixes", steps=60, size=32, learning_rate=0.01)
    assert kinds_found(model) > 0.95


@torch.no_grad()
def kinds_found(model: SASRec) -> float:
    """Share of histories of one item whose most similar other one is of the same kind."""
    single = Batch(counting([1] * 18), torch.zeros(18), torch.zeros(18)).histories
    single.items[:, 0] = torch.arange(1, 19)
    states = torch.nn.functional.normalize(model.eval().represent(single), dim=1)
    similar = (states @ states.T).fill_diagonal_(-2.0).argmax(dim=1)
    return (similar // 3 == torch.arange(18) // 3).double().mean().item()
