"""What of a study is left to do, and how long it will take."""

from __future__ import annotations

from experiments.record.line import Values
from experiments.study.estimate import Seconds, estimate
from experiments.study.folder import study_folder
from experiments.study.plan import Trial, doubles
from experiments.study.searching import Searching
from experiments.study.spec import Study
from experiments.training.progress import clock


def published(study: Study, trials: list[Trial]) -> int:
    """How many of the trials are in the committed results."""
    lines = study_folder(study.name, publish=True).results.lines()
    return sum(lines.get(trial.id, {}).get("status") == "finished" for trial in trials)


def cost(seconds: float | None) -> str:
    return "?" if seconds is None else clock(seconds)


def left(trials: list[Trial], searches: list[Searching], done: dict[str, Values]) -> list[Trial]:
    """What is not finished yet; for each trial that a search has yet to add, a stand-in."""
    stand_ins = [trial for search in searches for trial in search.stand_ins()]
    return [trial for trial in planned(trials, searches) if trial.id not in done] + stand_ins


def planned(trials: list[Trial], searches: list[Searching]) -> list[Trial]:
    """All that is known to be trained."""
    return [*trials, *(trial for search in searches for trial in search.trials())]


def outlook(
    study: Study,
    trials: list[Trial],
    searches: list[Searching],
    done: dict[str, Values],
    workers: int,
    known: Seconds,
) -> str:
    """How much there is to do, and how long it will take if the results tell."""
    total = len(trials) + sum(len(search.trials()) + search.remaining() for search in searches)
    to_do = left(trials, searches, done)
    ended = [done[trial.id] for trial in planned(trials, searches) if trial.id in done]
    failed = sum(line["status"] == "failed" for line in ended)
    trials_of = "1 trial" if total == 1 else f"{total} trials"
    line = f"{study.name}: {trials_of}, {len(ended) - failed} finished"
    line += f", {failed} failed (--retry-failed trains them again)" if failed else ""
    if same := doubles(study, trials):
        line = f"not trained, as others have the same fields: {', '.join(same)}\n{line}"
    if study.search and searches:
        best = sum(len(search.search.seeds) for search in searches)
        names = ", ".join(search.what for search in searches)
        line += f" ({study.search.trials} search trials for each of {names}, then {best})"
    if not to_do:
        return f"{line}; --out DIR trains them anew, --again trains one more time and compares"
    seconds = [needed for trial in to_do if (needed := estimate(trial, known)) is not None]
    line += f", {len(to_do)} to do with {workers} worker{'s' * (workers > 1)}"
    if seconds:
        line += f": about {clock(sum(seconds) / workers)}"
    if len(seconds) < len(to_do):
        line += f" ({len(to_do) - len(seconds)} without a similar finished run)"
    return line


def dropped(study: Study, trials: list[Trial], done: dict[str, Values]) -> list[str]:
    """That the results hold variants which the study file no longer has; a search adds its own."""
    planned = {trial.variant.label for trial in trials}
    found = [str(line["variant"]) for line in done.values() if line["status"] == "finished"]
    gone = list(dict.fromkeys(name for name in found if name not in planned))
    if study.search or not gone:
        return []
    names = ", ".join(gone[:4]) + (", ..." if len(gone) > 4 else "")
    return [f"note: the results have variants that the study lacks, and tables show them: {names}"]
