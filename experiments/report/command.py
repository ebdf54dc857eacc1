"""run.py report: from the results to tables, plots, a page, README and BENCHMARK."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.errors import UsageError
from experiments.record import merge
from experiments.record.results_file import RESULTS, study_files
from experiments.report.committed import mend, page_files
from experiments.report.findings import findings, in_one_line
from experiments.report.formats import as_csv, latex, markdown, plain
from experiments.report.searches import search_sheet
from experiments.report.sheet import Sheet, brief
from experiments.report.studies import Report
from experiments.storage.atomic import put
from experiments.training.environment import commit

if TYPE_CHECKING:
    from experiments.report.compare import Table
    from experiments.report.page import Chapter, Part
    from experiments.report.style import Plot


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
    from experiments.report.plots import looks_of, plots

    looks = looks_of(table for study in studies for table in report.tables(study))
    chapters = []
    for study in studies:
        tables, sheets = report.tables(study), report.sheets(study)
        parts = tuple(
            part(table, sheet, tuple(plots(table, looks)))
            for table, sheet in zip(tables, sheets, strict=True)
        )
        folder = to / study
        put(folder / "table.md", "\n\n".join(map(markdown, sheets)) + "\n")
        put(folder / "table.tex", "\n".join(map(latex, sheets)))
        put(folder / "table.csv", as_csv(tables, report.others))
        drawn = [plot for one in parts for plot in one.plots]
        for plot in drawn:
            put(folder / f"{plot.name}.png", plot.png)
            put(folder / f"{plot.name}.svg", plot.svg)
        chapters.append(Chapter(study, tables[0].question, parts))
        print(f"\n{tables[0].question}\n")
        print("\n\n".join(plain(brief(sheet)) for sheet in sheets))
        print(f"-> {folder} ({len(drawn)} plot{'s' * (len(drawn) != 1)})")
    put(to / "report.html", page(chapters, origin_line(report, studies)))
    print(f"-> {to / 'report.html'}, which also says what the columns mean")
    return chapters


def part(table: Table, sheet: Sheet, drawn: tuple[Plot, ...]) -> Part:
    """What the page shows of a study on one data set."""
    from experiments.report.page import Part

    verdict, best = in_one_line(table)
    searched = search_sheet(table) if table.searched or table.pruned else None
    return Part(sheet, drawn, table.dataset, verdict, best, tuple(findings(table)), searched)


def origin_line(report: Report, studies: list[str]) -> str:
    """Of which day the newest result is, and by which commit the page was made; the same results
    and code make the same page."""
    lines = [line for study in studies for table in report.tables(study) for line in table.lines]
    days = [str(line.values["finished"])[:10] for line in lines if "finished" in line.values]
    head, dirty = commit()
    code = f"Made by python run.py report at commit {head[:10]}{', with changes' * dirty}."
    return f"Newest result: {max(days)}. {code}" if days else code
