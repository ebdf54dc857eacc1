"""A sheet as Markdown, LaTeX and plain text; a table as CSV with every number."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Sequence

from experiments.metric_names import RULES, TEST_METRICS, VALID_NDCG10, metric_key
from experiments.record.line import SECONDS
from experiments.record.order import natural
from experiments.report.aggregate import Group
from experiments.report.compare import Comparison, Table
from experiments.report.notes import CAPTION
from experiments.report.pipe_table import pipe_table
from experiments.report.published import Published
from experiments.report.sheet import Cell, Sheet

MARKDOWN = {mark: f"\\{mark}" for mark in "\\|*_`[]<>"}
LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "<": r"$<$", ">": r"$>$", **{mark: f"\\{mark}" for mark in "&%$#_{}"},
}  # fmt: skip
COMPARED = ("baseline", "pairs", "difference", "relative", "low", "high", "d_z", "p_holm",
            "detectable", "same_loss", "significant")  # fmt: skip


def escaped(text: str, marks: dict[str, str]) -> str:
    """On one line, with the characters that mean something written so that they do not."""
    return "".join(marks.get(letter, letter) for letter in " ".join(text.split()))


def markdown(sheet: Sheet) -> str:
    """A pipe table and its notes; the best in bold, what is significant with a star."""

    def shown(cell: Cell) -> str:
        text = escaped(cell.text, MARKDOWN)
        text = f"**{text}**" if cell.best else text
        return text + "\\*" if cell.significant else text

    columns = [escaped(name, MARKDOWN) for name in sheet.columns]
    table = pipe_table(columns, (map(shown, cells) for cells in sheet.rows))
    said = [escaped(note, MARKDOWN) for note in (*sheet.notes, *sheet.origins)]
    return "\n".join([f"**{escaped(sheet.title, MARKDOWN)}**", "", table, "", *said]).rstrip()


def bullets(lines: list[str]) -> str:
    """A Markdown list; what stands in backquotes stays as it is."""
    return "\n".join(f"- {line if '`' in line else escaped(line, MARKDOWN)}" for line in lines)


def latex(sheet: Sheet) -> str:
    """A table of booktabs."""

    def shown(cell: Cell) -> str:
        text = escaped(cell.text, LATEX)
        text = rf"\textbf{{{text}}}" if cell.best else text
        return text + "$^{*}$" if cell.significant else text

    rows = [" & ".join(map(shown, cells)) + r" \\" for cells in sheet.rows]
    head = " & ".join(escaped(name, LATEX) for name in sheet.columns) + r" \\"
    said = (f"{sheet.title}.", *CAPTION, *sheet.notes, *sheet.origins)
    caption = " ".join(escaped(text, LATEX) for text in said)
    body = "\n".join([r"\toprule", head, r"\midrule", *rows, r"\bottomrule"])
    columns = "l" + "r" * (len(sheet.columns) - 1)
    return (
        "\\begin{table}\n\\centering\n"
        f"\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}\n"
        f"\\caption{{{caption}}}\n\\end{{table}}\n"
    )


def plain(sheet: Sheet) -> str:
    """Aligned columns, a star for what is significant; text has no bold for the best."""
    texts = [[cell.text + "*" * cell.significant for cell in cells] for cells in sheet.rows]
    grid = [list(sheet.columns), *texts]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    align = ["<", *[">"] * (len(widths) - 1)]
    lines = [
        "  ".join(f"{text:{side}{w}}" for text, side, w in zip(row, align, widths, strict=True))
        for row in grid
    ]
    said = [textwrap.fill(note, 100) for note in (*sheet.notes, *sheet.origins)]
    return "\n".join([sheet.title, "", *(line.rstrip() for line in lines), "", *said])


def as_csv(tables: list[Table], others: list[Published]) -> str:
    """A row a variant and data set: every cutoff and rule, mean and standard deviation."""
    file = io.StringIO()
    keys = (*TEST_METRICS, *further_metrics(tables), VALID_NDCG10, SECONDS)
    metrics = [f"{key} {part}" for key in keys for part in ("mean", "sd")]
    out = csv.writer(file, lineterminator="\n")
    out.writerow(["study", "dataset", "variant", "source", "seeds", *metrics, *COMPARED])
    for table in tables:
        for group in table.groups:
            start = [table.study, table.dataset, group.variant, "results", len(group.lines)]
            compared_cells = cells_of(table.comparisons.get(group.variant))
            out.writerow([*start, *numbers(group, keys), *compared_cells])
        for row in others:
            if row.dataset == table.dataset and row.seen in RULES:
                own = {
                    f"{metric_key('test', row.seen, 'hr@10')} mean": row.hr,
                    f"{metric_key('test', row.seen, 'ndcg@10')} mean": row.ndcg,
                }
                values = [own.get(name, "") for name in metrics]
                source = f"{row.source}, {row.where}; {row.protocol}"
                start = [table.study, table.dataset, row.method, source, ""]
                out.writerow([*start, *values, *[""] * len(COMPARED)])
    return file.getvalue()


def further_metrics(tables: list[Table]) -> list[str]:
    """Test metrics that some lines have besides the usual ones: other cutoffs, a third rule,
    coverage and the like."""
    lines = [line for table in tables for group in table.groups for line in group.lines]
    found = {key for line in lines for key in line.values if key.startswith("test/")}
    return sorted(found - {*TEST_METRICS}, key=natural)


def numbers(group: Group, keys: Sequence[str]) -> list[object]:
    means = [group.mean(key) for key in keys]
    return [blank(part) for mean in means for part in ((mean.mean, mean.sd) if mean else ("", ""))]


def cells_of(comparison: Comparison | None) -> list[object]:
    if comparison is None:
        return [""] * len(COMPARED)
    low, high = comparison.interval or (None, None)
    tested = (comparison.effect, comparison.p, comparison.detectable)
    parts = (comparison.difference, comparison.relative, low, high, *tested)
    start: list[object] = [comparison.baseline, len(comparison.seeds)]
    return [*start, *map(blank, parts), comparison.loss, comparison.significant]


def blank(value: object) -> object:
    """Twelve digits of a number: more than are meant, and the same on every machine."""
    return "" if value is None else f"{value:.12g}" if isinstance(value, float) else value
