"""A table as text, before it becomes Markdown, LaTeX, HTML or plain text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from experiments.metric_names import RULES, TEST_NDCG10, VALID_NDCG10, metric_key
from experiments.record.line import SECONDS
from experiments.report.aggregate import Group
from experiments.report.compare import Comparison, Table
from experiments.report.notes import notes, origin_notes
from experiments.report.numbers import mean_text, number_text, p_text, signed
from experiments.report.published import Published
from experiments.training.device_name import is_cpu

SHOWN = {
    "HR@10": metric_key("test", "excluded", "hr@10"),
    "NDCG@10": TEST_NDCG10,
    "HR@10, seen ranked": metric_key("test", "ranked", "hr@10"),
    "NDCG@10, seen ranked": metric_key("test", "ranked", "ndcg@10"),
}
"""Test metrics of a table; seen items are excluded where nothing is said."""
UNCHANGED = "views unchanged"
"""Share of the views of all tasks that are equal to their input, where variants differ in it."""
COMPARED = ("difference", "relative", "95 % interval", "d_z", "p (Holm)", "detectable")
IDENTITY = re.compile(r"best/contrast/.+/identity_rate")
BRIEF = (
    "variant", "seeds", "HR@10", "NDCG@10", "training s", UNCHANGED, "difference", "95 % interval",
    "p (Holm)",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """best: the best mean of its column.  significant: a difference that is."""

    text: str
    best: bool = False
    significant: bool = False


@dataclass(frozen=True)
class Sheet:
    """rows: as many cells as columns each, the first names the row.

    notes: what the table can show.  origins: what its lines come from.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]
    origins: tuple[str, ...] = ()


def sheet(table: Table, others: list[Published]) -> Sheet:
    """Our rows, then what was published on the data set, under the rule that it used."""
    best = {column: best_of(table, key) for column, key in SHOWN.items()}
    shown = [row for row in others if row.dataset == table.dataset and row.seen in RULES]
    views = [unchanged(group) for group in table.groups]
    extra = (UNCHANGED,) if len({*filter(None, views)}) > 1 else ()
    rows = [
        (
            *row(group, best),
            *(Cell(text) for _ in extra),
            *compared(table.comparisons.get(group.variant)),
        )
        for group, text in zip(table.groups, views, strict=True)
    ]
    rows += [foreign(row, len(extra)) for row in shown]
    columns = ("variant", "seeds", *SHOWN, "valid NDCG@10", "training s", *extra, *COMPARED)
    return Sheet(
        f"{table.study}: {table.dataset}",
        columns,
        tuple(rows),
        tuple(notes(table)),
        tuple(origin_notes(table)),
    )


def brief(full: Sheet) -> Sheet:
    """The columns that matter most; published rows, which have no seeds, and origins go."""
    columns = tuple(column for column in BRIEF if column in full.columns)
    kept = [full.columns.index(column) for column in columns]
    seeds = full.columns.index("seeds")
    rows = [tuple(cells[i] for i in kept) for cells in full.rows if cells[seeds].text]
    return Sheet(full.title, columns, tuple(rows), full.notes)


def best_of(table: Table, key: str) -> float | None:
    """None where there is nothing to compare with."""
    means = [mean.mean for group in table.groups if (mean := group.mean(key)) is not None]
    return max(means) if len(means) > 1 else None


def row(group: Group, best: dict[str, float | None]) -> tuple[Cell, ...]:
    """Cells of a variant alone."""
    cells = [Cell(group.variant), Cell(str(len(group.lines)))]
    for column, key in SHOWN.items():
        mean = group.mean(key)
        is_best = mean is not None and mean.mean == best[column]
        cells.append(Cell(mean_text(mean), best=is_best))
    cells += [Cell(mean_text(group.mean(VALID_NDCG10))), Cell(seconds_text(group))]
    return tuple(cells)


def seconds_text(group: Group) -> str:
    """Mean over seeds, with a mark for a GPU's; empty where some are of a GPU and some are not."""
    seconds = group.mean(SECONDS)
    kinds = {is_cpu(str(line.values.get("device"))) for line in group.lines}
    if seconds is None or len(kinds) > 1:
        return ""
    return f"{seconds.mean:,.0f}{'' if kinds == {True} else ' (GPU)'}"


def unchanged(group: Group) -> str:
    """Mean over seeds and tasks; empty where there are no views."""
    keys = [key for key in group.lines[0].values if IDENTITY.fullmatch(key)]
    rates = [mean.mean for key in keys if (mean := group.mean(key)) is not None]
    return f"{100 * sum(rates) / len(rates):.0f} %" if rates else ""


def compared(comparison: Comparison | None) -> tuple[Cell, ...]:
    """Cells of COMPARED; blank for a baseline, and no test for a row of few seeds."""
    if comparison is None:
        return tuple(Cell("") for _ in COMPARED)
    relative = "" if comparison.relative is None else f"{100 * comparison.relative:+.1f} %"
    difference = Cell(signed(comparison.difference), significant=comparison.significant)
    other = "" if comparison.loss else " (other loss)"
    if comparison.interval is None or comparison.p is None:
        blank = [Cell("")] * (len(COMPARED) - 3)
        return (difference, Cell(relative), Cell(f"exploratory{other}"), *blank)
    low_high = " to ".join(map(signed, comparison.interval))
    effect = "" if comparison.effect is None else f"{comparison.effect:+.2f}"
    p = f"{p_text(comparison.p)}{other}"
    smallest = "" if comparison.detectable is None else number_text(comparison.detectable)
    return (difference, Cell(relative), Cell(low_high), Cell(effect), Cell(p), Cell(smallest))


def foreign(published: Published, extra: int) -> tuple[Cell, ...]:
    """A published row: its two numbers under its own rule; blank in all other columns."""
    own = {"HR@10": published.hr, "NDCG@10": published.ndcg}
    if published.seen == "ranked":
        own = {f"{column}, seen ranked": value for column, value in own.items()}
    numbers = [Cell(number_text(own[column]) if column in own else "") for column in SHOWN]
    name = f"published: {published.method} ({published.source}; {published.protocol})"
    blank = [Cell("")] * (2 + extra + len(COMPARED))
    return (Cell(name), Cell(""), *numbers, *blank)
