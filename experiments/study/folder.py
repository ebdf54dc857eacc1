"""Where a study works: its manifest, leases, logs, and a run folder a trial."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.config.loaded_plugins import not_loaded
from experiments.errors import UsageError
from experiments.record.from_run import plugins
from experiments.record.line import Values
from experiments.record.results_file import RESULTS, ResultsFile
from experiments.storage.atomic import write_json, writing
from experiments.storage.files import REPOSITORY
from experiments.storage.run_folder import RunFolder
from experiments.storage.yaml_file import as_text
from experiments.study.lease import Leases
from experiments.study.plan import Trial, trial_from
from experiments.study.spec import Study

MANIFEST = {"study", "question", "set", "trials", "searches"}


@dataclass(frozen=True)
class StudyFolder:
    """A folder that all workers of a study share, and the results they write."""

    path: Path
    results: ResultsFile

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.json"

    @property
    def report(self) -> Path:
        return self.path / "report"

    def run(self, trial: str) -> RunFolder:
        return RunFolder(self.path / "trials" / trial)

    def log(self, trial: str) -> Path:
        """What a trial printed."""
        return self.path / "logs" / f"{trial}.txt"

    def leases(self) -> Leases:
        return Leases(self.path / "leases")

    def open(self, study: Study, trials: list[Trial], searches: Sequence[Any] = ()) -> None:
        """Write the manifest.  A study may grow or shrink; what was finished stays so.

        Errors: UsageError when the folder is another study's, when the results are of other data,
        or when workers are at trials that are planned no more: they run another version.
        """
        if self.manifest.exists():
            self._check_goes_on(study, trials)
        self.check_results(trials)
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.manifest, manifest(study, trials, searches))

    def _check_goes_on(self, study: Study, trials: list[Trial]) -> None:
        before = self.read()
        if before["study"] != study.name:
            raise UsageError(f"--out {self.path}: holds the study {before['study']}")
        given = before.get("set", {})
        if given != study.given and self.results.lines():
            words = " ".join(f"--set {key}={as_text(value)}" for key, value in given.items())
            raise UsageError(
                f"--out {self.path}: holds results {f'with {words}' if given else 'without --set'};"
                " give the same, or another --out DIR"
            )
        gone = {tree["id"] for tree in before["trials"]} - {trial.id for trial in trials}
        if any(self.leases().taken(trial) for trial in gone):
            raise UsageError(
                f"--out {self.path}: workers are at trials that are not planned any more; end "
                "them first, or use the same study file, code and data as they do"
            )

    def check_results(self, trials: list[Trial]) -> None:
        """UsageError where the results are of other data or plug-ins than these trials."""
        self._check_data(trials)
        self._check_plugins(trials)

    def _check_data(self, trials: list[Trial]) -> None:
        planned: dict[str, set[str]] = defaultdict(set)  # splits may read files of their own
        for trial in trials:
            planned[trial.dataset].add(trial.data_sha256)
        for line in self.results.lines().values():
            dataset, sha256 = line["dataset"], line.get("data_sha256")
            if dataset in planned and sha256 is not None and sha256 not in planned[dataset]:
                raise UsageError(
                    f"{self.results.path}: has trials on another version of {dataset}; "
                    "use that, or begin the study in another folder"
                )

    def _check_plugins(self, trials: list[Trial]) -> None:
        """The results of a plug-in are those of the code that is loaded, or a row mixes two; so
        are the epochs of a trial that was begun."""
        lines = self.results.lines()
        ran: list[tuple[Path, Values]] = [
            (self.results.path, lines[trial.id])
            if trial.id in lines
            else (self.run(trial.id).path, plugins(self.run(trial.id)))
            for trial in trials
        ]
        stale = [(place, name) for place, of in ran for name in not_loaded(of.get("plugins", {}))]
        if stale:
            place, name = stale[0]
            raise UsageError(
                f"{place}: {len(stale)} trials ran another version of {name}; "
                "load that one, or begin anew with another --out DIR"
            )

    def check_labels(self, trials: list[Trial], foreign: Collection[str] = ()) -> None:
        """A variant's results are all of the same fields, or a table could not show them.

        foreign: trials with a name of a search's that are none of its.
        Errors: UsageError where the results have a planned variant, data set and seed as another
        trial, before hours are spent on it.
        """
        planned = {(trial.variant.label, trial.dataset, trial.seed): trial.id for trial in trials}
        lines = self.results.lines()
        stale = [
            line
            for name, line in lines.items()
            if line["status"] == "finished"
            and planned.get((line["variant"], line["dataset"], line["seed"]), name) != name
        ]
        stale += [lines[name] for name in foreign if lines[name]["status"] != "failed"]
        if stale:
            first = stale[0]
            raise UsageError(
                f"{self.results.path}: has {len(stale)} trials of this study with other "
                f"fields, the first {first['trial']} ({first['variant']} on {first['dataset']}, "
                f"seed {first['seed']}); begin anew with another --out DIR, or remove these lines"
            )

    def read(self) -> dict[str, Any]:
        """The manifest; UsageError where there is none."""
        try:
            tree: Any = json.loads(self.manifest.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"{self.manifest}: not a study's manifest ({error})") from None
        if not isinstance(tree, dict) or {"set", *tree} != MANIFEST:
            raise UsageError(f"{self.manifest}: not a study's manifest of this version")
        return tree

    def forget_failed(self) -> None:
        """Let the failed trials be trained again, from the start.

        Each under its lease: workers may run, and another process may ask the same.
        """
        leases = self.leases()
        for trial in [*self.failed()]:
            lease = leases.claim(trial)
            if lease is None:
                continue
            with lease:
                if trial in self.failed():  # the folder goes first: no kill leaves it to go on
                    if (path := self.run(trial).path).exists():
                        with writing(path):
                            shutil.rmtree(path)
                    lease.forgive()
                    self.results.forget({trial})

    def failed(self) -> set[str]:
        """The trials that have failed."""
        lines = self.results.lines().items()
        return {trial for trial, line in lines if line["status"] == "failed"}

    def trials(self) -> list[Trial]:
        """Those of the manifest; UsageError for what this code would not have written."""
        try:
            return [trial_from(tree) for tree in self.read()["trials"]]
        except UsageError as error:
            raise UsageError(f"{self.manifest}: {error}") from None


def manifest(study: Study, trials: list[Trial], searches: Sequence[Any] = ()) -> dict[str, Any]:
    """What workers must know of a study; set: by its command line.  searches: dataclasses."""
    return {
        "study": study.name,
        "question": study.question,
        "set": study.given,
        "trials": [trial.tree() for trial in trials],
        "searches": [asdict(search) for search in searches],
    }


def study_folder(name: str, out: Path | None = None, publish: bool = False) -> StudyFolder:
    """A study keeps all in one folder: --out DIR, or runs/studies/NAME.

    publish: its results are the committed ones, in experiments/results.
    """
    folder = out or REPOSITORY / "runs" / "studies" / name
    results = RESULTS / f"{name}.jsonl" if publish else folder / "record.jsonl"
    return StudyFolder(folder, ResultsFile(results))
