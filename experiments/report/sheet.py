"""A table as text, before it becomes Markdown, LaTeX, HTML or plain text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from experiments.evaluation.metric_names import TEST_NDCG10, VALID_NDCG10, metric_key
from experiments.record.line import SECONDS
from experiments.report.aggregate import Group, Mean
from experiments.report.compare import Comparison, Table
from experiments.report.notes import notes, published_notes
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
COMPARED = ("difference", "relative", "95 % interval", "d_z", "p (Holm)")
IDENTITY = re.compile(r"best/contrast/[^/]+/identity_rate")
BRIEF = (
    "variant", "seeds", "HR@10", "NDCG@10", "training s", UNCHANGED, "difference", "95 % interval",
    "p (Holm)",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """best: the best mean of its column.  significant: a difference that may be claimed."""

    text: str
    best: bool = False
    significant: bool = False


@dataclass(frozen=True)
class Sheet:
    """rows: as many cells as columns each, the first names the row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    own_notes: tuple[str, ...]
    published_notes: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        return self.own_notes + self.published_notes


def sheet(table: Table, others: list[Published]) -> Sheet:
    """Our rows, then what was published on the data set, under the rule that it used."""
    best = {column: best_of(table, key) for column, key in SHOWN.items()}
    shown = [one for one in others if one.dataset == table.dataset]
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
    rows += [foreign(one, len(extra)) for one in shown]
    columns = ("variant", "seeds", *SHOWN, "valid NDCG@10", "training s", *extra, *COMPARED)
    return Sheet(
        f"{table.study}: {table.dataset}",
        columns,
        tuple(rows),
        tuple(notes(table)),
        tuple(published_notes(shown)),
    )


def brief(full: Sheet) -> Sheet:
    """The columns that matter most; published rows are those that have no seeds, and go."""
    columns = tuple(column for column in BRIEF if column in full.columns)
    kept = [full.columns.index(column) for column in columns]
    seeds = full.columns.index("seeds")
    rows = [tuple(one[i] for i in kept) for one in full.rows if one[seeds].text]
    return Sheet(full.title, columns, tuple(rows), full.own_notes)


def best_of(table: Table, key: str) -> float | None:
    """None where there is nothing to compare with."""
    means = [found.mean for group in table.groups if (found := group.mean(key)) is not None]
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
    rates = [found.mean for key in keys if (found := group.mean(key)) is not None]
    return f"{100 * sum(rates) / len(rates):.0f} %" if rates else ""


def compared(found: Comparison | None) -> tuple[Cell, ...]:
    """Cells of COMPARED; blank for a baseline."""
    if found is None:
        return tuple(Cell("") for _ in COMPARED)
    relative = "" if found.relative is None else f"{100 * found.relative:+.1f} %"
    low_high = "one seed"
    if found.interval is not None:
        low_high = " to ".join(signed(one) for one in found.interval)
    effect = "" if found.effect is None else f"{found.effect:+.2f}"
    p = p_text(found.p) if found.loss else f"{p_text(found.p)} (other loss)"
    difference = Cell(signed(found.difference), significant=found.significant)
    return (difference, Cell(relative), Cell(low_high), Cell(effect), Cell(p))


def foreign(one: Published, extra: int) -> tuple[Cell, ...]:
    """A published row: its two numbers under its own rule; blank in all other columns."""
    own = {"HR@10": one.hr, "NDCG@10": one.ndcg}
    if one.seen == "ranked":
        own = {f"{column}, seen ranked": value for column, value in own.items()}
    numbers = [Cell(number_text(own[column]) if column in own else "") for column in SHOWN]
    blank = [Cell("")] * (2 + extra + len(COMPARED))
    return (Cell(f"published: {one.method} ({one.protocol})"), Cell(""), *numbers, *blank)


def number_text(value: float) -> str:
    """.0543; a metric is below 1 and needs no leading 0."""
    return f"{value:.4f}".removeprefix("0") if 0.0 <= value < 1.0 else f"{value:.4f}"


def mean_text(mean: Mean | None) -> str:
    if mean is None:
        return ""
    spread = "" if mean.sd is None else f" ± {number_text(mean.sd)}"
    return number_text(mean.mean) + spread


def signed(value: float) -> str:
    """+.0031; a difference that rounds to nothing has no sign."""
    text = number_text(abs(value))
    if text == ".0000":
        return text
    return ("+" if value > 0.0 else "-") + text


def p_text(p: float) -> str:
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")
