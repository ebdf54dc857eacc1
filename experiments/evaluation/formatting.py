"""What a finished run says of its metrics, on a terminal and in a page."""

from __future__ import annotations

from dataclasses import dataclass

ACCURACY = ("hr", "ndcg", "mrr")
SHOWN = ("hr@10", "ndcg@10", "mrr@10")
Metrics = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Trained:
    """One training of a model.

    metrics: of test, seen items excluded.  epochs: 0 for a model that only counts.
    """

    name: str
    metrics: dict[str, float]
    best_epoch: int
    epochs: int
    seconds: float


def table(metrics: Metrics) -> str:
    """Metrics of one split under each rule, as lines of text: accuracy, and below it what is
    recommended, where that was asked for."""
    names = list(next(iter(metrics.values())))
    accuracy = [name for name in names if name.split("@")[0] in ACCURACY]
    parts = [rows(accuracy, metrics), rows([n for n in names if n not in accuracy], metrics)]
    return "\n\n".join(filter(None, parts))


def rows(names: list[str], metrics: Metrics) -> str:
    """A row for each rule; "" without names."""
    if not names:
        return ""
    widths = [max(9, len(name) + 2) for name in names]
    titles = [f"{name.upper():>{w}}" for name, w in zip(names, widths, strict=True)]
    lines = ["seen items " + "".join(titles)]
    for rule, values in metrics.items():
        cells = [f"{values[name]:{w}.4f}" for name, w in zip(names, widths, strict=True)]
        lines.append(f"{rule:<11}" + "".join(cells))
    return "\n".join(lines)


def headed(split: str, best_epoch: int, epochs: int, metrics: Metrics) -> str:
    """The same, under which model they are of."""
    return f"{split}, at the best epoch {best_epoch} of {epochs}:\n{table(metrics)}"


def side_by_side(rows: list[Trained]) -> str:
    """A row for each model, those that only count first, and what their difference means."""
    ordered = sorted(rows, key=lambda row: row.epochs > 0)
    wide = max(len(row.name) for row in ordered) + 2
    titles = "".join(f"{name.upper():>9}" for name in SHOWN)
    lines = [
        "test, seen items excluded, at the epoch that validation chose:",
        f"{'model':<{wide}}{titles}  best epoch  training",
    ]
    for row in ordered:
        numbers = "".join(f"{row.metrics[name]:9.4f}" for name in SHOWN)
        cost = f"{f'{row.best_epoch} of {row.epochs}':>12}{f'{row.seconds:.0f} s':>10}"
        lines.append(f"{row.name:<{wide}}{numbers}{cost if row.epochs else ''}")
    learnt = [row for row in ordered if row.epochs]
    meaning = [f"\n{meant(*learnt)}"] if len(learnt) == 2 else []
    return "\n".join([*lines, *meaning])


def meant(before: Trained, after: Trained) -> str:
    """How far the second is from the first in NDCG@10; that one training each decides nothing."""
    one, other = before.metrics["ndcg@10"], after.metrics["ndcg@10"]
    percent = f" ({100 * abs(other - one) / one:.1f} %)" if one else ""
    side = "above" if other > one else "below"
    size = f"{abs(other - one):.4f}"
    far = f"{size}{percent} {side}" if float(size) else "the same, to four digits, as"
    return (
        f"NDCG@10 of {after.name} is {far} that of {before.name}."
        "\nThis is one training each, from one seed: it does not say which model is better. "
        "Another\nseed can turn it round; a study with three seeds or more tests the difference."
    )
