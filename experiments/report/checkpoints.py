"""Our variants against published weights, user by user: one training each of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from experiments.errors import UsageError
from experiments.metric_names import RULES, SCORE0
from experiments.record.checkpoints import FILE, Checkpoint, read_checkpoints
from experiments.record.hits import FloatArray
from experiments.record.order import natural
from experiments.report.aggregate import Group
from experiments.report.compare import LEVEL, SEED
from experiments.report.formats import MARKDOWN, escaped
from experiments.report.numbers import mean_text, number_text, p_text, signed
from experiments.report.pairs import gain_of, ndcg
from experiments.report.pipe_table import pipe_table
from experiments.report.published import source_link
from experiments.report.sheet import SHOWN
from experiments.report.statistics import LEAST_SEEDS, RESAMPLES, bootstrap, holm, resamples
from experiments.report.studies import Report

NAME = "checkpoints"
STUDIES = ("recipes", "toys", "transfer")
"""Where our side is taken from: the first of these that has the data set."""
OURS = ("best whole", "best without attributes", "best", "sasrec")
"""Variants that are tested against every checkpoint, as far as the study has them."""
MAIN = "beauty"
BY_USERS = (
    "By users only: theirs is one training each, so a difference may be that of another seed. Ours "
    f"is the mean over its seeds; p: paired bootstrap over users ({RESAMPLES:,} resamples or "
    f"more) of NDCG@10, seen items excluded, corrected by Holm within the table; * p < {LEVEL}, "
    f"with {LEAST_SEEDS} seeds or more of ours. "
    "official: what the source gives, by its own rule (here: seen items at score 0); the other "
    "columns are of its weights."
)


@dataclass(frozen=True)
class Difference:
    """NDCG@10, seen items excluded: ours, averaged over seeds, minus the checkpoint's."""

    mean: float
    p: float
    seeds: int

    @property
    def text(self) -> str:
        star = "*" if self.p < LEVEL and self.seeds >= LEAST_SEEDS else ""
        return f"{signed(self.mean)}{star} (p {p_text(self.p)})"


@lru_cache(maxsize=1)
def blocks(report: Report, results: Path) -> dict[str, str]:
    """A table for each data set that there are checkpoints of, by its name.

    Kept, as a page and a block show the same tables, and their tests take seconds.
    """
    by_dataset: dict[str, list[Checkpoint]] = {}
    for checkpoint in read_checkpoints(results / FILE):
        by_dataset.setdefault(checkpoint.dataset, []).append(checkpoint)
    return {
        dataset: table(dataset, sorted(found, key=order), ours(report, dataset))
        for dataset, found in sorted(by_dataset.items(), key=lambda pair: natural(pair[0]))
    }


def order(checkpoint: Checkpoint) -> tuple[float, str]:
    """The strongest last."""
    return (checkpoint.number("excluded", "ndcg@10") or 0.0, checkpoint.name)


def block(report: Report, results: Path) -> str:
    """Of the main data set, with the sentence of what is tested."""
    return blocks(report, results).get(MAIN, "No checkpoints yet.")


def page(report: Report, results: Path) -> str | None:
    """All data sets; None where there are none."""
    found = blocks(report, results)
    if not found:
        return None
    head = (
        "# Published checkpoints\n\n"
        "Weights that authors have published, ranked on the test items of these data sets, beside "
        "our variants.\n\nMade by `python run.py report` from "
        f"`experiments/results/{FILE}`; `python run.py evaluate --ranks` adds a line to it."
    )
    return "\n\n".join([head, *found.values()]) + "\n"


def ours(report: Report, dataset: str) -> tuple[str, list[Group]]:
    """The study that has most of our variants on the data set, the first of equals, and these."""
    found: list[tuple[str, list[Group]]] = [("", [])]
    for study in STUDIES:
        if of_study := report.table(study, dataset):
            groups = [group for name in OURS if (group := of_study.group(name))]
            found.append((study, groups))
    return max(found, key=lambda one: len(one[1]))


