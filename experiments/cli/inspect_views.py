"""What the augmentation does, for a person to read: a history and its views side by side."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor

from augment import MASK, Sequences
from experiments.data.batches import make_batch
from experiments.data.histories import Histories, IntArray
from experiments.data.splits.held_out import train_user_ids
from experiments.errors import UsageError
from experiments.training.loop import epoch_seeds
from experiments.training.mistakes import mistakes_of_authors
from experiments.training.run import Run
from models.diagnostics import identity_rates
from models.recbole_plug import SASRec
from models.tasks import (
    Batch,
    EncodingRequest,
    HistoryState,
    ItemEmbeddings,
    Requests,
    SharedView,
    Step,
    View,
)

TITLE = 20  # characters of an item's title, at most
SAMPLE = 4096  # training examples whose views are compared with their histories


@mistakes_of_authors()
def side_by_side(run: Run, user: str | None) -> list[str]:
    """Lines of text for the last training example of a user (the first user's by default).

    A column for the history and one for each view of each task, a row a position; below, how
    often the operators change nothing, over many training examples.  Views are drawn as in the
    first epoch of a training run, from `seed`.
    """
    model = run.model
    if not isinstance(model, SASRec):
        raise UsageError(f"inspect: {run.config.model} makes no views")
    rng = Generator(device=run.device).manual_seed(epoch_seeds(run.config.seed, 1)[1])
    model.start_epoch(1, rng)
    model.train()
    row = row_of(run, user)
    batch = make_batch(run.batches.train, run.batches.rows, np.array([row]), run.device)
    name = train_user_ids(run.histories)[int(batch.users)]
    lines = [f"user {name} of {run.histories.name}: what the next-item loss reads, and each view"]
    columns = [("history", shown(batch.histories, run.histories))]
    columns += [("what follows", ids(run.histories, batch.targets))]
    notes = []
    for task in model.contrastive_tasks():
        for name, request in model.asked(task, Step(batch, rng)).items():
            if isinstance(request, View):
                title = f"{task.name} {name}{operator(request)}"
                columns.append((title, shown(request.sequences, run.histories)))
            else:
                notes.append(f"{task.name} {name}: {described(request)}")
    read = model.augment(batch, rng)
    if read is not batch:
        columns.append(("augmented input", shown(read.histories, run.histories)))
    return [*lines, *table(columns), *notes, "", *rates(run, model, rng)]


def row_of(run: Run, user: str | None) -> int:
    """The last training example of a user, by the data file's id."""
    rows, known = run.batches.rows, train_user_ids(run.histories)
    wanted = known[rows.user[0]] if user is None else user
    examples = np.flatnonzero(known[rows.user] == wanted)
    if wanted not in known:
        raise UsageError(f"--user {wanted}: is not in the training data; users are {known[0]}, ...")
    if not len(examples):
        raise UsageError(
            f"--user {wanted}: has a single item to train on, and no view is made of it"
        )
    return int(examples[-1])


def shown(seqs: Sequences, histories: Histories) -> list[str]:
    """The first history's items by the data file's ids; [mask] where one is hidden."""
    return ids(histories, seqs.items[0, : int(seqs.lengths[0])])


def ids(histories: Histories, items: Tensor) -> list[str]:
    numbers: IntArray = items.cpu().numpy()
    names = histories.item_ids[np.maximum(numbers, 0)]
    hidden = numbers == MASK
    return [
        "[mask]" if h else titled(str(name), histories.titles)
        for name, h in zip(names, hidden, strict=True)
    ]


def titled(item: str, titles: dict[str, str]) -> str:
    """`50 Star Wars (1977)`; a long title is cut, an item without one is its id."""
    title = titles.get(item, "")
    short = title if len(title) <= TITLE else f"{title[: TITLE - 2].rstrip()}.."
    return f"{item} {short}".rstrip()


def operator(view: View) -> str:
    """The operator that made a view, where one did."""
    return f" {view.operator_of(0)}".rstrip()


def described(request: EncodingRequest) -> str:
    if isinstance(request, HistoryState):
        what = {"last": "last state", "mean": "mean state", "all": "states"}[request.pooling]
        return f"the {what} of the history itself, from the pass of the next-item loss"
    if isinstance(request, SharedView):
        return f"view {request.view} of {request.task}"
    assert isinstance(request, ItemEmbeddings)
    return f"the embeddings of {request.items.numel()} items"


def table(columns: list[tuple[str, list[str]]]) -> list[str]:
    """Columns of text under their titles, aligned left."""
    widths = [max(map(len, [title, *cells])) for title, cells in columns]
    height = max(len(cells) for _, cells in columns)
    rows = [[title for title, _ in columns]]
    rows += [[cells[i] if i < len(cells) else "" for _, cells in columns] for i in range(height)]
    return ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
            for row in rows]  # fmt: skip


def rates(run: Run, model: SASRec, rng: Generator) -> list[str]:
    """How many views equal the history they were made from, for each task and operator."""
    rows = run.batches.rows
    sample = np.random.default_rng(run.config.seed).permutation(len(rows))[:SAMPLE]
    batch = make_batch(run.batches.train, rows, np.sort(sample), run.device)
    lines = [f"views unchanged, of {len(sample)} examples each:"]
    for task in model.contrastive_tasks():
        step = Step(task.select_rows(batch), rng)
        requests = model.asked(task, step)
        lines += [f"  {task.name:<20}{line}" for line in rates_of(requests, step.batch)]
    return lines if len(lines) > 1 else []


def rates_of(requests: Requests, batch: Batch) -> list[str]:
    views = [request for request in requests.values() if isinstance(request, View)]
    rates = identity_rates(batch.histories, views)
    if not rates:
        return []
    names = {"identity_rate": "all views"}
    parts = [
        f"{names.get(key, key.removeprefix('identity_rate/'))} {float(value):.3f}"
        for key, value in rates.items()
        if not torch.isnan(value)
    ]
    return ["  ".join(parts)]
