"""One subject on a GPU, measured alone in its process: seconds, memory, and how near to the bound.

Run as `python -m experiments.bench.measure_gpu '{"subject": ..., ...}'`; prints one JSON object.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from experiments.bench.bound import epoch_flops, matmul_rate
from experiments.bench.meters import WARM_UP, finish, memory_mb, time_steps
from experiments.bench.products import RECORDED, flops, products_of, seconds_alone
from experiments.bench.steps import Steps
from experiments.bench.subject import Measured, Subject
from experiments.config.resolve import resolve
from experiments.metric_names import VALID_NDCG10
from experiments.storage.lock import sole_writer
from experiments.storage.run_folder import RunFolder
from experiments.training.environment import choose_device, old_objects_left_alone, products_in
from experiments.training.run import Run, prepare
from experiments.training.train import train_prepared

COMPILED: dict[str, dict[str, Any]] = {
    "compiled": {},
    "CUDA graphs": {"mode": "reduce-overhead"},
}
"""How the encoder is compiled: arguments of torch.compile."""
SEEN = 3  # times that a compiled encoder sees each batch first: compiling, recording, replaying
FLOAT_BYTES = 4


@dataclass(frozen=True)
class GpuSubject(Subject):
    """What is measured on a GPU: some steps, or a whole training."""

    device: str = "cuda"
    compiled: str | None = None  # one of COMPILED; None: as it is
    whole: bool = False  # a training with all its epochs and evaluations


@dataclass(frozen=True)
class OnGpu(Measured):
    """One process's figures on a GPU.

    gpu_peak_mb: most memory that tensors have held in training steps; None on a CPU.
    scores_mb: what one float32 for each target and item of a mean batch would take.
    square_flops: operations a second of a large square product in the same precision.
    busy_seconds: of a step, in which kernels ran; None where no profiler tells.
    training_seconds: of the whole training, from reading the data to the last evaluation.
    compile: its seconds, and how often it gave up on a part.
    """

    gpu_peak_mb: float | None = None
    scores_mb: float = 0.0
    square_flops: float = 0.0
    busy_seconds: float | None = None
    training_seconds: float | None = None
    training_epochs: int = 0
    compile: dict[str, float] = field(default_factory=dict)


def measure(subject: GpuSubject, dataset: str, data_dir: str | None, steps: int) -> OnGpu:
    """The figures of one subject in this process."""
    if subject.recbole:
        return measure_theirs(subject, dataset, data_dir, steps)
    settings = settings_of(subject, dataset, data_dir)
    return measure_whole(settings) if subject.whole else measure_steps(subject, settings, steps)


def settings_of(subject: GpuSubject, dataset: str, data_dir: str | None) -> dict[str, Any]:
    """Dotted fields of the run: as the data set trains the preset, but for the subject's own."""
    place = {} if data_dir is None else {"data_dir": data_dir}
    named = {"model": subject.model, "dataset": dataset, "examples": subject.examples, **place}
    return {**named, "train.device": subject.device, "track.mode": "disabled", **subject.fields}


def measure_steps(subject: GpuSubject, settings: dict[str, Any], steps: int) -> OnGpu:
    """Steps of a training, evaluated if that is asked for."""
    taken = Steps(settings, steps)
    run, step, device = taken.run, taken.step, taken.run.device
    precision = run.config.train.precision
    start_seconds = taken.start_of_epoch()
    run.model.train()
    recorded = min(taken.count, RECORDED)
    compile_figures: dict[str, float] = {}
    with products_in(precision, device):
        products = products_of(step, recorded)  # as long as nothing is compiled: it would be hidden
        if subject.compiled is not None:
            compile_figures = compiled(taken, subject.compiled)
        start_of_peak(device)
        with old_objects_left_alone():
            seconds = time_steps(step, taken.count, device, 0 if compile_figures else WARM_UP)
        peak = gpu_peak_mb(device)
        busy = busy_seconds(step, recorded, device)
        alone = seconds_alone(products, device) / recorded
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        rate = matmul_rate(device=device, dtype=dtype)
    evaluate_seconds = None
    if subject.evaluate:
        taken.evaluate(subject.evaluated_users)  # kernels are chosen and loaded in the first
        evaluate_seconds = taken.evaluate(None)
    rows = run.batches.rows
    return OnGpu(
        step_seconds=seconds,
        steps=len(run.batches),
        targets=rows.targets,
        prepare_seconds=run.prepare_seconds,
        evaluate_seconds=evaluate_seconds,
        peak_mb=memory_mb("VmHWM") - taken.imported_mb,
        start_seconds=start_seconds,
        prepare_mb=taken.prepare_mb,
        matmul_flops=epoch_flops(run.config, rows, run.histories.num_items),
        product_flops=flops(products) / recorded,
        product_seconds=alone,
        gpu_peak_mb=peak,
        scores_mb=scores_mb(run),
        square_flops=rate,
        busy_seconds=busy,
        compile=compile_figures,
    )