def table(dataset: str, checkpoints: list[Checkpoint], of_us: tuple[str, list[Group]]) -> str:
    """A row a checkpoint, then our variants; below, what is tested."""
    study, groups = of_us
    tested = compared(checkpoints, groups)
    columns = ["model", "official", "score 0", "seen excluded", "seen ranked"]
    columns += [f"{group.variant} minus it, by users" for group in groups]
    rows = []
    for checkpoint in checkpoints:
        found = [tested.get((checkpoint.name, group.variant)) for group in groups]
        differences = ["" if one is None else one.text for one in found]
        texts = [official(checkpoint), *(hr_ndcg(checkpoint, r) for r in (SCORE0, *RULES))]
        rows.append([named(checkpoint), *(escaped(t, MARKDOWN) for t in (*texts, *differences))])
    for group in groups:
        seeds = f"{group.variant} (this repository, study `{study}`, {len(group.lines)} seeds)"
        keys = [(f"HR@10{end}", f"NDCG@10{end}") for end in ("", ", seen ranked")]
        means = ["/".join(mean_text(group.mean(SHOWN[k])) for k in both) for both in keys]
        rows.append([seeds, "", "", *means, *[""] * len(groups)])
    title, below = f"**{dataset}**, HR@10/NDCG@10", escaped(BY_USERS, MARKDOWN)
    return "\n".join([title, "", pipe_table(columns, rows), "", below])


def named(checkpoint: Checkpoint) -> str:
    """The model with a link to where it is from."""
    source, commit = checkpoint.values["source"], checkpoint.values["commit"]
    at = f" at {commit}" if commit else ""
    return escaped(checkpoint.name, MARKDOWN) + (f" ({source_link(source)}{at})" if source else "")


def official(checkpoint: Checkpoint) -> str:
    """At 10, or at whatever the source gives."""
    given = checkpoint.official
    for k in sorted({name.split("@")[1] for name in given}, key=lambda k: (k != "10", int(k))):
        if {f"hr@{k}", f"ndcg@{k}"} <= given.keys():
            text = f"{number_text(given[f'hr@{k}'])}/{number_text(given[f'ndcg@{k}'])}"
            return text if k == "10" else f"{text} at {k}"
    return ""


def hr_ndcg(checkpoint: Checkpoint, rule: str) -> str:
    """`.0865/.0602`: at 10, by a rule for seen items."""
    values = [checkpoint.number(rule, f"{name}@10") for name in ("hr", "ndcg")]
    return "/".join(number_text(value) for value in values if value is not None)


def compared(
    checkpoints: list[Checkpoint], groups: list[Group]
) -> dict[tuple[str, str], Difference]:
    """By checkpoint and variant; none of a checkpoint that was not ranked without seen items.

    Errors: UsageError where they are not of the same users.
    """
    gains: dict[str, FloatArray] = {}
    seeds = {group.variant: len(group.lines) for group in groups}
    theirs = {one.name: own_gain(one) for one in checkpoints} if groups else {}
    parts: dict[tuple[str, str], FloatArray] = {}
    for group in groups:
        mine = np.mean([ndcg(line, gains) for line in group.lines], axis=0)  # [U]
        for checkpoint in checkpoints:
            if checkpoint.values["data_sha256"] != group.lines[0].values.get("data_sha256"):
                raise UsageError(
                    f"{FILE}: {checkpoint.name!r} read other data as {checkpoint.dataset} than "
                    f"{group.lines[0].study} (data_sha256 differs)"
                )
            if (gain := theirs[checkpoint.name]) is not None:
                parts[checkpoint.name, group.variant] = mine - gain
    if not parts:
        return {}
    count = resamples(len(parts))
    p = holm(bootstrap(np.stack([*parts.values()]), count, np.random.default_rng(SEED)))
    return {
        key: Difference(float(np.mean(values)), float(of_key), seeds[key[1]])
        for (key, values), of_key in zip(parts.items(), p, strict=True)
    }


def own_gain(checkpoint: Checkpoint) -> FloatArray | None:
    """[U] NDCG@10, which has to agree with the line's metric; None where the line has neither."""
    ranks = checkpoint.ranks("excluded")
    of_user = None if ranks is None else gain_of(ranks)
    metric = checkpoint.number("excluded", "ndcg@10")
    if of_user is None and metric is None:
        return None
    if of_user is None or metric is None or abs(float(of_user.mean()) - metric) > 1e-6:
        raise UsageError(
            f"{FILE}: {checkpoint.name!r} on {checkpoint.dataset}: hits/excluded and "
            "test/excluded/ndcg@10 are missing or do not agree"
        )
    return of_user
