"""What Optuna proposes moves to where scores were high, and is a value of the range."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from experiments.study import sampling
from experiments.study.ranges import Range
from experiments.study.sampling import Known, next_fields, should_prune, suggestion, value_of
from experiments.study.spec import Search

RANGES = {
    "rate": Range(1e-4, 1.0, log=True),
    "dropout": Range(0.1, 0.6, step=0.1),
    "dim": Range(choices=(16, [32], 64)),
}


def score(fields: dict[str, Any]) -> float:
    """Best at a rate of 0.01 and a dropout of 0.3."""
    return 1 / (1 + 9 * (math.log10(fields["rate"]) + 2) ** 2) - abs(fields["dropout"] - 0.3)


def search(rules: Search) -> list[Known]:
    known: list[Known] = []
    for number in range(rules.trials):
        fields = next_fields(rules, number, 5, known)
        known.append(Known(fields, "finished", score(fields)))
    return known


@pytest.mark.parametrize("seed", range(4))
def test_later_trials_score_higher_than_the_random_first_ones(seed: int) -> None:
    scores = [one.score or 0.0 for one in search(Search(40, RANGES, seed))]
    assert mean(scores[-10:]) > mean(scores[:10]) + 0.1


def test_the_seed_decides_and_another_one_decides_otherwise() -> None:
    rules, other = Search(12, RANGES, seed=0), Search(12, RANGES, seed=1)
    assert search(rules) == search(rules)
    assert search(rules) != search(other)


def test_trials_that_run_are_known_and_not_repeated() -> None:
    rules = Search(40, RANGES, 0)
    known = search(Search(20, RANGES, 0))
    rates = set()
    for number in range(20, 26):
        fields = next_fields(rules, number, 5, known)
        rates.add(fields["rate"])
        known.append(Known(fields, "running"))
    assert len(rates) == 6


@pytest.mark.parametrize(
    ("one", "value", "suggested"),
    [
        (Range(1e-4, 1.0, log=True), 0.002, 0.002),
        (Range(0, 0.5), 0, 0),
        (Range(1, 8), 3, 3),
        (Range(1, 64, log=True), 64, 64),
        (Range(0.1, 0.6, step=0.1), 0.3, 2),
        (Range(0.0, 1.0, step=1 / 3), 0.666666666667, 2),
        (Range(16, 128, step=16), 48, 2),
        (Range(choices=([1, 2], "none", None)), "none", 1),
    ],
)
def test_a_value_and_its_suggestion_belong_together(one: Range, value: Any, suggested: Any) -> None:
    assert suggestion(one, value) == suggested
    assert value_of(one, suggested) == value


@pytest.mark.parametrize("value", [0.05, 0.7, "0.3", [0.3]])
def test_a_value_outside_of_the_range_is_none_of_its_suggestions(value: Any) -> None:
    with pytest.raises(ValueError, match="between"):
        suggestion(Range(0.1, 0.6, step=0.1), value)
    with pytest.raises(ValueError, match="index"):
        suggestion(Range(choices=(1, 2)), value)


def test_the_median_ends_a_trial_below_it_after_the_warm_up() -> None:
    rules = Search(6, {"rate": Range(0.1, 0.9)}, pruner="median")
    fields = {"rate": 0.5}
    others = [
        Known(fields, "finished", s, {1: s / 2, 2: s, 3: s}) for s in (0.1, 0.2, 0.3, 0.4, 0.5)
    ]

    def ends(curve: dict[int, float]) -> bool:
        return should_prune(rules, 5, 3, [*others, Known(fields, "running", None, curve)])[0]

    assert not ends({1: 0.0, 2: 0.0})
    assert ends({1: 0.0, 2: 0.0, 3: 0.29})
    assert not ends({1: 0.0, 2: 0.0, 3: 0.31})
    rules = replace(rules, warm_up=2)
    assert not ends({1: 0.0})
    assert ends({1: 0.0, 2: 0.0})


def test_a_journal_is_written_by_two_at_once_and_without_symbolic_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows makes none without a privilege."""
    rules = Search(1, {"rate": Range(0.1, 0.9)})
    path, known = tmp_path / "optuna.journal", [Known({"rate": 0.5}, "finished", 0.1)]
    whole, begun = sampling.as_study, []

    def while_another_writes(*given: Any) -> Any:
        if not begun:
            begun.append(True)
            sampling.write_journal(path, rules, known)
        return whole(*given)

    def refuse(*given: Any, **named: Any) -> None:
        raise OSError("a required privilege is not held by the client")

    monkeypatch.setattr(sampling, "as_study", while_another_writes)
    monkeypatch.setattr(os, "symlink", refuse)
    sampling.write_journal(path, rules, known)
    storage = JournalStorage(JournalFileBackend(str(path), JournalFileOpenLock(str(path))))
    loaded = optuna.load_study(study_name="search", storage=storage)
    assert [trial.value for trial in loaded.trials] == [0.1]
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