def compiled(taken: Steps, how: str) -> dict[str, float]:
    """Compile the encoder, and let it see every batch often enough to be done with it.

    A shape too many is an error here, where torch would go on without compiling.
    """
    from torch._dynamo import config
    from torch._dynamo.utils import counters

    torch._dynamo.reset()  # what was compiled before is of another encoder
    counters.clear()
    config.fail_on_recompile_limit_hit = True
    taken.model.encoder.compile(**COMPILED[how])
    started = time.perf_counter()
    for _ in range(SEEN * taken.count):
        taken.step()
    finish(taken.run.device)
    return {
        "seconds": time.perf_counter() - started,
        "graph_breaks": sum(counters["graph_break"].values()),
        "without_cuda_graphs": counters["inductor"]["cudagraph_skips"],
    }


def measure_whole(settings: dict[str, Any]) -> OnGpu:
    """A training as `run.py train` does it, its files included."""
    config, spec = resolve(None, list(settings.items()))
    device = choose_device(config.train.device)
    imported = memory_mb("VmRSS")
    start_of_peak(device)
    started = time.perf_counter()
    run = prepare(config, spec)
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(sys.stderr):
        folder = RunFolder(Path(place) / "run")
        with sole_writer(folder.path):
            train_prepared(run, folder, resume=False, watch=None)
        rankings = sum(VALID_NDCG10 in record for record in folder.read_history())
        rankings += 1 + config.evaluate.test  # again with the best weights
    seconds = time.perf_counter() - started
    progress = run.progress
    return OnGpu(
        step_seconds=progress.train_seconds / progress.step,
        steps=len(run.batches),
        targets=run.batches.rows.targets,
        prepare_seconds=run.prepare_seconds,
        evaluate_seconds=progress.evaluate_seconds / rankings,
        peak_mb=memory_mb("VmHWM") - imported,
        gpu_peak_mb=gpu_peak_mb(device),
        scores_mb=scores_mb(run),
        training_seconds=seconds,
        training_epochs=progress.epoch,
    )


def measure_theirs(subject: GpuSubject, dataset: str, data_dir: str | None, steps: int) -> OnGpu:
    """RecBole's SASRec on the same device."""
    from experiments.bench.measure_recbole import measure_recbole

    device = choose_device(subject.device)
    start_of_peak(device)
    found = measure_recbole(subject, dataset, data_dir, steps, device)
    return OnGpu(**vars(found), gpu_peak_mb=gpu_peak_mb(device))


def scores_mb(run: Run) -> float:
    targets = run.batches.rows.targets / len(run.batches)
    return targets * run.histories.num_items * FLOAT_BYTES / 2**20


def start_of_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]
        torch.cuda.reset_peak_memory_stats(device)


def gpu_peak_mb(device: torch.device) -> float | None:
    """MiB, since `start_of_peak`."""
    return torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None


def busy_seconds(step: Callable[[], None], count: int, device: torch.device) -> float | None:
    """Seconds of a step in which the GPU's kernels ran, profiled over `count` steps."""
    if device.type != "cuda":
        return None
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        for _ in range(count):
            step()
        finish(device)
    spent = sum(
        event.self_device_time_total
        for event in profiled.key_averages()
        if event.device_type.name == "CUDA" and not event.is_user_annotation
    )
    return spent / 1e6 / count or None


def main(text: str) -> None:
    request = json.loads(text)
    subject = GpuSubject(**request["subject"])
    data_dir = request["data_dir"]
    try:
        found = measure(subject, request["dataset"], data_dir, request["steps"])
    except Exception as error:
        traceback.print_exc()
        reason = str(error).strip().split("\n")[0]  # compilers say more, and the reason first
        sys.exit(f"{type(error).__name__}: {reason}")
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main(sys.argv[1])
