"""run.py report: from the record to tables, plots, a page and README."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.errors import RunFailed, UsageError, did_you_mean
from experiments.record import merge
from experiments.record.results_file import RESULTS, read_lines, study_files
from experiments.report import planted, readme, speed
from experiments.report.compare import Table, tables
from experiments.report.findings import commands, findings, printed
from experiments.report.formats import as_csv, bullets, latex, markdown, plain
from experiments.report.published import Published, published
from experiments.report.searches import search_sheet
from experiments.report.sheet import Sheet, brief, sheet
from experiments.storage.atomic import put, replace
from experiments.storage.files import REPOSITORY

if TYPE_CHECKING:
    from experiments.report.page import Chapter


SAID: dict[str, Callable[[Table], str]] = {
    "findings": lambda table: bullets(findings(table)),
    "commands": lambda table: bullets(commands(table)),
    "printed": printed,
    "search": lambda table: markdown(search_sheet(table)),
}
"""What a block may say of a table instead of showing it, by its option."""
OPTIONS = ("brief", "ours", *SAID)
"""Without one, a block is the whole table; brief: fewer columns, ours: no published rows."""
PAGES = (REPOSITORY / "README.md", REPOSITORY / "experiments" / "BENCHMARK.md")
"""Whose blocks the record decides."""


class Report:
    """What the files say; each study is read and compared when it is asked for.

    files: {study: its record}.
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

    def sheets(self, study: str) -> list[Sheet]:
        return [sheet(one, self.others) for one in self.tables(study)]

    def block(self, study: str, option: str | None) -> str:
        """What a page says of a study, by one of OPTIONS."""
        if option in SAID:
            return "\n\n".join(map(SAID[option], self.tables(study)))
        others = [] if option == "ours" else self.others
        found = [sheet(one, others) for one in self.tables(study)]
        return "\n\n".join(markdown(brief(one) if option == "brief" else one) for one in found)

    def chosen(self, names: list[str]) -> list[str]:
        """All where none is named.  UsageError for one that there is no record of."""
        for name in names:
            if name not in self.files:
                known = ", ".join(self.files) or "none"
                near = did_you_mean(name, self.files)
                raise UsageError(f"no record of {name!r}{near}; known: {known}")
        return list(dict.fromkeys(names)) or list(self.files)


def report(
    names: list[str],
    check: bool,
    add: Path | None,
    to: Path,
    results: Path = RESULTS,
    pages: tuple[Path, ...] = PAGES,
) -> None:
    """Write everything that the record says; with `check`, only say where the pages do not."""
    if add is not None:
        for study, before, after in merge.add(add, results):
            print(f"{study}: {before} trials before, {after} now")
    record = Report(study_files(results))
    studies = record.chosen(names)
    mend(record, results, studies, bool(names), check, pages)
    if check:
        return
    if not studies and not other_blocks(results):
        raise UsageError(f"{results}: no record yet; make one with `run.py study FILE`")
    if studies:
        write(record, studies, to)
    else:
        print("no record of a study yet; make one with `run.py study FILE`")


def mend(
    record: Report,
    results: Path,
    studies: list[str],
    some: bool,
    check: bool,
    pages: tuple[Path, ...],
) -> None:
    """Bring the blocks of all pages up to date, or fail where one is not.

    some: only those of these studies.
    """
    writers: dict[str, readme.Writer] = {
        name: lambda option, name=name: record.block(name, option)  # type: ignore[misc]
        for name in studies
    }
    others = other_blocks(results)
    known = [*record.files, *others]
    if not some:
        writers |= others
    stale = readme.mended(pages, known, OPTIONS, writers)
    if check and stale:
        where = "; ".join(
            f"{file.name} in {', '.join(names)}" for file, (_, names) in stale.items()
        )
        raise RunFailed(f"behind the record: {where}; `python run.py report` mends it")
    for file, (text, names) in stale.items():
        replace(file, text)
        print(f"{file.name}: rewritten {', '.join(names)}")


def other_blocks(results: Path) -> dict[str, readme.Writer]:
    """What is on record besides studies."""
    found: dict[str, readme.Writer] = {
        name: lambda _, name=name: speed.block(results, name)  # type: ignore[misc]
        for name in speed.recorded(results)
    }
    path = results / planted.FILE
    if path.exists():
        found[planted.NAME] = lambda _: planted.planted_block(path)
    return found


def write(record: Report, studies: list[str], to: Path) -> list[Chapter]:
    """A folder of files for each study, and the page of all of them; returns its chapters."""
    from experiments.report.page import Chapter, page
    from experiments.report.plots import plots

    chapters = []
    for study in studies:
        found = record.tables(study)
        sheets = record.sheets(study)
        drawn = [tuple(plots(one)) for one in found]
        folder = to / study
        put(folder / "table.md", "\n\n".join(map(markdown, sheets)) + "\n")
        put(folder / "table.tex", "\n".join(map(latex, sheets)))
        put(folder / "table.csv", as_csv(found, record.others))
        for plot in (one for some in drawn for one in some):
            put(folder / f"{plot.name}.png", plot.png)
            put(folder / f"{plot.name}.svg", plot.svg)
        pairs = tuple(zip(sheets, drawn, strict=True))
        chapters.append(Chapter(study, found[0].question, pairs))
        print(f"\n{found[0].question}\n")
        print("\n\n".join(plain(brief(one)) for one in sheets))
        print(f"-> {folder} ({sum(map(len, drawn))} plots)\n")
    put(to / "report.html", page(chapters))
    print(f"-> {to / 'report.html'}")
    return chapters
