"""What the results decide in the repository: blocks of pages, tables of studies, pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from experiments.errors import RunFailed
from experiments.record.checkpoints import FILE as CHECKPOINTS
from experiments.report import blocks, checkpoints, headline, planted, reproduction, speed
from experiments.report.formats import bullets
from experiments.report.notes import METHOD
from experiments.report.published import published_table
from experiments.report.studies import OPTIONS, Report
from experiments.report.study_page import study_page
from experiments.storage.atomic import put, replace
from experiments.storage.files import REPOSITORY

TABLES, PLOTS = "tables", "plots"  # below the results


def page_files() -> tuple[Path, ...]:
    """Whose blocks the results decide."""
    experiments = REPOSITORY / "experiments"
    docs = sorted((experiments / "docs").glob("*.md"))
    return (REPOSITORY / "README.md", experiments / "BENCHMARK.md", *docs)


def mend(
    report: Report, results: Path, studies: list[str], everything: bool, check: bool,
    pages: Iterable[Path],
) -> None:  # fmt: skip
    """Bring blocks, tables and pictures up to date, or fail where one is not.

    everything: all studies, the blocks of no study and the pictures, too.
    """
    stale_pages = stale_blocks(report, results, studies, everything, pages)
    stale_files = {
        path: text
        for path, text in wanted(report, results, studies, everything).items()
        if blocks.text_or_nothing(path) != text
    }
    left = leftovers(report, results) if everything else []
    if not check:
        for path, (text, names) in stale_pages.items():
            replace(path, text)
            print(f"{path.name}: rewritten {', '.join(names)}")
        for path, text in stale_files.items():
            put(path, text)
        for path in left:
            path.unlink()
        return
    behind = [f"{path.name} in {', '.join(names)}" for path, (_, names) in stale_pages.items()]
    behind += [path.relative_to(results).as_posix() for path in (*stale_files, *left)]
    if behind:
        raise RunFailed(f"behind the results: {'; '.join(behind)}; `python run.py report` mends it")


def stale_blocks(
    report: Report, results: Path, studies: list[str], everything: bool, pages: Iterable[Path]
) -> blocks.Mended:
    """The pages with blocks that say something else than the results."""
    writers: dict[str, blocks.Writer] = {
        name: lambda option, name=name: report.block(name, option)  # type: ignore[misc]
        for name in studies
    }
    others = other_blocks(report, results)
    known = [*report.files, *others]
    if everything:
        writers |= others
    return blocks.mended(pages, known, OPTIONS, writers)


def other_blocks(report: Report, results: Path) -> dict[str, blocks.Writer]:
    """Blocks that are of no single study."""
    writers: dict[str, blocks.Writer] = {
        name: lambda _, name=name: speed.block(results, name)  # type: ignore[misc]
        for name in speed.recorded(results)
    }
    path = results / planted.FILE
    if path.exists():
        writers[planted.NAME] = lambda _: planted.planted_block(path)
    if report.files.keys() >= set(headline.STUDIES):
        writers["headline"] = lambda _: headline.headline(report)
    if (results / CHECKPOINTS).exists():
        writers[checkpoints.NAME] = lambda _: checkpoints.block(report, results)
    writers[reproduction.NAME] = lambda _: reproduction.block(report, results)
    writers["method"] = lambda _: bullets([*METHOD])
    writers["published"] = lambda _: published_table(report.others)
    return writers


def wanted(report: Report, results: Path, studies: list[str], everything: bool) -> dict[Path, str]:
    """The text of every file among the results that is made from them."""
    files = {
        page_of(results, study): study_page(study, report.tables(study), report.others)
        for study in studies
    }
    if everything:
        page = checkpoints.page(report, results)
        files |= {} if page is None else {page_of(results, checkpoints.NAME): page}
        from experiments.report.pictures import pictures
        from experiments.report.speed_plot import speed_picture

        drawn = [*pictures(report), *speed_picture(results)]
        files |= {results / PLOTS / f"{plot.name}.svg": plot.svg for plot in drawn}
    return files


def page_of(results: Path, study: str) -> Path:
    return results / TABLES / f"{study}.md"


def leftovers(report: Report, results: Path) -> list[Path]:
    """Pages of what has no results any more."""
    kept = {page_of(results, study) for study in report.files}
    if (results / CHECKPOINTS).exists():
        kept.add(page_of(results, checkpoints.NAME))
    return [path for path in sorted((results / TABLES).rglob("*.md")) if path not in kept]
