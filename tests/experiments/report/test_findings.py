"""Sentences that say what a table shows, and no more."""

from __future__ import annotations

import json

import numpy as np
import pytest

from experiments.record.line import parse
from experiments.report.compare import Table, tables
from experiments.report.findings import commands, findings, printed
from tests.experiments.report.made_record import FloatArray, Values, finished

USERS = 2000


def ranks(factor: float, seed: int) -> FloatArray:
    """Whole ranks of USERS users; a factor below 1 brings all of them further up."""
    taste = np.exp(np.random.default_rng(7).normal(2.5, 1.0, USERS))
    noise = np.exp(np.random.default_rng(seed).normal(0.0, 0.02, USERS))
    return np.ceil(taste * noise * factor)


def line(variant: str, factor: float, seed: int, **rest: str) -> Values:
    baseline = None if variant == "sasrec" else "sasrec"
    return finished("toys", variant, seed, ranks(factor, seed), baseline=baseline, **rest)  # type: ignore[arg-type]


def table_of(factors: dict[str, float], seeds: int = 3, **rest: str) -> Table:
    lines = [
        line(name, factor, seed, **(rest if name != "sasrec" else {}))
        for name, factor in factors.items()
        for seed in range(seeds)
    ]

    (found,) = tables([parse(json.dumps(one), "here") for one in lines])
    return found


def test_what_is_significantly_above_and_below_is_named() -> None:
    first, best, worst = findings(table_of({"sasrec": 1.0, "good": 0.6, "bad": 1.6, "same": 1.0}))
    assert first.startswith("3 variants against sasrec (.")
    assert "3 seeds: 1 significantly above (good); 1 significantly below (bad); " in first
    assert first.endswith("no significant difference for 1.")
    assert best.startswith("Highest: good, +.")
    assert "95 % interval +." in best
    assert worst.startswith("Lowest: bad, -.")
    assert "p <.001" in worst


@pytest.mark.parametrize(
    ("seeds", "rest", "told"),
    [
        (1, {}, "exploratory (1 seed), nothing is tested."),
        (2, {}, "exploratory (2 seeds), nothing is tested."),
        (3, {"loss": "bce"}, "3 seeds: another next-item loss, not judged."),
    ],
)
def test_few_seeds_or_another_loss_show_nothing(seeds, rest, told) -> None:
    first, difference = findings(table_of({"sasrec": 1.0, "good": 0.6}, seeds, **rest))
    assert first.startswith("good against sasrec (")
    assert first.endswith(told)
    assert difference.startswith("The difference: +.")
    assert ("another next-item loss" in difference) == bool(rest)
    assert ("exploratory" in difference) == (seeds < 3)
    assert ("95 % interval" in difference) == (seeds >= 3)
    assert ("; p " in difference) == (seeds >= 3)


def test_a_variant_of_another_loss_is_not_said_to_differ_no_more_than_others() -> None:
    lines = [line(name, factor, seed) for name, factor in (("sasrec", 1.0), ("same", 1.0))
             for seed in range(3)]  # fmt: skip
    lines += [line("bce", 3.0, seed, loss="bce") for seed in range(3)]
    (table,) = tables([parse(json.dumps(values), "here") for values in lines])
    told = "no significant difference for 1; 1 with another next-item loss, not judged."
    assert findings(table)[0].endswith(told)


def test_exploratory_rows_are_counted_beside_those_that_are_tested() -> None:
    lines = [line(name, factor, seed) for name, factor in (("sasrec", 1.0), ("good", 0.6))
             for seed in range(3)]  # fmt: skip
    lines += [line("new", 0.5, seed) for seed in range(2)]
    (table,) = tables([parse(json.dumps(values), "here") for values in lines])
    first, highest, _ = findings(table)
    assert first.endswith("3 seeds: significantly above; 1 exploratory.")
    assert highest.startswith("Highest: new, +.")
    assert "exploratory, 2 seeds" in highest


def test_a_long_list_is_cut() -> None:
    factors = {"sasrec": 1.0, **{f"good {number}": 0.6 for number in range(6)}}
    assert (
        "6 significantly above (good 0, good 1, good 2, good 3, 2 more)"
        in (findings(table_of(factors))[0])
    )


def test_without_a_comparison_there_is_nothing_to_say() -> None:
    assert findings(table_of({"sasrec": 1.0})) == []


def test_a_command_for_every_row() -> None:
    assert commands(table_of({"sasrec": 1.0, "good": 0.6})) == [
        "`python run.py train --model sasrec --seed 0 --data-dir DIR`",
        "`python run.py train --model good --seed 0 --data-dir DIR`",
    ]


def test_what_the_first_minutes_print_has_a_row_for_the_first_seed_of_each_variant() -> None:
    shown = printed(table_of({"sasrec": 1.0, "good": 0.6}))
    assert shown.startswith("```\n$ python run.py\n")
    assert shown.endswith("\n```")
    rows = {line.split()[0]: line.split() for line in shown.splitlines() if line}
    for name, factor in (("sasrec", 1.0), ("good", 0.6)):
        values = line(name, factor, 0)
        assert rows[name][2] == f"{values['test/excluded/ndcg@10']:.4f}"
