"""A worker: takes trials that nobody has, trains them, and records each once."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import cache
from pathlib import Path

from experiments.config.loaded_plugins import check_plugins
from experiments.config.run_config import Config, config_sha256
from experiments.data.catalogue import DatasetSpec, data_sha256
from experiments.errors import NotHere, RunFailed, UsageError
from experiments.metric_names import TEST_NDCG10, VALID_NDCG10
from experiments.record.from_run import failed_line, finished_line, pruned_line
from experiments.record.line import Values
from experiments.record.results_file import RESULTS
from experiments.storage.atomic import FULL_OR_FAILING, NotWritable, cannot_write, writing
from experiments.storage.lock import Busy
from experiments.storage.run_folder import RunFolder
from experiments.study.estimate import Seconds, time_left, timings
from experiments.study.folder import StudyFolder
from experiments.study.lease import Lease
from experiments.study.plan import Trial, about, resolved
from experiments.study.searching import searches_in, superseded
from experiments.tracking.config import TrackConfig, of_trial
from experiments.training.environment import check_precision, choose_device
from experiments.training.integrity import finished_result
from experiments.training.loop import Pruned
from experiments.training.progress import clock
from experiments.training.train import train

POLL = 2.0  # seconds between looks at what others have
DEATHS = 10  # of processes in one and the same epoch of a trial, until it counts as failed


class LeaseLost(Exception):
    """Another worker has taken this trial over: leave everything to it."""


class Worker:
    """One process of a study; any number of them share its folder.

    track: where trials are tracked; group, job type and name are the study's.
    say: told a line of text for every trial that ends.
    """

    def __init__(
        self,
        folder: StudyFolder,
        data_dir: Path | None,
        track: TrackConfig,
        say: Callable[[str], None],
    ) -> None:
        self.folder, self.data_dir, self.track, self.say = folder, data_dir, track, say
        self.leases = folder.leases()
        manifest = folder.read()
        self.study, self.question = manifest["study"], manifest["question"]
        self.trials = folder.trials()
        self.searches = searches_in(folder, data_dir)
        self.not_here: dict[str, NotHere] = {}
        """Why this machine cannot train a trial, by its id."""

    def work(self) -> None:
        """Until every trial has a line in the results; waits for those that other workers have.

        Errors: NotHere where all that is left needs another machine.
        """
        while not self.done():
            for search in self.searches:
                if count := search.forget_superseded():
                    self.say(superseded(search, count))
            left = self.open_trials()
            possible = [trial for trial in left if trial.id not in self.not_here]
            if left and not possible:
                raise self.not_here[left[0].id]
            if any(self.take(trial) for trial in possible):
                continue
            waits = any(trial.id in self.not_here for trial in left)
            if waits or not any(search.suggest_next() for search in self.searches):
                time.sleep(POLL)  # others have them all

    def done(self) -> bool:
        """Whether there is nothing left to do, for any worker."""
        return all(search.settled() for search in self.searches) and not self.open_trials()

    def open_trials(self) -> list[Trial]:
        """Those without a line, as far as searches have suggested them, in their order; but
        those that processes die at go to the end."""
        known, begun = self.folder.results.lines(), self.leases.keys()
        left = [trial for trial in self.planned() if trial.id not in known]
        return sorted(left, key=lambda trial: self.setbacks(trial) if trial.id in begun else 0)

    def setbacks(self, trial: Trial) -> int:
        """How many processes have died in the epoch that a trial is in, but for the first."""
        return max(0, self.leases.kept(trial.id).count(self.note(trial)) - 1)

    def note(self, trial: Trial) -> str:
        """How far a trial has come, for whoever takes it."""
        return f"after epoch {len(self.folder.run(trial.id).history_lines())}"

    def take(self, trial: Trial) -> bool:
        """Train and record a trial; False when it is another worker's."""
        lease = self.leases.claim(trial.id, self.note(trial))
        if lease is None:
            return False
        with lease:
            if trial.id in self.folder.results.lines():  # it has ended since the look
                return True
            try:
                line = self.line_of(trial, lease)
            except NotHere as reason:
                self.not_here[trial.id] = reason
                return False
            if line is not None and self.folder.results.append(line):
                self.say(f"{summary(line)}  {self.standing()}")
        return line is not None

    def standing(self) -> str:
        """[12 of 40, 25 min left]: trials that have ended, and the time that the rest will take,
        of which the workers do a part each.  Trials that a search has yet to add count."""
        known = self.folder.results.lines()
        planned = {trial.id: trial for trial in self.planned()}
        stand_ins = [trial for search in self.searches for trial in search.stand_ins()]
        left = [trial for trial in planned.values() if trial.id not in known] + stand_ins
        total = len(planned) + len(stand_ins)
        done = f"{total - len(left)} of {total}"
        own = [known[name] for name in planned.keys() & known.keys()]
        seconds = time_left(left, own, committed) if left else None
        if seconds is None:
            return f"[{done}]"
        others = sum(self.leases.taken(trial.id) for trial in left)
        return f"[{done}, {clock(seconds / (1 + others))} left]"

    def planned(self) -> list[Trial]:
        return [*self.trials, *(trial for search in self.searches for trial in search.trials())]

    def line_of(self, trial: Trial, lease: Lease) -> Values | None:
        """Train, and say how it went; None when another worker took over."""
        facts, run = about(self.study, self.question, trial), self.folder.run(trial.id)
        last = lease.lost()[-DEATHS:]
        if len(last) == DEATHS and last == [lease.note] * DEATHS:
            return failed_line(facts, f"{DEATHS} processes were killed at it {lease.note}")
        try:
            with self.printing_to(self.folder.log(trial.id)):
                if finished_result(run) is None:
                    self.train(trial, lease)
            return finished_line(run, facts)
        except (LeaseLost, Busy):  # Busy: the one who had it before still writes its folder
            return None
        except Pruned:
            return pruned_line(run, facts)
        except (RunFailed, NotWritable):  # not the trial's fault
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in FULL_OR_FAILING:
                raise cannot_write(self.folder.log(trial.id), error) from error
            return failed_line(facts, error)

    def train(self, trial: Trial, lease: Lease) -> None:
        """From the start, or from the last epoch that a worker before this one has saved."""
        config, spec = self.config_of(trial)

        def watch(record: dict[str, float]) -> bool:
            if not lease.held():
                raise LeaseLost
            return all(search.goes_on(trial, record) for search in self.searches)

        run = self.folder.run(trial.id)
        if any(search.has_ended(trial) for search in self.searches):
            raise Pruned
        if run.config.exists():
            check_version(run)
        train(config, spec, run, resume=run.config.exists(), watch=watch)
        from experiments.report import run_curves  # loads matplotlib

        run_curves.write_curves(run)

    def config_of(self, trial: Trial) -> tuple[Config, DatasetSpec]:
        """The trial's configuration, tracked as one of its study."""
        try:
            config, spec = resolved(trial.overrides(), self.data_dir)
        except UsageError as error:  # it was none where the study was planned
            raise RunFailed(f"on this machine: {error}") from None
        if config_sha256(config) != trial.config_sha256:
            raise RunFailed("this code resolves the trial to another configuration than planned")
        if data_sha256(spec, config.split) != trial.data_sha256:
            raise RunFailed(f"{spec.path}: not the data that the trial was planned on")
        check_machine(config)
        track = of_trial(self.track, self.study, trial.dataset, trial.variant.label, trial.seed)
        return replace(config, track=track), spec

    @contextmanager
    def printing_to(self, path: Path) -> Iterator[None]:
        """What is printed goes to a trial's log; so does the way an error came."""
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            log = path.open("a", encoding="utf-8", buffering=1)
        with log, redirect_stdout(log), redirect_stderr(log):
            try:
                yield
            except Exception:
                traceback.print_exc()
                raise


def check_machine(config: Config) -> None:
    """NotHere where this machine has no such device, or the device no such precision."""
    try:
        check_precision(config.train.precision, choose_device(config.train.device))
    except UsageError as error:
        raise NotHere(f"on this machine: {error}") from None


def check_version(run: RunFolder) -> None:
    """RunFailed where a trial that was begun is of another version of a plug-in than this one."""
    try:
        check_plugins(run, unchanged=True)
    except UsageError as error:
        raise RunFailed(f"on this machine: {error}") from None


@cache
def committed() -> Seconds:
    """What the committed results took."""
    return timings(RESULTS, {})


def summary(line: Values) -> str:
    """How a trial ended, in one line."""
    what = f"{line['dataset']}  {line['variant']}  seed {line['seed']}"
    if line["status"] == "failed":
        return f"failed    {what}: {line['error']}"
    numbers = f"valid NDCG@10 {line[VALID_NDCG10]:.4f}"
    if TEST_NDCG10 in line:
        numbers += f"  test {line[TEST_NDCG10]:.4f}"
    if "seconds/total" in line:
        numbers += f"  {line['seconds/total']:.0f} s"
    return f"{line['status']:<9} {what}  {numbers}"
