"""What a search has tried, and how it came out by validation."""

from __future__ import annotations

from experiments.metric_names import VALID_NDCG10
from experiments.record.labels import short_names, shown
from experiments.record.line import Line
from experiments.report.compare import Table
from experiments.report.numbers import number_text
from experiments.report.sheet import Cell, Sheet

ENDS = ("valid NDCG@10", "epochs")


def search_sheet(table: Table) -> Sheet:
    """A row a trial, the best first, those that were stopped early last."""
    lines = sorted((*table.searched, *table.pruned), key=place)
    drawn = list(dict.fromkeys(key for line in lines for key in line.axes if key != "model"))
    names = short_names(drawn)
    constant = {
        key
        for key in drawn
        if all(key in line.axes for line in lines)
        and len({str(line.axes[key]) for line in lines}) == 1
    }
    axes = [key for key in drawn if key not in constant]
    columns = ("trial", *(names[key] for key in axes), *ENDS)
    notes = [
        f"{names[key]}: {shown(lines[0].axes[key])} in all." for key in drawn if key in constant
    ]
    return Sheet(
        f"{table.study}: {table.dataset}, trials of the search",
        columns,
        tuple(row(line, axes) for line in lines),
        (*notes, "Of a pruned trial the best epoch until then; none has looked at test."),
    )


def place(line: Line) -> tuple[bool, float]:
    return line.status == "pruned", -(line.number(VALID_NDCG10) or 0.0)


def row(line: Line, axes: list[str]) -> tuple[Cell, ...]:
    """Cells of a trial; blank for a field that its model does not have."""
    values = [shown(line.axes[key]) if key in line.axes else "" for key in axes]
    valid = line.number(VALID_NDCG10)
    epochs = f"{line.number('epochs') or 0:.0f}{', pruned' * (line.status == 'pruned')}"
    texts = [line.variant, *values, "" if valid is None else number_text(valid), epochs]
    return tuple(Cell(text) for text in texts)
