"""What Optuna decides in a search: the next fields to try, and when to give a trial up.

Optuna keeps nothing that is needed here.  Each question is put to a study that is built anew in
memory from what is known of every trial, so that no kill of a worker can leave it with less or
with other than that, and the answer is a function of it and of the seed.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.study.ranges import Range
from experiments.study.spec import Search

if TYPE_CHECKING:
    import optuna

Fields = dict[str, Any]


@dataclass(frozen=True)
class Known:
    """What is known of a search's trial.

    status: finished, pruned, failed, or running.  score: of a finished trial.
    curve: validation by epoch.  notes: what the pruner wants to be told again.
    """

    fields: Fields
    status: str
    score: float | None = None
    curve: dict[int, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


def next_fields(rules: Search, number: int, epochs: int, known: list[Known]) -> Fields:
    """The fields of trial `number` by TPE.

    Tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), over all fields at once;
    trials that run count as bad ones, so that workers spread out.  The first ten are at random.
    """
    distributions = {key: distribution(range_) for key, range_ in rules.ranges.items()}
    suggested = as_study(rules, number, epochs, known).ask(distributions)
    return {key: value_of(range_, suggested.params[key]) for key, range_ in rules.ranges.items()}


def should_prune(
    rules: Search, number: int, epochs: int, known: list[Known]
) -> tuple[bool, dict[str, Any]]:
    """Whether the pruner ends the trial at place `number` of those known; its notes on it."""
    study = as_study(rules, number, epochs, known)
    ended = study.pruner.prune(study, study.get_trials()[number])
    return ended, study.get_trials()[number].system_attrs


def write_journal(path: Path, rules: Search, known: list[Known]) -> None:
    """A search that is over as Optuna's journal, for its dashboard and its analyses."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    own = path.with_name(f".{uuid.uuid4().hex}")  # whoever shares the folder may write it, too
    try:
        backend = JournalFileBackend(str(own), JournalFileOpenLock(str(own)))
        as_study(rules, 0, 1, known, JournalStorage(backend))
        own.replace(path)
    finally:
        own.unlink(missing_ok=True)


def as_study(
    rules: Search,
    number: int,
    epochs: int,
    known: list[Known],
    storage: optuna.storages.BaseStorage | None = None,
) -> optuna.Study:
    """An Optuna study, in memory if nowhere else, that has been told all that is known."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = int(np.random.SeedSequence((rules.seed, number)).generate_state(1)[0])
    study = optuna.create_study(
        direction="maximize",
        study_name="search",
        storage=storage,
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=pruner(rules, epochs),
    )
    for trial in known:
        study.add_trial(as_trial(rules, trial))
    return study


def as_trial(rules: Search, known: Known) -> optuna.trial.FrozenTrial:
    import optuna

    states = {
        "finished": optuna.trial.TrialState.COMPLETE,
        "pruned": optuna.trial.TrialState.PRUNED,
        "failed": optuna.trial.TrialState.FAIL,
        "running": optuna.trial.TrialState.RUNNING,
    }
    return optuna.trial.create_trial(
        state=states[known.status],
        value=known.score,
        params={key: suggestion(range_, known.fields[key]) for key, range_ in rules.ranges.items()},
        distributions={key: distribution(range_) for key, range_ in rules.ranges.items()},
        intermediate_values=known.curve,
        system_attrs=known.notes,
    )


def pruner(rules: Search, epochs: int) -> optuna.pruners.BasePruner:
    """epochs: the most that a trial may take."""
    import optuna

    if rules.pruner == "median":
        return optuna.pruners.MedianPruner(n_warmup_steps=rules.warm_up)
    if rules.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(max_resource=epochs)
    return optuna.pruners.NopPruner()


def distribution(range_: Range) -> optuna.distributions.BaseDistribution:
    """A range for Optuna: choices and steps by their number, so that any value may be one."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if range_.choices:
        return CategoricalDistribution(tuple(range(len(range_.choices))))
    if range_.step is not None:
        return IntDistribution(0, range_.steps)
    if range_.integer:
        return IntDistribution(range_.low, range_.high, log=range_.log)
    return FloatDistribution(range_.low, range_.high, log=range_.log)


def value_of(range_: Range, suggested: Any) -> Any:
    """The field's value for what Optuna suggests, rounded as a drawn one is."""
    if range_.choices:
        return range_.choices[suggested]
    return range_.point(suggested) if range_.step is not None else range_.written(suggested)


def suggestion(range_: Range, value: Any) -> Any:
    """What Optuna would have suggested for a value; ValueError for one outside of the range."""
    if range_.choices:
        return range_.choices.index(value)
    if not isinstance(value, (int, float)) or not range_.low <= value <= range_.high:
        raise ValueError(f"{value!r} is not between {range_.low} and {range_.high}")
    return round((value - range_.low) / range_.step) if range_.step is not None else value
