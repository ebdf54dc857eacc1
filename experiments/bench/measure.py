"""One subject, measured alone in its process: its seconds, its memory, its shares of a step.

Run as `python -m experiments.bench.measure '{"subject": ..., ...}'`; prints one JSON object.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.data.histories import Histories

WARM_UP = 5  # steps that are not counted
RECORDED = 20  # steps, at most, whose products are timed alone
SIZES = {  # RecBole's own for its SASRec: whatever suits the data, both sides do the same work
    "train.batch_size": 256, "encoder.dim": 64, "encoder.layers": 2, "encoder.heads": 2,
    "encoder.inner": 256, "encoder.dropout": 0.5, "encoder.attention_dropout": 0.5,
}  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """What is measured: a preset of ours, or RecBole's SASRec through RecBole's own code."""

    model: str
    examples: str = "prefixes"
    recbole: bool = False
    anomaly: bool = False  # RecBole as its own import leaves it: detecting anomalies
    evaluate: bool = True
    evaluated_users: int | None = None  # the first so many; None: all
    fields: dict[str, Any] = field(default_factory=dict)  # overrides of our configuration
    profiled: bool = True  # whether a step's parts and its matrix products are measured, too
    trace: str | None = None  # file for a torch.profiler trace of some steps


@dataclass(frozen=True)
class Measured:
    """One process's figures.  Seconds of an epoch are steps x the mean of a step."""

    step_seconds: float
    steps: int
    targets: int
    prepare_seconds: float
    evaluate_seconds: float | None
    peak_mb: float  # net of imports
    start_seconds: float = 0.0  # of what is mined as an epoch starts
    prepare_mb: float = 0.0  # highest while preparing, net of imports
    shares: dict[str, float] = field(default_factory=dict)
    matmul_flops: float = 0.0  # of an epoch, real positions only
    product_flops: float = 0.0  # of a step's matrix products as they are made, padding included
    product_seconds: float = 0.0  # of the same products alone


def memory_mb(which: str) -> float:
    """VmRSS (now) or VmHWM (highest so far) of this process in MiB; 0 where it is not told."""
    if platform.system() != "Linux":
        return 0.0
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith(which))
    return int(line.split()[1]) / 1024


def time_steps(step: Callable[[], None], count: int) -> float:
    """Seconds of a step after a warm-up: the mean, since batches of long histories cost more.

    Where steps repeat after `count`, each is timed once, whatever the warm-up took.
    """
    for _ in range(WARM_UP):
        step()
    started = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - started) / count


