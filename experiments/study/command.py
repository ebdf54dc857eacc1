"""`run.py study`: plan, launch workers, and say what came out."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.errors import RunFailed, UsageError
from experiments.report.command import Record, write
from experiments.report.write import put, slug
from experiments.run_folder import as_yaml
from experiments.study.adopt import adopt
from experiments.study.estimate import clock, estimate, timings
from experiments.study.folder import RESULTS, StudyFolder, study_folder
from experiments.study.local import cores, launch
from experiments.study.plan import Trial, plan
from experiments.study.spec import Study, read_study
from experiments.study.sweep import sweep_config
from experiments.study.worker import Worker
from experiments.track import TrackConfig, track_report

if TYPE_CHECKING:
    from experiments.report.page import Chapter

LAUNCHERS = {"local": launch}


@dataclass(frozen=True)
class Where:
    """Where a study reads its data, works, and is tracked."""

    data_dir: Path | None
    out: Path | None
    track: TrackConfig


def work(file: Path, where: Where) -> None:
    """Be one worker of a study that has been planned."""
    folder = study_folder(read_study(file).name, where.out)
    Worker(folder, where.data_dir, where.track, say=print_now).work()


def print_now(line: str) -> None:
    print(line, flush=True)


def run(
    file: Path,
    where: Where,
    launcher: str,
    workers: int,
    threads: int,
    retry_failed: bool,
    worker: list[str],
) -> None:
    """Plan a study, have workers train what is not on record, and say what came out.

    worker: the command line of one of them.
    """
    study = read_study(file)
    folder = study_folder(study.name, where.out)
    trials = plan(study, where.data_dir)
    folder.open(study, trials)
    if adopted := adopt(folder.record, trials):
        print_now(f"{adopted} lines of the record brought up to today's fields")
    if retry_failed:
        folder.forget_failed()
    print_now(outlook(study, trials, folder, workers))
    begun = any(trial.id not in folder.record.lines() for trial in trials)
    if begun:
        LAUNCHERS[launcher](worker, workers, threads, folder)
    chapters = finish(study, folder)
    if begun:
        track(study, folder, where.track, chapters)


def dry_run(file: Path, where: Where, workers: int) -> None:
    """What would be trained, and how long it would take; nothing is written."""
    study = read_study(file)
    folder = study_folder(study.name, where.out)
    trials = plan(study, where.data_dir)
    done = folder.record.lines()
    known = timings(RESULTS, done)
    for trial in trials:
        status = done[trial.id]["status"] if trial.id in done else cost(estimate(trial, known))
        what = f"{trial.dataset}  seed {trial.seed}  {trial.variant.label}"
        print(f"{trial.id}  {status:<10} {what}")
    print(outlook(study, trials, folder, workers))


def cost(seconds: float | None) -> str:
    return "?" if seconds is None else clock(seconds)


def outlook(study: Study, trials: list[Trial], folder: StudyFolder, workers: int) -> str:
    """How much there is to do, and how long it will take if the record knows."""
    done = folder.record.lines()
    known = timings(RESULTS, done)
    left = [estimate(trial, known) for trial in trials if trial.id not in done]
    line = f"{study.name}: {len(trials)} trials, {len(trials) - len(left)} on record"
    if not left:
        return line
    seconds = [one for one in left if one is not None]
    line += f", {len(left)} to do with {workers} worker{'s' * (workers > 1)}"
    if seconds:
        line += f": about {clock(sum(seconds) / workers)}"
    if len(seconds) < len(left):
        line += f" ({len(left) - len(seconds)} without a similar run on record)"
    return line


def finish(study: Study, folder: StudyFolder) -> list[Chapter]:
    """Print and write what came out; RunFailed, after that, where a trial has failed."""
    lines = [folder.record.lines()[trial.id] for trial in folder.trials()]
    chapters = write(Record({study.name: folder.record.path}), [study.name], folder.report)
    failed = [line for line in lines if line["status"] == "failed"]
    ended = len(lines) - len(failed)
    print(f"{study.name}: {ended} of {len(lines)} trials on record in {folder.record.path}")
    if failed:
        raise RunFailed(
            f"{len(failed)} of {len(lines)} trials failed, the first with {failed[0]['error']}; "
            f"what they printed is in {folder.path / 'logs'}; --retry-failed trains them again"
        )
    return chapters


def track(study: Study, folder: StudyFolder, config: TrackConfig, chapters: list[Chapter]) -> None:
    """Put tables and plots into one W&B run, next to those of the trials."""
    tables: dict[str, tuple[list[str], list[list[object]]]] = {}
    images: dict[str, Path] = {}
    for sheet, plots in (part for chapter in chapters for part in chapter.sheets):
        rows: list[list[object]] = [[cell.text for cell in row] for row in sheet.rows]
        tables[f"tables/{slug(sheet.title)}"] = (list(sheet.columns), rows)
        for plot in plots:
            images[f"plots/{plot.name}"] = folder.report / study.name / f"{plot.name}.png"
    if where := track_report(config, folder.path, study.name, tables, images):
        print(f"tracked: {where}")


def write_sweeps(file: Path, where: Where) -> None:
    """The study as sweep files of W&B, and the commands that start them."""
    study = read_study(file)
    plan(study, where.data_dir)  # mistakes are told before a server meets them
    folder = study_folder(study.name, where.out).path / "sweeps"
    for number, (name, tree) in enumerate(sweep_config(study, where.data_dir).items(), start=1):
        put(folder / f"{number}.yaml", as_yaml(tree))
        print(f"{name}: wandb sweep {shlex.quote(str(folder / f'{number}.yaml'))}")
    print("each prints the command of its agents: `wandb agent ENTITY/PROJECT/ID`")


def check_workers(workers: int | None, threads: int) -> int:
    """How many workers; UsageError for none."""
    if threads < 1:
        raise UsageError(f"--threads: must be at least 1, got {threads}")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers: must be at least 1, got {workers}")
    return max(1, cores() // threads) if workers is None else workers
