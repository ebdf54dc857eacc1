"""What is planted is there, and each task finds it where SASRec of the same loss does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.planted.__main__ import main
from experiments.planted.cases import CASES, SETTINGS
from experiments.planted.compare import compare, outcome
from experiments.planted.verdict import (
    SASREC,
    Outcome,
    Verdict,
    as_record,
    outcome_of,
    table,
    verdict,
)
from experiments.planted.worlds import CLUSTERS, ITEMS, NOISE, WORLDS, World, noisy_clusters
from experiments.storage.files import REPOSITORY
from models.tasks import TASKS

RECORD = REPOSITORY / "experiments" / "results" / "planted.jsonl"


def own_items(world: World) -> NDArray[np.bool_]:
    """For every interaction: is the item of its user's group?"""
    user = np.repeat(world.user_cluster, [len(row) for row in world.histories])
    items = np.concatenate(world.histories)
    return user == world.item_cluster[items - 1]


@pytest.mark.parametrize("name", WORLDS)
def test_a_world_is_decided_by_its_seed(name: str) -> None:
    one, again, other = (WORLDS[name](seed) for seed in (3, 3, 4))
    flat = [np.concatenate(world.histories) for world in (one, again, other)]
    assert np.array_equal(flat[0], flat[1])
    assert not np.array_equal(flat[0][:100], flat[2][:100])
    assert one.attributes == again.attributes