def measure_ours(subject: Subject, dataset: str, data_dir: str | None, steps: int) -> Measured:
    """Our loaders, step and evaluation, as a training run uses them."""
    import torch
    from torch import Generator

    from experiments.bench.bound import epoch_flops
    from experiments.bench.products import flops, products_of, seconds_alone
    from experiments.bench.shares import shares
    from experiments.config.presets import preset_tree
    from experiments.config.resolve import resolve
    from experiments.training.loop import take_second_step
    from experiments.training.optimizer import Optimizer
    from experiments.training.run import prepare
    from models.encoders import ENCODERS

    kind = ENCODERS[preset_tree(subject.model).get("encoder", {}).get("kind", "self_attention")]
    known = {f"encoder.{one.name}" for one in fields(kind)}
    sizes = {key: v for key, v in SIZES.items() if key in known or not key.startswith("encoder.")}
    settings = {"model": subject.model, "dataset": dataset, **sizes, **subject.fields}
    if data_dir is not None:
        settings["data_dir"] = data_dir
    if "examples" not in settings:
        settings["examples"] = subject.examples
    config, spec = resolve(None, list(settings.items()))
    imported = memory_mb("VmRSS")
    run = prepare(config, spec)
    prepare_mb = memory_mb("VmHWM") - imported
    model: Any = run.model
    optimizer = Optimizer(run.model, config.train)
    rng = Generator(device=run.device).manual_seed(0)
    steps = min(steps, len(run.batches))
    parts = run.batches.sample(steps)
    batches = endless(lambda _: run.batches.assembled(parts))
    start_seconds = start_of_epoch(model, rng)

    def step() -> None:
        with torch.profiler.record_function("data"):
            batch = next(batches)
        losses = model.losses(batch, rng)
        optimizer.descend(losses.total)
        take_second_step(model, optimizer, losses, batch, rng)

    model.train()
    seconds = time_steps(step, steps)
    evaluate_seconds = None
    if subject.evaluate:
        if subject.evaluated_users is not None:
            run.histories = first_users(run.histories, subject.evaluated_users)
        started = time.perf_counter()
        run.evaluate("test")
        evaluate_seconds = time.perf_counter() - started
    peak = memory_mb("VmHWM") - imported
    measured = Measured(
        step_seconds=seconds,
        steps=len(run.batches),
        targets=run.batches.rows.targets,
        prepare_seconds=run.prepare_seconds,
        evaluate_seconds=evaluate_seconds,
        peak_mb=peak,
        start_seconds=start_seconds,
        prepare_mb=prepare_mb,
        matmul_flops=epoch_flops(config, run.batches.rows, run.histories.num_items),
    )
    if not subject.profiled:
        return measured
    model.train()
    recorded = min(steps, RECORDED)
    products = products_of(step, recorded)
    return replace(
        measured,
        shares=shares(step, max(3, steps // 4), subject.trace),
        product_flops=flops(products) / recorded,
        product_seconds=seconds_alone(products) / recorded,
    )


def first_users(histories: Histories, count: int) -> Histories:
    """The data of the first `count` users, with the whole catalogue."""
    count = min(count, histories.num_users)
    end = int(histories.offsets[count])
    parts, times = histories.parts, histories.times
    return replace(
        histories, items=histories.items[:end], offsets=histories.offsets[: count + 1],
        user_ids=histories.user_ids[:count],
        parts=None if parts is None else parts[:end],
        times=None if times is None else times[:end],
    )  # fmt: skip


def start_of_epoch(model: Any, rng: Any) -> float:
    """Seconds of mining the model as an epoch starts, after any warm-up, the second time."""
    model.start_epoch(998, rng)
    started = time.perf_counter()
    model.start_epoch(999, rng)
    return time.perf_counter() - started


def endless(epoch: Callable[[int], Iterator[Any]]) -> Iterator[Any]:
    """Epoch after epoch."""
    number = 1
    while True:
        yield from epoch(number)
        number += 1


def measure_recbole(subject: Subject, dataset: str, data_dir: str | None, steps: int) -> Measured:
    """RecBole's SASRec through RecBole's own dataset, loaders, Trainer and evaluation."""
    import tempfile
    from itertools import islice

    import torch
    from recbole.data import create_dataset, data_preparation
    from recbole.trainer import Trainer
    from recbole.utils import get_model

    from experiments.data.catalogue import load, locate
    from experiments.recbole.config import quiet, recbole_config, write_atomic_file

    spec = locate(dataset, Path(data_dir) if data_dir else None)
    model_class = get_model(subject.model)
    histories = load(spec)
    imported = memory_mb("VmRSS")
    with tempfile.TemporaryDirectory() as folder, quiet():
        os.chdir(folder)  # RecBole writes its logs into the working directory
        write_atomic_file(histories, Path(folder), "histories")
        del histories
        size = SIZES["train.batch_size"]
        values = {"train_batch_size": size, "log_wandb": False, "seed": 0}
        config = recbole_config(subject.model, Path(folder), "histories", spec.max_length, values)
        torch.autograd.set_detect_anomaly(subject.anomaly)
        started = time.perf_counter()
        train, _, test = data_preparation(config, create_dataset(config))
        prepare_seconds = time.perf_counter() - started
        trainer = Trainer(config, model_class(config, train.dataset))
        batches = endless(lambda _: iter(train))
        seconds = time_steps(lambda: _one_batch(trainer, islice(batches, 1)), steps)
        evaluate_seconds = None
        if subject.evaluate:
            trainer.eval_collector.data_collect(train)
            started = time.perf_counter()
            trainer.evaluate(test, load_best_model=False)
            evaluate_seconds = time.perf_counter() - started
    return Measured(
        step_seconds=seconds,
        steps=len(train),
        targets=len(train.dataset),
        prepare_seconds=prepare_seconds,
        evaluate_seconds=evaluate_seconds,
        peak_mb=memory_mb("VmHWM") - imported,
    )


def _one_batch(trainer: Any, batch: Iterator[Any]) -> None:
    trainer._train_epoch(batch, 0)


def main(text: str) -> None:
    request = json.loads(text)
    subject = Subject(**request["subject"])
    run = measure_recbole if subject.recbole else measure_ours
    measured = run(subject, request["dataset"], request["data_dir"], request["steps"])
    print(json.dumps(asdict(measured)))


if __name__ == "__main__":
    main(sys.argv[1])
