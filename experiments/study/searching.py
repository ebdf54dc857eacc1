"""A search under way: trials that are suggested one by one, then those of the best."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.config.typed import build
from experiments.errors import UsageError
from experiments.metric_names import VALID_NDCG10
from experiments.record.line import Values
from experiments.storage.atomic import create_once, write_json, writing
from experiments.storage.lock import locked
from experiments.study.folder import StudyFolder
from experiments.study.plan import Trial, trial_from
from experiments.study.sampling import Known, next_fields, should_prune, write_journal
from experiments.study.search import TRIES, ModelSearch


class Searching:
    """A search as far as it has come, in a folder that all workers share.

    Its trials have places 0, 1, ...; a place gets its fields once, and from then on is a trial
    like any other, for whoever takes it.
    """

    def __init__(self, search: ModelSearch, folder: StudyFolder, data_dir: Path | None) -> None:
        self.search, self.folder, self.data_dir = search, folder, data_dir
        self.path = folder.path / "search" / search.name
        self._attempts: dict[int, Trial] = {}
        self._foreign: set[str] = set()  # lines of the results that are none of its trials
        self._best: dict[str, list[Trial]] = {}  # by the trial that won

    @property
    def what(self) -> str:
        return f"{self.search.model} on {self.search.dataset}"

    def attempts(self) -> dict[int, Trial]:
        """The trials that have been suggested, by place."""
        for number in range(self.search.rules.trials):
            if number not in self._attempts and self.place(number).exists():
                self._attempts[number] = self._read(number)
        for number, trial in self._recorded():
            self._attempts.setdefault(number, trial)
        return dict(sorted(self._attempts.items()))

    def place(self, number: int) -> Path:
        return self.path / f"{number}.json"

    def _read(self, number: int) -> Trial:
        trial = trial_from(json.loads(self.place(number).read_text(encoding="utf-8")))
        drawn = self.search.drawn(trial.variant.axes)
        if self.search.attempt(number, drawn, self.data_dir).id != trial.id:
            raise UsageError(
                f"--out {self.folder.path}: data or defaults have changed since the search for "
                f"{self.what} was begun; begin it in another folder"
            )
        return trial

    def _recorded(self) -> list[tuple[int, Trial]]:
        """Trials that only the results know: they were written in another folder."""
        attempts, known = [], {trial.id for trial in self._attempts.values()}
        for name, line in self.folder.results.lines().items():
            if name not in known and name not in self._foreign:
                number = self._place_in(line)
                asked = number is not None and number < self.search.rules.trials
                trial = self.of_line(line) if asked else None
                if number is not None and trial is not None and number not in self._attempts:
                    attempts.append((number, trial))
                else:
                    self._foreign.add(name)
        return attempts

    def _place_in(self, line: Values) -> int | None:
        """The place that a line's name tells; None for the best, and for names of others."""
        label = re.fullmatch(rf"{re.escape(self.search.model)} search (\d+)", line["variant"])
        return int(label[1]) if label and line["dataset"] == self.search.dataset else None

    def of_line(self, line: Values) -> Trial | None:
        """The trial of the search, or of what was its best, that a line is; None where it is none:
        it has a name of the search's, and other fields or data."""
        number = self._place_in(line)
        try:
            drawn = self.search.drawn(line.get("axes") or {})
            if number is None:
                (trial,) = replace(self.search, seeds=(line["seed"],)).best(drawn, self.data_dir)
            else:
                trial = self.search.attempt(number, drawn, self.data_dir)
        except (ValueError, UsageError):
            return None
        return trial if trial.id == line["trial"] else None

    def recorded(self) -> dict[str, Trial | None]:
        """By id, what the lines are that have a name of the search's, as `of_line` says."""
        return {
            name: self.of_line(line)
            for name, line in self.folder.results.lines().items()
            if self._place_in(line) is not None or self._is_called_best(line)
        }

    def _is_called_best(self, line: Values) -> bool:
        return (line["variant"], line["dataset"]) == (self.search.model, self.search.dataset)

    def suggest_next(self) -> bool:
        """Give one more place its fields; False when all have theirs."""
        if len(self.attempts()) == self.search.rules.trials:
            return False
        with locked(self.path / ".lock"):
            attempts = self.attempts()  # others may have been here since
            number = next((n for n in range(self.search.rules.trials) if n not in attempts), None)
            if number is None:
                return False
            known = [self.known(n, trial) for n, trial in attempts.items()]
            self._write(number, self._next(number, known))
        return True

    def _next(self, number: int, known: list[Known]) -> Trial:
        """The trial of a place.  Fields that do not go together are asked for anew, as if a place
        beyond the last were asked for; UsageError when they never do."""
        for again in range(TRIES):
            place = number + again * self.search.rules.trials
            fields = next_fields(self.search.rules, place, self.epochs, known)
            try:
                return self.search.attempt(number, fields, self.data_dir)
            except UsageError as error:
                refused = error
        raise refused

    def _write(self, number: int, trial: Trial) -> None:
        """Whole and only if nobody has: a machine may see another one's file late."""
        create_once(self.place(number), json.dumps(trial.tree(), indent=2) + "\n", synced=True)

    @cached_property
    def probe(self) -> Trial:
        """A trial that takes as long as others of the search."""
        return self.search.best(self.search.point({}, self.data_dir), self.data_dir)[0]

    @property
    def epochs(self) -> int:
        """The most that a trial may take."""
        searched = self.search.rules.ranges.get("epochs")
        return self.probe.epochs if searched is None else int(max(searched.ends))

    def known(self, number: int, trial: Trial) -> Known:
        """All that Optuna is told of a trial: its line, or how far it has come."""
        line = self.folder.results.lines().get(trial.id)
        drawn = self.search.drawn(trial.variant.axes)
        if line is None:
            history = self.folder.run(trial.id).read_history()
            return Known(drawn, "running", None, curve_of(history), self.notes(number))
        pairs = zip(line.get("curve/epoch", []), line.get(f"curve/{VALID_NDCG10}", []), strict=True)
        score = line[VALID_NDCG10] if line["status"] == "finished" else None
        return Known(drawn, line["status"], score, dict(pairs), self.notes(number))

    def notes(self, number: int, before: float = math.inf) -> dict[str, Any]:
        """What the pruner had noted of a trial before an epoch."""
        epochs = [epoch for epoch in self._noted(number) if int(epoch) < before]
        last: dict[str, Any] = self._noted(number)[max(epochs, key=int)] if epochs else {}
        return last

    def _noted(self, number: int) -> dict[str, Any]:
        """The pruner's notes by epoch."""
        path = self.path / f"{number}.pruner.json"
        if not path.exists():
            return {}
        noted: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return noted

    def goes_on(self, trial: Trial, record: dict[str, float]) -> bool:
        """False when the pruner ends the trial after this epoch.

        record: the epoch's, not yet in the history: a worker that is killed before it is there
        has this epoch again, and asks again what it had asked.
        """
        attempts, epoch = self.attempts(), int(record["epoch"])
        number = self.number_of(trial)
        last = epoch >= trial.epochs
        if (
            number is None
            or VALID_NDCG10 not in record
            or last
            or self.search.rules.pruner == "none"
        ):
            return True
        known = [self.known(n, attempt) for n, attempt in attempts.items()]
        place = list(attempts).index(number)
        curve = {e: v for e, v in known[place].curve.items() if e < epoch} | curve_of([record])
        before = self.notes(number, epoch)
        known[place] = replace(known[place], curve=curve, notes=before)
        ended, notes = should_prune(self.search.rules, place, self.epochs, known)
        if notes != before:
            write_json(self.path / f"{number}.pruner.json", {**self._noted(number), epoch: notes})
        if ended:
            write_json(self.path / f"{number}.ended.json", {"epoch": epoch})
        return not ended

    def has_ended(self, trial: Trial) -> bool:
        """Whether the pruner ended it after its last epoch, and its worker could not say so."""
        path = self.path / f"{self.number_of(trial)}.ended.json"
        if not path.exists():
            return False
        epoch = json.loads(path.read_text(encoding="utf-8"))["epoch"]
        return any(record["epoch"] >= epoch for record in self.folder.run(trial.id).read_history())

    def number_of(self, trial: Trial) -> int | None:
        """Which attempt it is; None where it is none of the search's."""
        return next((n for n, attempt in self.attempts().items() if attempt.id == trial.id), None)

    def settled(self) -> bool:
        """Whether all trials of the search have ended, so that the best is known."""
        attempts, lines = self.attempts(), self.folder.results.lines()
        everything = len(attempts) == self.search.rules.trials
        return everything and all(trial.id in lines for trial in attempts.values())

    def winner(self) -> Trial | None:
        """The best that was finished; the earlier of two that are equal; None without any."""
        lines = self.folder.results.lines()
        scores = [
            (lines[trial.id][VALID_NDCG10], trial)
            for trial in self.attempts().values()
            if trial.id in lines and lines[trial.id]["status"] == "finished"
        ]
        return max(scores, key=lambda pair: pair[0], default=(0.0, None))[1]

    def trials(self) -> list[Trial]:
        """All that is known to be trained, each once: the search's, and then those of the best."""
        trials = [*self.attempts().values(), *self.best()]
        return list({trial.id: trial for trial in reversed(trials)}.values())[::-1]

    def best(self) -> list[Trial]:
        """What the search was for; nothing until it is over."""
        winner = self.winner() if self.settled() else None
        if winner is None:
            return []
        if winner.id not in self._best:
            drawn = self.search.drawn(winner.variant.axes)
            self._best = {winner.id: self.search.best(drawn, self.data_dir)}
        return self._best[winner.id]

    def forget_superseded(self) -> int:
        """Take out lines of what was the best while the search had more or fewer trials; returns
        how many.

        They have the name of what is the best now.
        """
        best = self.best()
        if not best:
            return 0
        stale = {
            name
            for name, line in self.folder.results.lines().items()
            if self._is_called_best(line)
            and line.get("axes") != best[0].variant.axes
            and self.of_line(line) is not None
        }
        if stale:
            self.folder.results.forget(stale)
        return len(stale)

    def write_journal(self) -> Path:
        """All of the search for Optuna's own tools; what is known here does not depend on it."""
        path = self.path / "optuna.journal"
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        known = [self.known(number, trial) for number, trial in self.attempts().items()]
        write_journal(path, self.search.rules, known)
        return path

    def remaining(self) -> int:
        """How many trials will be added to `trials`: not suggested yet, or of the best."""
        not_suggested = self.search.rules.trials - len(self.attempts())
        return not_suggested + (0 if self.settled() else len(self.search.seeds))

    def stand_ins(self) -> list[Trial]:
        """One for each remaining trial: a trial that takes as long."""
        return [self.probe] * self.remaining()


def curve_of(history: list[dict[str, Any]]) -> dict[int, float]:
    """Validation by epoch."""
    return {int(r["epoch"]): r[VALID_NDCG10] for r in history if VALID_NDCG10 in r}


def superseded(search: Searching, count: int) -> str:
    """What is said of lines that `forget_superseded` took out."""
    return f"search for {search.what}: {count} lines of what was the best before are taken out"


def searches_in(folder: StudyFolder, data_dir: Path | None) -> list[Searching]:
    """The searches of a study's manifest."""
    trees = folder.read()["searches"]
    return [Searching(build(ModelSearch, tree, ""), folder, data_dir) for tree in trees]
