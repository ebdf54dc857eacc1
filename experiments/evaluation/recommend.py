"""The next items for histories that are given, or for users of the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from augment import TrainHistories
from augment.examples import histories_at
from experiments.data.histories import Histories, IntArray
from experiments.errors import UsageError, unknown
from experiments.evaluation.rank_counts import Pairs
from experiments.evaluation.scores import Layout, Scorer, can_be_cut, score_blocks
from experiments.evaluation.top_items import top_items
from models.host import Host

if TYPE_CHECKING:
    import pandas as pd

AT_ONCE = 512  # histories encoded together
BLOCK = 800_000  # scores held at once
SEEN = ("drop", "keep")


@dataclass(frozen=True)
class Best:
    """[B, K] item numbers and scores, best first; item 0 where a history has fewer than K."""

    items: IntArray
    scores: NDArray[np.float32]


def lists_of(numbers: Iterable[Sequence[int]], num_items: int) -> TrainHistories:
    """Lists of item numbers, none of them empty, in the form that data have."""
    kept = [np.asarray(items, dtype=np.int64) for items in numbers]
    offsets = np.concatenate([[0], np.cumsum([len(items) for items in kept])])
    flat = np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)
    return TrainHistories(torch.from_numpy(flat), torch.from_numpy(offsets), num_items)


def users_lists(lists: TrainHistories, users: IntArray) -> TrainHistories:
    """Those of some users, by number, in their order."""
    offsets = lists.offsets.numpy()
    counts = offsets[users + 1] - offsets[users]
    new = np.concatenate([[0], np.cumsum(counts)])
    index = np.arange(new[-1]) - np.repeat(new[:-1] - offsets[users], counts)
    times = None if lists.times is None else lists.times[index]
    return TrainHistories(lists.items[index], torch.from_numpy(new), lists.num_items, times)


@torch.inference_mode()
def best_items(
    model: Scorer,
    lists: TrainHistories,
    count: int,
    max_length: int,
    device: torch.device,
    seen: str = "drop",
    block: int = BLOCK,
) -> Best:
    """The `count` best items after each list.

    The model reads the latest max_length items of a list.  seen: drop leaves out what is anywhere
    in it, keep lets it compete.  Scores are made in blocks of users x items.
    Errors: UsageError for a count below 1, another `seen`, or lists without times where the model
    reads them; FloatingPointError for a score that is not finite.
    """
    check_at_least_one(count)
    if seen not in SEEN:
        raise UsageError(f"seen: {unknown(seen, SEEN)}")
    check_times(model, lists)
    count = min(count, lists.num_items)
    offsets = lists.offsets.numpy()
    length = np.minimum(np.diff(offsets), max_length)
    layout = Layout.of(block, lists.num_items, can_be_cut(model))
    items = lists.items.to(device)
    times = None if lists.times is None else lists.times.to(device)
    found = Best(
        np.zeros((len(length), count), dtype=np.int64),
        np.full((len(length), count), -np.inf, dtype=np.float32),
    )
    order = np.argsort(length, kind="stable")
    for first in range(0, len(order), AT_ONCE):
        users = order[first : first + AT_ONCE]
        batch = histories_at(items, times, offsets[users + 1] - length[users], length[users])
        start = 0
        for part in score_blocks(model, batch, layout, lists.num_items):
            here = users[start : start + layout.rows]
            start += layout.rows
            out = pairs_of(lists, here, device) if seen == "drop" else NOTHING
            top = top_items(part, out, count, ("excluded",))["excluded"]
            found.items[here] = top.items.cpu().numpy()
            found.scores[here] = top.scores.float().cpu().numpy()
    return found


def check_at_least_one(count: int) -> None:
    """UsageError for anything but a whole number of items, at least one."""
    if not isinstance(count, (int, np.integer)) or count < 1:
        raise UsageError(f"-k must be a whole number of at least 1, got {count!r}")


def check_times(model: Scorer, lists: TrainHistories) -> None:
    """UsageError where the encoder reads the times of items, and these have none."""
    if isinstance(model, Host) and model.encoder.reads_times and lists.times is None:
        raise UsageError(
            "this model reads the times of items, which typed histories have not: name users of "
            "the data (--user, --all)"
        )


NOTHING = Pairs(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))


def pairs_of(lists: TrainHistories, users: IntArray, device: torch.device) -> Pairs:
    """Each distinct item of each of these lists: its row, and its column of the scores."""
    some = users_lists(lists, users)
    counts = np.diff(some.offsets.numpy())
    width = lists.num_items + 1
    both = np.unique(np.repeat(np.arange(len(users)), counts) * width + some.items.numpy())
    row, item = (torch.from_numpy(part).to(device) for part in (both // width, both % width - 1))
    return Pairs(row, item)


def as_table(best: Best, names: Sequence[str], histories: Histories) -> pd.DataFrame:
    """Columns user, rank, item, score and, where the data have titles, title: a row an item."""
    import pandas as pd

    row, place = np.nonzero(best.items)
    ids = histories.item_ids[best.items[row, place]].astype(str)
    table = pd.DataFrame(
        {
            "user": np.asarray(names, dtype=object)[row],
            "rank": place + 1,
            "item": ids.astype(object),
            "score": best.scores[row, place],
        }
    )
    if histories.titles:
        table["title"] = [histories.titles.get(item) for item in ids.tolist()]
    return table


def item_numbers(
    ids: Sequence[str], known: dict[str, int], where: str, hint: str = ""
) -> list[int]:
    """Numbers of the data file's item ids; UsageError for an unknown id or an empty list."""
    if not ids:
        raise UsageError(f'{where} is empty: give item ids, oldest first, such as "1 2 3"')
    for item in ids:
        if item not in known:
            raise UsageError(f"{where}: {unknown(item, list(known)[:5])}, ...{hint}")
    return [known[item] for item in ids]


def known_items(histories: Histories) -> dict[str, int]:
    """Number of each item id."""
    return {str(item): number for number, item in enumerate(histories.item_ids) if number > 0}


def user_numbers(wanted: Sequence[str], ids: Sequence[str]) -> IntArray:
    """Places of some user ids among those of the data.  UsageError for an unknown one."""
    known = {user: place for place, user in enumerate(ids)}
    for user in wanted:
        if user not in known:
            raise UsageError(f"--user: {unknown(user, list(known)[:5])}, ...")
    return np.array([known[user] for user in wanted])
