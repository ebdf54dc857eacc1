"""What a finished run says of its metrics, on a terminal and in a page."""

from __future__ import annotations

Metrics = dict[str, dict[str, float]]


def table(metrics: Metrics) -> str:
    """Metrics of one split under both rules, as lines of text."""
    names = list(metrics["excluded"])
    lines = ["seen items " + "".join(f"{name.upper():>9}" for name in names)]
    for rule, values in metrics.items():
        lines.append(f"{rule:<11}" + "".join(f"{values[name]:9.4f}" for name in names))
    return "\n".join(lines)


def headed(split: str, best_epoch: int, epochs: int, metrics: Metrics) -> str:
    """The same, under which model they are of."""
    return f"{split}, at the best epoch {best_epoch} of {epochs}:\n{table(metrics)}"
