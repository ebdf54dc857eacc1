"""`run.py study`: plan, launch workers, and say what came out."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from experiments.errors import NotHere, RunFailed, UsageError
from experiments.record.results_file import RESULTS, Shown, study_files
from experiments.storage.atomic import put
from experiments.storage.run_folder import as_yaml
from experiments.study import local, on_ray, slurm
from experiments.study.adopt import adopt, finished_elsewhere, relabel, reuse_trials
from experiments.study.again import again
from experiments.study.estimate import estimate, timings
from experiments.study.folder import StudyFolder, study_folder
from experiments.study.launch import Launch
from experiments.study.outlook import cost, dropped, left, outlook, published
from experiments.study.plan import Trial, plan
from experiments.study.reporting import report
from experiments.study.search import ModelSearch, plan_searches
from experiments.study.searching import Searching, searches_in, superseded
from experiments.study.slurm import SlurmConfig
from experiments.study.spec import Study
from experiments.study.sweep import sweep_config
from experiments.tracking.config import TrackConfig
from experiments.tracking.loggers import check_installed
from experiments.training.signals import resumable


@dataclass(frozen=True)
class Where:
    """Where a study reads its data, works, and is tracked.

    publish: its results are the committed ones.
    """

    data_dir: Path | None
    out: Path | None
    track: TrackConfig
    publish: bool = False

    def __post_init__(self) -> None:
        if self.publish and self.out is not None:
            raise UsageError(
                "--publish: writes to the committed results, --out DIR keeps all in DIR; give one"
            )

    def folder(self, study: str) -> StudyFolder:
        return study_folder(study, self.out, self.publish)


def work(study: Study, where: Where, threads: int = 1) -> None:
    """Be one worker of a study that has been planned, with no more threads than its others have."""
    import torch

    from experiments.study.worker import Worker  # loads RecBole, which a dry run can do without

    check_installed(where.track.also)
    if torch.get_num_threads() > threads:  # started by hand: a launcher pins its own
        torch.set_num_threads(threads)
    folder = where.folder(study.name)
    with resumable(folder.manifest, "", speaks=False):  # a trial in hand is given back
        Worker(folder, where.data_dir, where.track, say=print_now).work()


def print_now(line: str) -> None:
    print(line, flush=True)


def run(
    study: Study,
    where: Where,
    launch: Launch,
    workers: int,
    threads: int,
    retry_failed: bool,
    worker: list[str],
    continuing: list[str],
) -> None:
    """Plan a study, have workers train what is not finished, and say what came out.

    worker: the command line of one of them.  continuing: what goes on where this was stopped.
    """
    check_installed(where.track.also)
    folder = where.folder(study.name)
    trials, searches = whole_plan(study, where.data_dir)
    folder.open(study, trials, searches)
    if adopted := adopt(folder.results, trials, search=bool(searches)):
        print_now(f"{adopted} lines of the results brought up to today's fields")
    searching = searches_in(folder, where.data_dir)
    count, foreign = named_as_now(folder, trials, searching)
    if count:
        print_now(f"{count} lines of the results named and compared as the study says now")
    folder.check_labels(trials, foreign)
    if where.publish and (count := reuse_trials(folder.results, study, trials, others(folder))):
        print_now(f"{count} trials are in the results of other studies: taken from there")
    if retry_failed:
        folder.forget_failed()
    for search in searching:
        if count := search.forget_superseded():
            print_now(superseded(search, count))
    done = folder.results.lines()
    print_now(outlook(study, trials, searching, done, workers, timings(RESULTS, done)))
    for hint in [*hints(study, trials, where), *dropped(study, trials, done)]:
        print_now(hint)
    begun, elsewhere = left(trials, searching, done), None
    if begun:
        command = shlex.join(["python", "run.py", *continuing])
        with resumable(folder.manifest, command, speaks=True):
            try:
                launch(worker, workers, threads, folder)
            except NotHere as reason:  # another worker may have had what it lacks
                elsewhere = reason
    if folder.results.lines():  # where nothing could be trained there is no table
        report(study, folder, where.track if begun else None)
    finish(study, searching, folder)
    if elsewhere and left(trials, searching, folder.results.lines()):
        raise elsewhere


def whole_plan(study: Study, data_dir: Path | None) -> tuple[list[Trial], list[ModelSearch]]:
    """What is known to be trained, and what is searched for; UsageError for nothing at all."""
    trials, searches = plan(study, data_dir), plan_searches(study, data_dir)
    if not trials and not searches:
        raise UsageError(f"study {study.name}: `exclude` leaves no trial")
    return trials, searches


def named_as_now(
    folder: StudyFolder, trials: list[Trial], searching: list[Searching]
) -> tuple[int, list[str]]:
    """Have lines of the results named and compared as the study says now.

    Returns how many were not, and the trials with a name of a search's that are none of its.
    Errors: UsageError where lines are of other data or plug-ins than the trials of a search.
    """
    own = [trial for search in searching for trial in (search.probe, *search.trials())]
    folder.check_results([*trials, *own])
    recorded = {name: trial for one in searching for name, trial in one.recorded().items()}
    count = relabel(folder.results, [*trials, *filter(None, recorded.values())])
    return count, [name for name, trial in recorded.items() if trial is None]


def others(folder: StudyFolder) -> list[Path]:
    """The results of all other studies."""
    return [path for path in study_files(RESULTS).values() if path != folder.results.path]


def dry_run(study: Study, where: Where, workers: int, retry_failed: bool) -> None:
    """What would be trained, and how long it would take; nothing is written."""
    folder = where.folder(study.name)
    trials, searches = whole_plan(study, where.data_dir)
    shown = replace(folder, results=Shown(folder.results.path, folder.results.lines()))
    adopt(shown.results, trials, search=bool(searches))
    searching = [Searching(search, shown, where.data_dir) for search in searches]
    _, foreign = named_as_now(shown, trials, searching)
    shown.check_labels(trials, foreign)
    done = shown.results.lines()
    if where.publish:
        missing = [trial.id for trial in trials if trial.id not in done]
        done = {**finished_elsewhere(missing, others(folder)), **done}
    if retry_failed:
        done = {name: line for name, line in done.items() if line["status"] != "failed"}
    known = timings(RESULTS, done)
    for trial in trials:
        status = done[trial.id]["status"] if trial.id in done else cost(estimate(trial, known))
        what = f"{trial.dataset}  seed {trial.seed}  {trial.variant.label}"
        print(f"{trial.id}  {status:<10} {what}")
    shown = replace(folder, results=Shown(folder.results.path, done))
    searching = [Searching(search, shown, where.data_dir) for search in searches]
    print(outlook(study, trials, searching, done, workers, known))
    for hint in hints(study, trials, where):
        print(hint)


def hints(study: Study, trials: list[Trial], where: Where) -> list[str]:
    """That some trials are in the committed results, which a study of its own does not read."""
    own = where.out is not None or where.publish or study.namesake
    count = 0 if own else published(study, trials)
    told = f"{count} of them are in the committed results, which --publish reports and goes on with"
    return [told] if count else []


def finish(study: Study, searches: list[Searching], folder: StudyFolder) -> None:
    """Say what failed, if anything did, and what others have begun or asked for since.

    A search goes on without a trial that failed: a learning rate, say, may be too high.  It is an
    error when none is finished.
    """
    done = folder.results.lines()
    attempts = {trial.id for search in searches for trial in search.attempts().values()}
    trials = [*folder.trials(), *(trial for search in searches for trial in search.trials())]
    lines = {trial.id: done[trial.id] for trial in trials if trial.id in done}
    failed = {name: line for name, line in lines.items() if line["status"] == "failed"}
    total, ended = len({trial.id for trial in trials}), len(lines) - len(failed)
    print(f"{study.name}: {ended} of {total} trials ended well; results in {folder.results.path}")
    printed = f"what they printed is in {folder.path / 'logs'}; --retry-failed trains them again"
    for search in searches:
        print(f"search for {search.what}: optuna-dashboard {search.write_journal()}")
    lost = [one.what for one in searches if one.settled() and one.winner() is None]
    if lost:
        raise RunFailed(f"no trial of the search for {', '.join(lost)} was finished; {printed}")
    tried = [line for name, line in failed.items() if name in attempts]
    if tried:
        first = tried[0]["error"]
        print(f"{len(tried)} search trials failed, the first with {first}; {printed}")
    rest = [line for name, line in failed.items() if name not in attempts]
    if rest:
        raise RunFailed(
            f"{len(rest)} of {total} trials failed, the first with {rest[0]['error']}; {printed}"
        )


def repeat(study: Study, where: Where, trial: str, plugins: list[str], threads: int) -> None:
    """Train a trial of the results once more; RunFailed where it does not come out the same.

    One that was trained here counts as it was here, not as it is in the committed results.
    """
    places = [where.folder(study.name).results]
    if where.out is None and not study.namesake:  # anybody may repeat what the repository claims
        places.insert(0, study_folder(study.name, publish=True).results)
    lines = {trial: line for place in places for trial, line in place.lines().items()}
    options = ["--data-dir", str(where.data_dir)] if where.data_dir else []
    options += [word for name in plugins for word in ("--plugin", name)]
    again(lines.values(), trial, options, threads)


def write_sweeps(study: Study, where: Where, plugins: list[str]) -> None:
    """The study as sweep files of W&B, and the commands that start them."""
    whole_plan(study, where.data_dir)  # mistakes are told before a server meets them
    folder = where.folder(study.name).path / "sweeps"
    sweeps = sweep_config(study, where.data_dir, [absolute(name) for name in plugins])
    for number, (name, tree) in enumerate(sweeps.items(), start=1):
        put(folder / f"{number}.yaml", as_yaml(tree))
        print(f"{name}: wandb sweep {shlex.quote(str(folder / f'{number}.yaml'))}")
    print("each prints the command of its agents: `wandb agent ENTITY/PROJECT/ID`")


def absolute(plugin: str) -> str:
    """A plug-in's file as an agent finds it, wherever it runs; a module's name as it is."""
    return str(Path(plugin).absolute()) if Path(plugin).is_file() else plugin


def launcher(name: str, config: SlurmConfig) -> Launch:
    """What runs workers: local, slurm or ray; UsageError where it cannot."""
    if name == "slurm":
        slurm.check(config)
        return partial(slurm.launch, config)
    if config != SlurmConfig():
        raise UsageError("--slurm.*: only with --launcher slurm")
    if name == "ray":
        on_ray.check()
        return on_ray.launch
    return local.launch


def check_workers(workers: int | None, threads: int) -> int:
    """How many workers; UsageError for none."""
    if threads < 1:
        raise UsageError(f"--threads: must be at least 1, got {threads}")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers: must be at least 1, got {workers}")
    return local.default_workers(threads) if workers is None else workers
