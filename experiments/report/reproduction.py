"""Do published results come out again?  Papers, their weights and our trainings, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from experiments.metric_names import SCORE0, metric_key
from experiments.record.checkpoints import FILE, Checkpoint, read_checkpoints
from experiments.report.aggregate import Group
from experiments.report.checkpoints import hr_ndcg
from experiments.report.compare import Table
from experiments.report.formats import MARKDOWN, escaped
from experiments.report.numbers import mean_text, number_text
from experiments.report.pipe_table import pipe_table
from experiments.report.published import Published, source_link
from experiments.report.studies import Report

NAME = "reproduction"
STUDY = "published"
"""Trainings in the settings of the papers' own code; its variants are presets `published/*`."""
WIDE = "contrast"
"""The study that has the contrasts of the same methods on our strongest SASRec, by short names."""
BAR = 0.05
"""As far as NDCG@10 may be from the paper's, as a share of it, to be the same result."""
RULES = {SCORE0: "seen at score 0", "excluded": "seen excluded", "ranked": "seen ranked"}
OTHER_DATA = "another 5-core of the data"
"""In a published row's notes: its numbers are not of the same users and items."""
COLUMNS = (
    "method", "rule", "paper", "its weights", "ours, its settings", "of the paper's NDCG@10",
    f"within {BAR:.0%}?", "ours, on `sasrec-wide`",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A method in its own settings, and what others say of it.

    paper: None where nobody published this loss on this data set.
    """

    method: str
    ours: Group
    paper: Published | None
    weights: Checkpoint | None
    wide: Group | None

    @property
    def rule(self) -> str | None:
        """The rule that the paper ranked by; None where it is not known."""
        if self.paper is None or self.paper.seen == "unstated":
            return None
        return SCORE0 if "score 0" in self.paper.notes else self.paper.seen

    @property
    def share(self) -> float | None:
        """NDCG@10 of our training over the paper's, by the paper's rule."""
        if self.paper is None or self.rule is None:
            return None
        mean = self.ours.mean(metric_key("test", self.rule, "ndcg@10"))
        return None if mean is None else mean.mean / self.paper.ndcg


def rows(table: Table, report: Report, checkpoints: list[Checkpoint]) -> list[Row]:
    """One for each variant of the study on this data set, in its order."""
    wide = report.table(WIDE, table.dataset)
    found = []
    for group in table.groups:
        short = group.variant.rpartition("/")[2]
        method = short.removesuffix("-bce")
        loss = group.lines[0].loss
        papers = [
            row
            for row in report.others
            if (row.dataset, row.method.lower()) == (table.dataset, method)
            if row.next_item in (loss, "loss not stated")
        ]
        weights = [
            one for one in checkpoints if (one.dataset, one.name.lower()) == (table.dataset, method)
        ]
        name = papers[0].method if papers else short
        ours = None if wide is None else wide.group(short)
        found.append(Row(name, group, next(iter(papers), None), next(iter(weights), None), ours))
    return found


def block(report: Report, results: Path) -> str:
    """All data sets of the study."""
    tables = report.tables(STUDY) if STUDY in report.files else []
    checkpoints = read_checkpoints(results / FILE)
    parts = [
        f"**{table.dataset}**, HR@10/NDCG@10\n\n"
        + pipe_table(COLUMNS, map(cells, rows(table, report, checkpoints)))
        for table in tables
    ]
    return "\n\n".join([*parts, BELOW]) if parts else "Not trained yet."


BELOW = (
    "paper: what the source gives, by its rule for seen items. its weights: published weights, "
    "ranked again. ours, its settings: trained here in the settings of the paper's code (presets "
    "`published/*` name every departure). ours, on `sasrec-wide`: its contrast on our strongest "
    "SASRec, seen excluded. One training where no spread is given; nothing is tested here."
)


def cells(row: Row) -> list[str]:
    rule = row.rule or "excluded"
    share = row.share
    told = "" if share is None else ("yes" if abs(share - 1.0) <= BAR else "no")
    if row.paper is not None and OTHER_DATA in row.paper.notes:
        told = OTHER_DATA
    return [
        escaped(row.method, MARKDOWN),
        RULES[rule] if row.rule else "not stated; ours: seen excluded",
        "" if row.paper is None else paper_text(row.paper),
        "" if row.weights is None else hr_ndcg(row.weights, rule),
        group_text(row.ours, rule),
        "" if share is None else f"{share - 1.0:+.1%}",
        told,
        "" if row.wide is None else group_text(row.wide, "excluded"),
    ]


def paper_text(paper: Published) -> str:
    return f"{number_text(paper.hr)}/{number_text(paper.ndcg)} ({source_link(paper.source)})"


def group_text(group: Group, rule: str) -> str:
    """HR@10/NDCG@10 of our trainings, with spreads where there are several."""
    means = [group.mean(metric_key("test", rule, f"{name}@10")) for name in ("hr", "ndcg")]
    return "/".join(mean_text(mean) for mean in means)