@pytest.mark.parametrize("name", WORLDS)
def test_nobody_has_an_item_twice_and_every_item_exists(name: str) -> None:
    world = WORLDS[name](0)
    assert all(len(set(row.tolist())) == len(row) for row in world.histories)
    items = np.concatenate(world.histories)
    assert (items.min(), items.max()) == (1, ITEMS)
    assert len(world.item_cluster) == ITEMS
    assert set(np.bincount(world.item_cluster).tolist()) == {ITEMS // CLUSTERS}


@pytest.mark.parametrize("name", WORLDS)
def test_a_choice_is_of_the_users_group_unless_it_is_noise(name: str) -> None:
    """A noisy choice is of the group by chance; of the group's 20 items none is taken twice, so a
    long history has fewer of them."""
    expected = 1.0 - NOISE + NOISE / CLUSTERS
    assert expected - 0.1 < own_items(WORLDS[name](0)).mean() < expected + 0.02


def test_the_order_of_a_history_says_nothing() -> None:
    world = noisy_clusters(0, users=3000, shortest=6, longest=6)
    by_place = own_items(world).reshape(3000, 6).mean(axis=0)
    assert by_place.max() - by_place.min() < 0.06


def test_attributes_name_the_group_and_one_thing_that_means_nothing() -> None:
    world = WORLDS["attributes"](0)
    assert set(world.attributes) == set(range(1, ITEMS + 1))
    named = [int(world.attributes[item][0].split()[1]) for item in range(1, ITEMS + 1)]
    idle = [int(world.attributes[item][1].split()[1]) for item in range(1, ITEMS + 1)]
    assert np.array_equal(named, world.item_cluster)
    assert abs(np.corrcoef(np.array(idle), np.array(named))[0, 1]) < 0.2


def test_a_world_is_written_as_the_reader_expects(tmp_path: Path) -> None:
    world = WORLDS["attributes"](0)
    world.write(tmp_path, "made")
    lines = (tmp_path / "made.txt").read_text().splitlines()
    assert [int(word) for word in lines[1].split()] == [2, *world.histories[1].tolist()]
    bags = json.loads((tmp_path / "made_item2attributes.json").read_text())
    assert bags["7"] == world.attributes[7]


def made(task: str, ndcg: list[float]) -> list[Outcome]:
    return [Outcome("noisy_clusters", task, {}, seed, x, 0.0, 1) for seed, x in enumerate(ndcg)]


def test_the_test_is_paired_and_two_sided() -> None:
    """Differences .1, .2, .3 have mean .2 and standard error .1 / sqrt(3): t = 2 sqrt(3)."""
    base, ours = made("sasrec", [0.1, 0.5, 0.2]), made("same_user", [0.2, 0.7, 0.5])
    found = verdict("same_user", "noisy_clusters", base, ours)
    t = 2 * np.sqrt(3)
    assert found.p == pytest.approx(1 - t / np.sqrt(2 + t**2))  # Student's t with 2 degrees
    assert found.difference == pytest.approx(0.2)


def test_the_table_has_a_row_a_task() -> None:
    lines = table([Verdict("intents", "noisy_clusters", 0.1, 0.2, 0.03)]).splitlines()
    assert lines[1].split() == [
        "intents",
        "noisy_clusters",
        "0.1000",
        "0.2000",
        "+0.1000",
        "0.0300",
    ]


def test_a_case_is_of_a_task_and_every_world_has_one() -> None:
    """A task claims to find what is planted by its case; a published method may have none."""
    assert set(CASES) <= set(TASKS)
    assert {case.world for case in CASES.values()} == set(WORLDS)


def test_a_record_says_which_code_and_data_made_it() -> None:
    one = Outcome("attributes", "alignment", {"weight": 0.5}, 2, 0.1, 0.2, 7, {"commit": "abc"})
    line = as_record(one)
    assert (line["fields"], line["seed"], line["commit"]) == ({"weight": 0.5}, 2, "abc")


def recorded() -> list[Outcome]:
    """The committed record, without what made it."""
    return [outcome_of(json.loads(line)) for line in RECORD.read_text().splitlines()]


@pytest.mark.parametrize("task", CASES)
def test_the_record_shows_each_task_ahead_over_five_seeds(task: str) -> None:
    """Two-sided p < .05, with the fields that stand in the code."""
    case = CASES[task]
    of_world = [one for one in recorded() if one.world == case.world]
    ours = [one for one in of_world if one.task == task]
    assert [one.seed for one in ours] == [0, 1, 2, 3, 4]
    assert all(one.fields == case.fields for one in ours)
    found = verdict(task, case.world, [one for one in of_world if one.task == SASREC], ours)
    assert found.difference > 0.0
    assert found.p < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_each_task_is_ahead_of_sasrec_of_the_same_loss(
    world: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained anew on one of the record's seeds, for half of its epochs, to be quick; the record
    has the test on five."""
    monkeypatch.setitem(SETTINGS, "epochs", 10)
    fields = {task: case.fields for task, case in CASES.items() if case.world == world}
    ndcg = {task: outcome(world, task, own, 0).ndcg for task, own in fields.items()}
    base = outcome(world, SASREC, {}, 0).ndcg
    assert [task for task in ndcg if ndcg[task] <= base] == []


def test_sasrec_is_trained_once_for_a_world_and_seed_and_is_what_tasks_are_compared_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def scored(world: str, task: str, fields: dict[str, Any], seed: int) -> Outcome:
        ndcg = seed + (0.0 if task == SASREC else 0.5 + seed / 10)
        return Outcome(world, task, fields, seed, ndcg, 0.0, 1)

    monkeypatch.setattr("experiments.planted.compare.outcome", scored)
    told: list[Outcome] = []
    found = compare(CASES, range(3), told.append)
    trained = [(one.world, one.task, one.seed) for one in told]
    assert len(trained) == len(set(trained)) == 3 * (len(CASES) + len(WORLDS))
    assert [one.difference for one in found] == pytest.approx([0.6] * len(CASES))


def test_the_record_keeps_what_is_not_trained_again_and_is_whole_or_as_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scores = {"now": 1.0}

    def scored(world: str, task: str, fields: dict[str, Any], seed: int) -> Outcome:
        return Outcome(world, task, fields, seed, scores["now"] + seed, 0.0, 1)

    monkeypatch.setattr("experiments.planted.compare.outcome", scored)
    path, (first, second) = tmp_path / "p.jsonl", list(CASES)[:2]

    def train(*tasks: str) -> dict[tuple[str, str], float]:
        monkeypatch.setattr("sys.argv", ["p", "--to", str(path), "--seeds", "0", "--tasks", *tasks])
        main()
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return {(line["world"], line["task"]): line["ndcg"] for line in lines}

    whole = train(first, second)
    scores["now"] = 2.0
    again = train(second)
    assert again.keys() == whole.keys()
    assert again[CASES[second].world, second] == 2.0
    assert again[CASES[first].world, first] == 1.0
    scores.clear()  # it fails half way
    with pytest.raises(KeyError):
        train(first)
    assert {line["ndcg"] for line in map(json.loads, path.read_text().splitlines())} == {1.0, 2.0}
