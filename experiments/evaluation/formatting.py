"""What a finished run says of its metrics, on a terminal and in a page."""

from __future__ import annotations

ACCURACY = ("hr", "ndcg", "mrr")
Metrics = dict[str, dict[str, float]]


def table(metrics: Metrics) -> str:
    """Metrics of one split under each rule, as lines of text: accuracy, and below it what is
    recommended, where that was asked for."""
    names = list(metrics["excluded"])
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
