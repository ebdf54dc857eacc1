"""Tables and plots of a study, in its folder and at W&B."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.study.folder import StudyFolder
from experiments.study.spec import Study
from experiments.tracking.config import TrackConfig
from experiments.tracking.tracker import track_report

if TYPE_CHECKING:
    from experiments.report.page import Chapter


def report(study: Study, folder: StudyFolder, tracked: TrackConfig | None) -> None:
    """Write tables and plots; put them into one W&B run too, next to those of the trials."""
    from experiments.report.command import write  # loads matplotlib, which a dry run can do without
    from experiments.report.studies import Report

    chapters = write(Report({study.name: folder.results.path}), [study.name], folder.report)
    if tracked is not None:
        track(study, folder, tracked, chapters)


def track(study: Study, folder: StudyFolder, config: TrackConfig, chapters: list[Chapter]) -> None:
    """Put tables and plots into one W&B run."""
    from experiments.report.style import slug

    tables: dict[str, tuple[list[str], list[list[object]]]] = {}
    images: dict[str, Path] = {}
    for part in (part for chapter in chapters for part in chapter.parts):
        rows: list[list[object]] = [[cell.text for cell in row] for row in part.sheet.rows]
        tables[f"tables/{slug(part.sheet.title)}"] = (list(part.sheet.columns), rows)
        for plot in part.plots:
            images[f"plots/{plot.name}"] = folder.report / study.name / f"{plot.name}.png"
    if where := track_report(config, folder.path, study.name, tables, images):
        print(f"tracked: {where}")
