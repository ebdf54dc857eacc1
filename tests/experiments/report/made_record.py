"""Records of studies that were never run, with a known answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.record.hits import encode_hits

FloatArray = NDArray[np.float64]
Values = dict[str, Any]
CUTOFFS = (5, 10, 20)
GAINS = {0.05: -0.4, 0.1: 0.0, 0.2: 0.6, 0.5: 0.1}
"""What a temperature does to users' scores: the log of a rank, halved by .7."""


def metrics(ranks: FloatArray, prefix: str) -> Values:
    found = {}
    for k in CUTOFFS:
        hit = ranks <= k
        found[f"{prefix}/hr@{k}"] = float(hit.mean())
        found[f"{prefix}/ndcg@{k}"] = float(np.where(hit, 1 / np.log2(1 + ranks), 0).mean())
        found[f"{prefix}/mrr@{k}"] = float(np.where(hit, 1 / ranks, 0).mean())
    return found


def finished(
    dataset: str,
    variant: str,
    seed: int,
    ranks: FloatArray,
    axes: Values | None = None,
    baseline: str | None = "sasrec",
    study: str = "temperature",
    loss: str = "cross_entropy",
) -> Values:
    """A line of a trial that ended well."""
    ndcg = metrics(ranks, "test/excluded")["test/excluded/ndcg@10"]
    group = {"users": len(ranks), "excluded/hr@10": 0.1, "ranked/hr@10": 0.1}
    group |= {"excluded/ndcg@10": ndcg, "ranked/ndcg@10": ndcg / 2}
    return {
        "study": study,
        "question": "How sensitive is NDCG@10 to the InfoNCE temperature?",
        "trial": f"{study}-{dataset}-{variant}-{seed}".replace(" ", "-"),
        "status": "finished",
        "variant": variant,
        "axes": axes or {"model": "sasrec"},
        "baseline": baseline,
        "dataset": dataset,
        "data_sha256": f"sha of {dataset}",
        "model": "cl4srec" if axes else "sasrec",
        "command": f"run.py train --model {variant} --seed {seed}",
        "best_epoch": 3,
        "epochs": 3,
        "seed": seed,
        "commit": "0123456789",
        "dirty": False,
        "device": "x86_64, AVX2, 1 threads",
        "users": len(ranks),
        "seconds/train": 60.0 + seed,
        "targets_seen/test": 0,
        **metrics(ranks, "valid/excluded"),
        **metrics(ranks, "test/excluded"),
        **metrics(ranks + 1, "test/ranked"),
        "best/contrast/augmented_views/alignment": 0.5 + ndcg,
        "best/contrast/augmented_views/uniformity": -2.0 - ndcg,
        "curve/epoch": [1, 2, 3],
        "curve/seconds": [20.0, 40.0, 60.0],
        "curve/valid/excluded/ndcg@10": [ndcg / 2, ndcg / 1.1, ndcg],
        "groups/length": [{"from": 1, "to": 4, **group}, {"from": 5, "to": None, **group}],
        "groups/popularity": [{"from": 0, "to": 0, **group}, {"from": 1, "to": None, **group}],
        "hits/excluded": encode_hits(ranks),
        "config": {"next_item": {"loss": loss}},
    }


def ranks_of(users: int, gain: float, seed: int, taste: FloatArray) -> FloatArray:
    """[users] whole ranks: 20 times the log-normal of a user's taste, the seed and the gain."""
    noise = np.random.default_rng(seed).normal(size=users) / 3
    return np.floor(1 + np.exp(3.0 + taste + noise - gain))


def made_study(
    datasets: tuple[str, ...] = ("beauty", "toys"),
    seeds: int = 3,
    users: int = 400,
    study: str = "temperature",
) -> list[Values]:
    """SASRec and four temperatures, and one trial that failed and one that was pruned."""
    lines = []
    for dataset in datasets:
        taste = np.random.default_rng(len(dataset)).normal(size=users) * 1.5
        for seed in range(seeds):
            base = ranks_of(users, 0.0, seed, taste)
            lines.append(finished(dataset, "sasrec", seed, base, baseline=None, study=study))
            for number, (temperature, gain) in enumerate(GAINS.items(), 1):
                ranks = ranks_of(users, gain, 100 * number + seed, taste)
                axes = {"model": "cl4srec", "contrast.0.temperature": temperature}
                label = f"cl4srec temperature={temperature}"
                lines.append(finished(dataset, label, seed, ranks, axes, study=study))
    lost = {key: lines[1][key] for key in ("study", "question", "dataset", "variant", "axes")}
    lines.append({**lost, "trial": "f", "status": "failed", "seed": 7, "error": "loss is <nan>"})
    lines.append({**lost, "trial": "p", "status": "pruned", "seed": 8})
    return lines


def write_record(path: Path, lines: list[Values]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
