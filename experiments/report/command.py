"""run.py report: from the results to tables, plots, a page, README and BENCHMARK."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.errors import UsageError
from experiments.record import merge
from experiments.record.results_file import RESULTS, study_files
from experiments.report.committed import mend, page_files
from experiments.report.formats import as_csv, latex, markdown, plain
from experiments.report.sheet import brief
from experiments.report.studies import Report
from experiments.storage.atomic import put

if TYPE_CHECKING:
    from experiments.report.page import Chapter


def report(
    names: list[str],
    check: bool,
    add: Path | None,
    to: Path,
    results: Path = RESULTS,
    pages: tuple[Path, ...] | None = None,
) -> None:
    """Write everything that the results say; with `check`, only say where the files do not.

    pages: whose blocks are rewritten, those of the repository by default.
    """
    if add is not None:
        for study, before, after in merge.add(add, results):
            print(f"{study}: {before} trials before, {after} now")
    of_studies = Report(study_files(results))
    studies = of_studies.chosen(names)
    pages = page_files() if pages is None else pages
    mend(of_studies, results, studies, not names, check, pages)
    if check:
        return
    if studies:
        write(of_studies, studies, to)
    elif any(results.rglob("*.json*")):
        print("no results of a study yet; make some with `run.py study FILE`")
    else:
        raise UsageError(f"{results}: no results yet; make some with `run.py study FILE`")


def write(report: Report, studies: list[str], to: Path) -> list[Chapter]:
    """A folder of files for each study, and the page of all of them; returns its chapters."""
    from experiments.report.page import Chapter, page
    from experiments.report.plots import plots

    chapters = []
    for study in studies:
        tables = report.tables(study)
        sheets = report.sheets(study)
        drawn = [tuple(plots(table)) for table in tables]
        folder = to / study
        put(folder / "table.md", "\n\n".join(map(markdown, sheets)) + "\n")
        put(folder / "table.tex", "\n".join(map(latex, sheets)))
        put(folder / "table.csv", as_csv(tables, report.others))
        for plot in (plot for of_table in drawn for plot in of_table):
            put(folder / f"{plot.name}.png", plot.png)
            put(folder / f"{plot.name}.svg", plot.svg)
        pairs = tuple(zip(sheets, drawn, strict=True))
        chapters.append(Chapter(study, tables[0].question, pairs))
        print(f"\n{tables[0].question}\n")
        print("\n\n".join(plain(brief(sheet)) for sheet in sheets))
        print(f"-> {folder} ({sum(map(len, drawn))} plots)\n")
    put(to / "report.html", page(chapters))
    print(f"-> {to / 'report.html'}")
    return chapters
