"""What a study found, in sentences: what helps, by how much, at what confidence."""

from __future__ import annotations

from typing import Any

from experiments.evaluation.formatting import headed
from experiments.evaluation.metric_names import RULES, TEST_NDCG10
from experiments.report.compare import Comparison, Table
from experiments.report.sheet import number_text, p_text, signed

LISTED = 4  # variants that a sentence names


def findings(table: Table) -> list[str]:
    """Two or three sentences on test NDCG@10, seen items excluded; none without a comparison.

    Best and worst are of those with the baseline's next-item loss, where there are any; one variant
    alone has no best: its difference is told.
    """
    compared = sorted(table.comparisons.items(), key=lambda pair: -pair[1].difference)
    if not compared:
        return []
    said = [verdict(table, compared)]
    if len(compared) == 1:
        return [*said, f"The difference: {amount(compared[0][1])}."]
    alike = [pair for pair in compared if pair[1].loss] or compared
    ends = [("Best", alike[0]), ("Worst", alike[-1])][: len(alike)]
    return said + [f"{end}: {name}, {amount(one)}." for end, (name, one) in ends]


def commands(table: Table) -> list[str]:
    """What trains each variant's first seed; the others differ in `--seed`."""
    return [f"`python {group.lines[0].values['command']} --data-dir DIR`" for group in table.groups]


def printed(table: Table) -> str:
    """What training each variant's first seed printed at its end, under its command."""
    shown = []
    for group in table.groups:
        values = group.lines[0].values
        metrics = {rule: metrics_of(values, f"test/{rule}/") for rule in RULES}
        text = headed("test", values["best_epoch"], values["epochs"], metrics)
        took = f"training {values['seconds/train']:.0f} s"
        shown.append(f"$ python {values['command']}\n\n{text}\n{took}")
    return "```\n{}\n```".format("\n\n".join(shown))


def metrics_of(values: dict[str, Any], start: str) -> dict[str, float]:
    return {key.removeprefix(start): one for key, one in values.items() if key.startswith(start)}


def verdict(table: Table, compared: list[tuple[str, Comparison]]) -> str:
    """How many are above or below their baseline, and of how many that may be claimed."""
    above = [name for name, one in compared if one.significant and one.difference > 0.0]
    below = [name for name, one in compared if one.significant and one.difference < 0.0]
    rest = len(compared) - len(above) - len(below)
    parts = [
        f"{len(some)} {is_are(len(some))} claimed to be {side} ({listed(some)})"
        if len(compared) > 1
        else f"claimed to be {side}"
        for side, some in (("above", above), ("below", below))
        if some
    ]
    if rest:
        parts.append(f"of {rest} no difference is claimed" if parts else "no difference is claimed")
    return f"{subject(table, compared)}: {'; '.join(parts)}."


def subject(table: Table, compared: list[tuple[str, Comparison]]) -> str:
    """Who is compared with what: `11 variants against sasrec (.0572) over 2 seeds`."""
    names = list(dict.fromkeys(one.baseline for _, one in compared))
    shown = []
    for name in names[:LISTED]:
        group = table.group(name)
        mean = group.mean(TEST_NDCG10) if group is not None else None
        shown.append(name if mean is None else f"{name} ({number_text(mean.mean)})")
    if len(names) > LISTED:
        shown = ["their own baselines"]
    counts = sorted({len(one.seeds) for _, one in compared})
    seeds = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    count = f"{len(compared)} variants" if len(compared) > 1 else compared[0][0]
    return f"{count} against {' and '.join(shown)}, {seeds} seed{'s' * (counts[-1] > 1)}"


def amount(one: Comparison) -> str:
    """`+.0012 (+2.1 %; 95 % interval -.0003 to +.0027; p .030)`."""
    parts = [] if one.relative is None else [f"{100 * one.relative:+.1f} %"]
    if one.interval is not None:
        parts.append(f"95 % interval {' to '.join(map(signed, one.interval))}")
    parts.append(f"p {p_text(one.p)}")
    if not one.loss:
        parts.append("another next-item loss")
    return f"{signed(one.difference)} ({'; '.join(parts)})"


def listed(names: list[str]) -> str:
    shown = names[:LISTED]
    more = [f"{len(names) - LISTED} more"] if len(names) > LISTED else []
    return ", ".join([*shown, *more])


def is_are(count: int) -> str:
    return "is" if count == 1 else "are"
