"""One subject, measured alone in its process: its seconds, its memory, its shares of a step.

Run as `python -m experiments.bench.measure '{"subject": ..., ...}'`; prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, fields, replace
from typing import Any

from experiments.bench.bound import epoch_flops
from experiments.bench.meters import memory_mb, time_steps
from experiments.bench.products import RECORDED, flops, products_of, seconds_alone
from experiments.bench.shares import shares
from experiments.bench.steps import Steps
from experiments.bench.subject import SIZES, Measured, Subject
from experiments.config.presets import preset_tree
from experiments.training.environment import old_objects_left_alone
from models.encoders import ENCODERS


def measure_ours(subject: Subject, dataset: str, data_dir: str | None, steps: int) -> Measured:
    """Our loaders, step and evaluation, as a training run uses them."""
    taken = Steps(settings_of(subject, dataset, data_dir), steps)
    run, step = taken.run, taken.step
    start_seconds = taken.start_of_epoch()
    run.model.train()
    with old_objects_left_alone():
        seconds = time_steps(step, taken.count)
    evaluate_seconds = None
    if subject.evaluate:
        evaluate_seconds = taken.evaluate(subject.evaluated_users)
    peak = memory_mb("VmHWM") - taken.imported_mb
    measured = Measured(
        step_seconds=seconds,
        steps=len(run.batches),
        targets=run.batches.rows.targets,
        prepare_seconds=run.prepare_seconds,
        evaluate_seconds=evaluate_seconds,
        peak_mb=peak,
        start_seconds=start_seconds,
        prepare_mb=taken.prepare_mb,
        matmul_flops=epoch_flops(run.config, run.batches.rows, run.histories.num_items),
    )
    if not subject.profiled:
        return measured
    run.model.train()
    recorded = min(taken.count, RECORDED)
    products = products_of(step, recorded)
    return replace(
        measured,
        shares=shares(step, max(3, taken.count // 4), subject.trace),
        product_flops=flops(products) / recorded,
        product_seconds=seconds_alone(products) / recorded,
    )


def settings_of(subject: Subject, dataset: str, data_dir: str | None) -> dict[str, Any]:
    """Dotted fields of the run that is measured, on the processor: SIZES as far as the encoder
    has them, then the subject's own."""
    kind = ENCODERS[preset_tree(subject.model).get("encoder", {}).get("kind", "self_attention")]
    known = {f"encoder.{one.name}" for one in fields(kind)}
    sizes = {key: v for key, v in SIZES.items() if key in known or not key.startswith("encoder.")}
    place = {"train.device": "cpu"} | ({} if data_dir is None else {"data_dir": data_dir})
    named = {"model": subject.model, "dataset": dataset, "examples": subject.examples, **place}
    return {**named, **sizes, **subject.fields}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The figures of what `compare.request_of` asks."""
    subject = Subject(**request["subject"])
    asked = subject, request["dataset"], request["data_dir"], request["steps"]
    if subject.recbole:
        from experiments.bench.measure_recbole import measure_recbole

        return asdict(measure_recbole(*asked))
    return asdict(measure_ours(*asked))


if __name__ == "__main__":
    print(json.dumps(answer(json.loads(sys.argv[1]))))
