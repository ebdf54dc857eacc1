"""Beauty in three rows, ours beside what was published."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.report.compare import Comparison, Table
from experiments.report.formats import MARKDOWN, escaped
from experiments.report.numbers import mean_text, number_text, p_text, signed
from experiments.report.pipe_table import pipe_table
from experiments.report.published import Published
from experiments.report.sheet import SHOWN
from experiments.report.studies import Report

DATASET = "beauty"
COLUMNS = (
    "method", "HR@10", "NDCG@10", "published HR@10/NDCG@10 (source)", "seeds",
    "significant vs SASRec?",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A variant of a study, and the published row that is set beside it."""

    method: str
    study: str
    variant: str
    published: tuple[str, str] | None = None  # method and source


ROWS = (
    Row("SASRec (width 256)", "recipes", "sasrec", ("SASRec", "arXiv:2507.16289")),
    Row("best without attributes", "recipes", "best without attributes"),
    Row("best", "recipes", "best whole"),
)
STUDIES = tuple(dict.fromkeys(row.study for row in ROWS))
BELOW = (
    "Seen items excluded; mean ± standard deviation over seeds. Published numbers are not directly "
    "comparable: settings and losses differ."
)


def headline(report: Report) -> str:
    """A pipe table and the sentence below it."""
    rows = []
    for row in ROWS:
        table = report.table(row.study, DATASET)
        if table is not None and table.group(row.variant) is not None:
            rows.append(cells(row, table, report.others))
    return "\n".join([pipe_table(COLUMNS, rows), "", BELOW])


def cells(row: Row, table: Table, others: list[Published]) -> list[str]:
    group = table.group(row.variant)
    assert group is not None
    metrics = [mean_text(group.mean(SHOWN[name])) for name in ("HR@10", "NDCG@10")]
    beside = next(
        (
            other
            for other in others
            if other.dataset == DATASET and (other.method, other.source) == row.published
        ),
        None,
    )
    texts = [row.method, *metrics, published_text(beside), str(len(group.lines))]
    verdict = significance(table.comparisons.get(row.variant))
    return [escaped(text, MARKDOWN) for text in (*texts, verdict)]


def published_text(other: Published | None) -> str:
    if other is None:
        return ""
    rule = {"excluded": "", "ranked": "; seen items ranked"}.get(other.seen, "; rule not stated")
    numbers = f"{number_text(other.hr)}/{number_text(other.ndcg)}"
    return f"{numbers} ({other.source}; {other.next_item}{rule})"


def significance(comparison: Comparison | None) -> str:
    """`yes, below: -.0036 (p <.001)`."""
    if comparison is None:
        return "baseline"
    if comparison.p is None:
        return "exploratory"
    side = "above" if comparison.difference > 0.0 else "below"
    said = f"yes, {side}" if comparison.significant else "no"
    return f"{said}: {signed(comparison.difference)} (p {p_text(comparison.p)})"
