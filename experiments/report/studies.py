"""The studies in the results, each read and compared when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from experiments.errors import UsageError, did_you_mean
from experiments.record.results_file import read_lines
from experiments.report.compare import Table, tables
from experiments.report.findings import commands, findings, printed
from experiments.report.formats import bullets, markdown
from experiments.report.published import Published, published
from experiments.report.searches import search_sheet
from experiments.report.sheet import Sheet, brief, sheet

SAID: dict[str, Callable[[Table], str]] = {
    "findings": lambda table: bullets(findings(table)),
    "commands": lambda table: bullets(commands(table)),
    "printed": printed,
    "search": lambda table: markdown(search_sheet(table)),
}
"""What a block may say of a table instead of showing it, by its option."""
OPTIONS = ("brief", "ours", *SAID)
"""Without one, a block is the whole table; brief: fewer columns, ours: no published rows."""


class Report:
    """What the files say.

    files: {study: the file of its results}.
    """

    def __init__(self, files: dict[str, Path]) -> None:
        self.files = files
        self.others: list[Published] = published()
        self._tables: dict[str, list[Table]] = {}

    def tables(self, study: str) -> list[Table]:
        if study not in self._tables:
            path = self.files[study]
            lines = read_lines(path)
            for number, line in enumerate(lines, 1):
                if line.study != study:
                    raise UsageError(f"{path.name}:{number}: is of the study {line.study!r}")
            self._tables[study] = tables(lines)
        return self._tables[study]

    def table(self, study: str, dataset: str) -> Table | None:
        """None where there is no such study, or it has not this data set."""
        of_study = self.tables(study) if study in self.files else []
        return next((table for table in of_study if table.dataset == dataset), None)

    def sheets(self, study: str) -> list[Sheet]:
        return [sheet(table, self.others) for table in self.tables(study)]

    def block(self, study: str, option: str | None) -> str:
        """What a page says of a study, by one of OPTIONS."""
        if option in SAID:
            return "\n\n".join(map(SAID[option], self.tables(study)))
        others = [] if option == "ours" else self.others
        sheets = [sheet(table, others) for table in self.tables(study)]
        return "\n\n".join(markdown(brief(full) if option == "brief" else full) for full in sheets)

    def chosen(self, names: list[str]) -> list[str]:
        """All where none is named.  UsageError for one that there are no results of."""
        for name in names:
            if name not in self.files:
                known = ", ".join(self.files) or "none"
                near = did_you_mean(name, self.files)
                raise UsageError(f"no results of {name!r}{near}; known: {known}")
        return list(dict.fromkeys(names)) or list(self.files)
