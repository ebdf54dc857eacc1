"""What a person sees of a training while it runs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from experiments.config.resolve import changed_fields
from experiments.data.splits.splitting import described
from experiments.metric_names import MONITOR, VALID_NDCG10, metric_key
from experiments.terminal import coloured
from models.baselines import BASELINES

if TYPE_CHECKING:
    from experiments.training.run import Run
    from models.host import Losses
    from models.tasks import Batch

TASK_LOSS = re.compile(r"contrast/(.+)/loss")
EVERY = 10  # steps between two looks at the losses, for the bar
MOST_FIELDS = 8  # of those that differ from the preset


def announce(run: Run, folder: Path) -> None:
    """What is trained on what, before the first epoch takes its time."""
    config, data = run.config, run.histories
    print(
        f"{config.model} on {config.dataset}: {data.num_users} users, {data.num_items} items, "
        f"{len(data.items)} interactions"
        + (f" ({data.users_left_out} users with fewer than 3 left out)" * (data.users_left_out > 0))
    )
    if data.counts:
        print("\n".join(described(config.split, data.counts)))
    if changed := changed_fields(config):
        shown = [f"{name} {now} ({before})" for name, (now, before) in changed.items()]
        more = f", and {len(shown) - MOST_FIELDS} more" if len(shown) > MOST_FIELDS else ""
        print(f"changed fields (preset's value): {', '.join(shown[:MOST_FIELDS])}{more}")
    parameters = sum(parameter.numel() for parameter in run.model.parameters())
    if config.model in BASELINES:
        print(f"nothing to train: it counts, {run.device} -> {folder}", flush=True)
        return
    print(
        f"examples: {config.examples}, {run.batches.rows.targets} targets in {len(run.batches)} "
        f"batches an epoch, {parameters:,} parameters, seed {config.seed}, {run.device} "
        f"-> {folder}",
        flush=True,
    )


class Bar:
    """The batches of an epoch, with a bar where a person looks: losses and the time left."""

    def __init__(self, run: Run) -> None:
        progress, config = run.progress, run.config
        self.total = config.epochs
        self.rest = time_left(run)
        self.steps = 0
        self.bar = tqdm(
            run.batches.epoch(progress.epoch),
            total=len(run.batches),
            desc=f"epoch {progress.epoch} of {config.epochs}",
            leave=False,
            disable=not sys.stderr.isatty() or run.shard.rank > 0,
        )
        self.shared = run.shard.count > 1

    def __iter__(self) -> Iterator[Batch]:
        yield from self.bar

    def tell(self, losses: Losses) -> None:
        """Show a step's loss and its weighted parts; looked at now and then, as a GPU waits."""
        self.steps += 1
        if self.bar.disable or self.steps % EVERY != 1:
            return
        text = f"loss {float(losses.metrics['train/loss']):.3f}"
        if len(losses.parts) > 1 and not self.shared:  # else they are shares of this process
            parts = (f"{name} {float(part.detach()):.3f}" for name, part in losses.parts.items())
            text += f" ({', '.join(parts)})"
        if self.rest is not None:
            text += f", all epochs: {clock(self.rest)}"
        self.bar.set_postfix_str(text, refresh=False)


def time_left(run: Run) -> float | None:
    """Seconds that all further epochs would take, from those that are done; None before."""
    done = run.progress.epoch - 1  # this one is being trained
    if not done:
        return None
    spent = run.progress.train_seconds + run.progress.evaluate_seconds
    return spent / done * (run.config.epochs - done)


def outlook(run: Run) -> str | None:
    """After the first epoch: how long all of them would take; None where none are left."""
    rest = run.config.epochs - run.progress.epoch
    if rest < 1 or run.progress.epoch != 1:
        return None
    seconds = run.progress.train_seconds + run.progress.evaluate_seconds
    return (
        f"at most {clock(seconds * rest)} for the rest, {rest} of {run.config.epochs} epochs; less "
        f"if validation stops improving (train.patience {run.config.train.patience})"
    )


def epoch_line(
    record: dict[str, float], epochs: int, improved: bool, monitor: str = MONITOR
) -> str:
    """An epoch's loss, the parts that it is the sum of, validation, and seconds."""
    line = f"epoch {record['epoch']:3d}/{epochs}  loss {record['train/loss']:.4f}{parts(record)}"
    if VALID_NDCG10 in record:
        line += f"  valid HR@10 {record[metric_key('valid', 'excluded', 'hr@10')]:.4f}"
        line += f"  NDCG@10 {record[VALID_NDCG10]:.4f}"
        if monitor != MONITOR:
            rule, metric = monitor.split("/")
            line += f"  {rule} {metric.upper()} {record[metric_key('valid', rule, metric)]:.4f}"
    best = f"  {coloured('best', 'green')}" if improved else ""
    return f"{line}  {record['seconds']:.1f} s{best}"


def parts(record: dict[str, float]) -> str:
    """` (next_item 6.8965 + 0.1 augmented_views 6.4297)`; nothing where there are no tasks."""
    tasks = [(match[1], key) for key in record if (match := TASK_LOSS.fullmatch(key))]
    if not tasks:
        return ""
    texts = [f"next_item {record['train/next_item']:.4f}"] if "train/next_item" in record else []
    for name, key in tasks:
        weight = record.get(f"contrast/{name}/weight", 1.0)
        texts.append(f"{weight:g} {name} {record[key]:.4f}")
    return f" ({' + '.join(texts)})"


def clock(seconds: float) -> str:
    """45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
