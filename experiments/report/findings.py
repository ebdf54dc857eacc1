"""What a study found, in sentences: what helps, by how much, and whether that is significant."""

from __future__ import annotations

from typing import Any

from experiments.evaluation.formatting import Trained, side_by_side
from experiments.metric_names import TEST_NDCG10
from experiments.record.line import SECONDS
from experiments.report.compare import Comparison, Table
from experiments.report.numbers import number_text, p_text, signed

LISTED = 4  # variants that a sentence names


def findings(table: Table) -> list[str]:
    """Two or three sentences on test NDCG@10, seen items excluded; none without a comparison.

    Best and worst are of those with the baseline's next-item loss, where there are any; one variant
    alone has no best: its difference is told.
    """
    alike = table.alike
    if not alike:
        return []
    said = [verdict(table)]
    if len(table.comparisons) == 1:
        return [*said, f"The difference: {amount(alike[0][1])}."]
    ends = [("Highest", alike[0]), ("Lowest", alike[-1])][: len(alike)]
    return said + [f"{end}: {group.variant}, {amount(found)}." for end, (group, found) in ends]


def in_one_line(table: Table) -> tuple[str, str]:
    """The verdict and the highest difference of test NDCG@10, for the summary of a page."""
    if not table.alike:
        return uncompared(table), ""
    group, best = table.alike[0]
    star = "*" if best.significant else ""
    return verdict(table), f"{signed(best.difference)}{star} ({group.variant})"


def uncompared(table: Table) -> str:
    """What there is to say where no variant has a baseline."""
    means = [(group.mean(TEST_NDCG10), group) for group in table.groups]
    tested = [(mean.mean, group) for mean, group in means if mean is not None]
    if not tested:
        return "no trial has ended with a test"
    best, group = max(tested, key=lambda pair: pair[0])
    seeds = counted([len(group.lines)])
    return f"nothing is compared; {group.variant} has {number_text(best)} ({seeds})"


def commands(table: Table) -> list[str]:
    """What trains each variant's first seed; the others differ in `--seed`."""
    return [f"`python {group.lines[0].command} --data-dir DIR`" for group in table.groups]


def printed(table: Table) -> str:
    """What `python run.py` prints of the first seed of each variant, at its end."""
    rows = []
    for group in table.groups:
        values = group.lines[0].values
        metrics = metrics_of(values, "test/excluded/")
        best, epochs, seconds = (values[key] for key in ("best_epoch", "epochs", SECONDS))
        rows.append(Trained(group.variant, metrics, best, epochs, seconds))
    return f"```\n$ python run.py\n\n{side_by_side(rows)}\n```"


def metrics_of(values: dict[str, Any], start: str) -> dict[str, float]:
    return {
        key.removeprefix(start): value for key, value in values.items() if key.startswith(start)
    }


def verdict(table: Table) -> str:
    """How many differ significantly from their baseline, how many do not, how many are untested."""
    compared = table.ranked
    tested = [pair for pair in compared if not pair[1].exploratory]
    if not tested:
        counts = sorted({len(comparison.seeds) for _, comparison in compared})
        return f"{subject(table)}: exploratory ({counted(counts)}), nothing is tested."
    significant = [
        (group.variant, found.difference) for group, found in tested if found.significant
    ]
    above = [name for name, difference in significant if difference > 0.0]
    below = [name for name, difference in significant if difference < 0.0]
    other = sum(not found.loss for _, found in tested)
    rest = len(tested) - len(above) - len(below) - other
    parts = [
        f"{len(names)} significantly {side} ({listed(names)})"
        if len(tested) > 1
        else f"significantly {side}"
        for side, names in (("above", above), ("below", below))
        if names
    ]
    if rest:
        all_of_them = "" if rest == len(tested) else f" for {rest}"
        parts.append(f"no significant difference{all_of_them}")
    if other:
        told = "another next-item loss, not judged"
        parts.append(f"{other} with {told}" if len(tested) > 1 else told)
    if len(tested) < len(compared):
        parts.append(f"{len(compared) - len(tested)} exploratory")
    counts = sorted({len(comparison.seeds) for _, comparison in tested})
    return f"{subject(table)}, {counted(counts)}: {'; '.join(parts)}."


def subject(table: Table) -> str:
    """Who is compared with what: `11 variants against sasrec (.0572)`."""
    compared = table.ranked
    names = list(dict.fromkeys(comparison.baseline for _, comparison in compared))
    shown = []
    for name in names[:LISTED]:
        group = table.group(name)
        mean = group.mean(TEST_NDCG10) if group is not None else None
        shown.append(name if mean is None else f"{name} ({number_text(mean.mean)})")
    if len(names) > LISTED:
        shown = ["their own baselines"]
    count = f"{len(compared)} variants" if len(compared) > 1 else compared[0][0].variant
    return f"{count} against {' and '.join(shown)}"


def counted(seeds: list[int]) -> str:
    """`3 seeds`, `2 to 3 seeds`."""
    ends = " to ".join(str(count) for count in dict.fromkeys((seeds[0], seeds[-1])))
    return f"{ends} seed{'s' * (seeds[-1] > 1)}"


def amount(comparison: Comparison) -> str:
    """`+.0012 (+2.1 %; 95 % interval -.0003 to +.0027; p .030)`."""
    relative = comparison.relative
    parts = [] if relative is None else [f"{100 * relative:+.1f} %"]
    if comparison.interval is None or comparison.p is None:
        parts.append(f"exploratory, {counted([len(comparison.seeds)])}")
    else:
        parts.append(f"95 % interval {' to '.join(map(signed, comparison.interval))}")
        parts.append(f"p {p_text(comparison.p)}")
    if not comparison.loss:
        parts.append("another next-item loss")
    return f"{signed(comparison.difference)} ({'; '.join(parts)})"


def listed(names: list[str]) -> str:
    shown = names[:LISTED]
    more = [f"{len(names) - LISTED} more"] if len(names) > LISTED else []
    return ", ".join([*shown, *more])
