"""RecBole's SASRec, measured through RecBole's own dataset, loaders, Trainer and evaluation."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from recbole.data import create_dataset, data_preparation
from recbole.trainer import Trainer
from recbole.utils import get_model

from experiments.bench.meters import CPU, memory_mb, time_steps
from experiments.bench.steps import endless
from experiments.bench.subject import SIZES, Measured, Subject
from experiments.data.catalogue import load, locate
from experiments.recbole.config import quiet, recbole_config, write_atomic_file


def measure_recbole(
    subject: Subject,
    dataset: str,
    data_dir: str | None,
    steps: int,
    device: torch.device = CPU,
) -> Measured:
    """RecBole's SASRec as RecBole trains it, in batches of the subject's size."""
    spec = locate(dataset, Path(data_dir) if data_dir else None)
    model_class = get_model(subject.model)
    histories = load(spec)
    imported = memory_mb("VmRSS")
    with tempfile.TemporaryDirectory() as folder, quiet(), contextlib.chdir(folder):
        # RecBole writes its logs into the working directory
        write_atomic_file(histories, Path(folder), "histories")
        del histories
        size = subject.fields.get("train.batch_size", SIZES["train.batch_size"])
        values = {"train_batch_size": size, "log_wandb": False, "seed": 0, "device": str(device)}
        config = recbole_config(subject.model, Path(folder), "histories", spec.max_length, values)
        torch.autograd.set_detect_anomaly(subject.anomaly)
        started = time.perf_counter()
        train, _, test = data_preparation(config, create_dataset(config))
        prepare_seconds = time.perf_counter() - started
        trainer = Trainer(config, model_class(config, train.dataset).to(device))
        batches = endless(lambda: iter(train))
        seconds = time_steps(lambda: _one_batch(trainer, islice(batches, 1)), steps, device)
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
