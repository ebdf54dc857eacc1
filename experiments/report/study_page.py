"""The page of a study among the results: all that its lines say, as Markdown."""

from __future__ import annotations

from experiments.report.compare import Table
from experiments.report.findings import commands, findings, uncompared
from experiments.report.formats import MARKDOWN, bullets, escaped, markdown
from experiments.report.notes import origin_notes
from experiments.report.published import Published
from experiments.report.searches import search_sheet
from experiments.report.sheet import sheet


def study_page(study: str, tables: list[Table], others: list[Published]) -> str:
    """A table of every column for each data set, its findings, its search and its commands."""
    up = "../" * (2 + study.count("/"))
    parts = [
        f"# {escaped(study, MARKDOWN)}",
        escaped(tables[0].question, MARKDOWN),
        f"Made by `python run.py report` from `experiments/results/{study}.jsonl`. "
        f"[How to read it]({up}BENCHMARK.md#method); "
        f"[where published rows are from]({up}BENCHMARK.md#published-rows).",
    ]
    for table in tables:
        if table.groups:
            parts += [markdown(sheet(table, others)), bullets(findings(table))]
        else:
            parts += [f"**{escaped(table.dataset, MARKDOWN)}**: {uncompared(table)}."]
            parts += [escaped(note, MARKDOWN) for note in origin_notes(table)]
        if table.searched or table.pruned:
            parts.append(markdown(search_sheet(table)))
    runs = dict.fromkeys(command for table in tables for command in commands(table))
    if runs:
        parts += ["The first seed of each row (`--seed` gives the others):", bullets([*runs])]
    return "\n\n".join(part for part in parts if part) + "\n"
