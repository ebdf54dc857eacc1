"""A study's sweeps hand our command line exactly the study's fields, through W&B's own agent."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from experiments.cli.fields import overrides
from experiments.cli.parser import parser
from experiments.errors import UsageError
from experiments.study.plan import plan
from experiments.study.ranges import Range
from experiments.study.spec import Random, Search, Study, read_study
from experiments.study.sweep import sweep_config

ROOT = Path(__file__).parents[3]
CROP = [{"operator": "crop", "keep": 0.6}]


def study(**fields: Any) -> Study:
    given = {"base": ("cl4srec",), "datasets": ("ml-100k",), "seeds": (0, 1), **fields}
    return Study(name="mine", question="Is it?", **given)


def only(sweeps: dict[str, Any]) -> dict[str, Any]:
    (sweep,) = sweeps.values()
    return sweep


def typed_by_the_agent(sweep: dict[str, Any], point: dict[str, Any]) -> list[tuple[str, Any]]:
    """The fields that `run.py train` is given when W&B's agent starts this point of a sweep."""
    args = create_sweep_command_args({"args": {k: {"value": v} for k, v in point.items()}})
    command = create_sweep_command(list(sweep["command"]))
    words = [w for word in command for w in (args["args"] if word == "${args}" else [word])]
    assert words[:4] == ["${env}", "python", "run.py", "train"]
    arguments, rest = parser().parse_known_args(words[3:])
    return overrides(arguments, rest)


def points(sweep: dict[str, Any]) -> list[dict[str, Any]]:
    """Every point of a grid."""
    keys = list(sweep["parameters"])
    values = [sweep["parameters"][key]["values"] for key in keys]
    return [dict(zip(keys, point, strict=True)) for point in product(*values)]


def test_a_grid_is_a_sweep_over_its_fields_and_seeds():
    sweep = only(sweep_config(study(grid={"contrast.0.temperature": (0.1, 0.2)})))
    assert sweep == {
        "name": "mine cl4srec ml-100k",
        "method": "grid",
        "metric": {"name": "valid/excluded/ndcg@10", "goal": "maximize"},
        "parameters": {
            "seed": {"values": [0, 1]},
            "contrast.0.temperature": {"values": [0.1, 0.2]},
        },
        "command": [
            "${env}", "python", "run.py", "train", "--model", "cl4srec", "--dataset", "ml-100k",
            "${args}",
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    "value", [CROP, ["a", "b"], [], None, True, False, 3, 0.5, 1e-05, "bce", {"loss": "gbce"}]
)
def test_what_the_agent_types_is_read_as_the_value(value):
    sweep = only(sweep_config(study(grid={"contrast.0.x": (value,)}, seeds=(3,))))
    (point,) = points(sweep)
    given = dict(typed_by_the_agent(sweep, point))
    read = given["contrast.0.x"]
    assert (float(read) if isinstance(value, float) else read) == value
    assert (given["model"], given["dataset"], given["seed"]) == ("cl4srec", "ml-100k", 3)
    assert yaml.safe_load(yaml.safe_dump(sweep)) == sweep


def test_each_model_data_set_and_variant_is_a_sweep_with_its_fields_fixed(tmp_path):
    found = sweep_config(
        study(
            base=("cl4srec", "popularity"),
            datasets=("beauty", "toys"),
            set={"epochs": 3},
            variants={"crop": {"contrast.0.operators": CROP}, "as is": {}},
        ),
        tmp_path,
    )
    names = [f"mine {m} {d} {v}" for m in ("cl4srec", "popularity") for d in ("beauty", "toys")
             for v in ("crop", "as is")]  # fmt: skip
    assert list(found) == names
    given = dict(typed_by_the_agent(found["mine cl4srec toys crop"], {"seed": 1}))
    assert given == {
        "model": "cl4srec", "dataset": "toys", "data_dir": str(tmp_path), "epochs": 3,
        "contrast.0.operators": CROP, "seed": 1,
    }  # fmt: skip
    given = dict(typed_by_the_agent(found["mine popularity beauty as is"], {"seed": 0}))
    assert "epochs" not in given  # it does not train


def test_the_baseline_has_the_grid_but_for_its_contrast():
    grid = {"contrast.0.weight": (0.1, 0.2), "next_item.loss": ("bce", "gbce")}
    sweep = sweep_config(study(baseline="sasrec", grid=grid))["mine sasrec ml-100k"]
    assert list(sweep["parameters"]) == ["seed", "next_item.loss"]


def test_a_random_study_is_drawn_by_wandb_as_often():
    ranges = {
        "train.learning_rate": Range(1e-4, 1e-2, log=True),
        "encoder.dropout": Range(0.1, 0.3, step=0.1),
        "encoder.dim": Range(choices=(32, 64)),
        "train.batch_size": Range(16, 64),
        "contrast.0.weight": Range(0.0, 1.0),
    }
    sweep = only(sweep_config(study(random=Random(draws=5, ranges=ranges), seeds=(0,))))
    assert sweep["method"] == "random"
    assert sweep["parameters"] == {
        "seed": {"values": [0]},
        "train.learning_rate": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2},
        "encoder.dropout": {"values": [0.1, 0.2, 0.3]},
        "encoder.dim": {"values": [32, 64]},
        "train.batch_size": {"distribution": "int_uniform", "min": 16, "max": 64},
        "contrast.0.weight": {"distribution": "uniform", "min": 0.0, "max": 1.0},
    }
    assert sweep["run_cap"] == 5


def test_a_search_is_bayes_on_the_first_seed_and_does_not_look_at_test():
    search = Search(trials=7, ranges={"contrast.0.temperature": Range(0.1, 1.0, log=True)})
    sweep = only(sweep_config(study(search=search, seeds=(4, 5))))
    assert (sweep["method"], sweep["run_cap"]) == ("bayes", 7)
    assert sweep["parameters"]["seed"] == {"values": [4]}
    given = dict(typed_by_the_agent(sweep, {"seed": 4, "contrast.0.temperature": 0.3}))
    assert given["evaluate.test"] is False


def test_whole_numbers_by_their_logarithm_are_refused_with_what_to_write():
    search = Search(trials=2, ranges={"encoder.dim": Range(16, 128, log=True)})
    with pytest.raises(UsageError, match=r"ranges\.encoder\.dim.*choices"):
        sweep_config(study(search=search))


@pytest.mark.parametrize("seed", [0, 1])
def test_what_a_study_excludes_is_in_no_sweep(seed):
    grid = {"contrast.0.similarity": ("cosine", "dot"), "contrast.0.temperature": (0.1, 0.5, 1.0)}
    exclude = (
        {"contrast.0.similarity": "dot", "contrast.0.temperature": 0.1},
        {"seed": seed, "contrast.0.temperature": 1.0},
        {"dataset": "toys"},
    )
    sweeps = sweep_config(study(grid=grid, exclude=exclude, datasets=("ml-100k", "toys")))
    swept = [point for sweep in sweeps.values() for point in points(sweep)]
    keys = ("seed", *grid)
    expected = {
        point
        for point in product((0, 1), *grid.values())
        if point[1:] != ("dot", 0.1) and (point[0], point[2]) != (seed, 1.0)
    }
    assert {tuple(point[key] for key in keys) for point in swept} == expected
    assert len(swept) == len(expected)
    assert all("toys" not in sweep["command"] for sweep in sweeps.values())


QUICK = sorted((ROOT / "experiments/studies/quick").glob("*.yaml"))


@pytest.mark.parametrize("path", [path for path in QUICK if read_study(path).search is None])
def test_the_sweeps_of_a_study_are_its_trials(path):
    """As many, with the same fields, for every study that needs no data."""
    shipped = read_study(path)
    swept = [
        dict(typed_by_the_agent(sweep, point))
        for sweep in sweep_config(shipped).values()
        for point in points(sweep)
    ]
    planned = [dict(trial.overrides()) for trial in plan(shipped, None)]
    assert len(swept) == len(planned)
    assert all(fields in planned for fields in swept)


SMALL = {"small": {"encoder.dim": 32}}


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"base": ("sasrec",), "variants": SMALL}, "mine sasrec ml-100k baseline"),
        ({"grid": {"contrast.0.weight": (0.1, 0.5)}}, "mine sasrec ml-100k"),
        (
            {"search": Search(3, {"encoder.dropout": Range(0.1, 0.5)}), "set": {"epochs": 2}},
            "mine sasrec ml-100k",
        ),
        (
            {"random": Random(3, {"encoder.dropout": Range(0.1, 0.5)})},
            "mine sasrec ml-100k",
        ),
    ],
)
def test_the_baseline_is_trained_as_in_the_study_whatever_the_others_do(fields, label):
    asked = study(baseline="sasrec", **fields)
    sweep = sweep_config(asked)[label]
    assert sweep["method"] == "grid"
    swept = [dict(typed_by_the_agent(sweep, point)) for point in points(sweep)]
    trials = [trial for trial in plan(asked, None) if trial.variant.label == "sasrec"]
    assert swept == [dict(trial.overrides()) for trial in trials]
    assert len(swept) == 2


def test_agents_load_the_plug_ins_of_the_study(tmp_path):
    sweep = only(sweep_config(study(), plugins=["mine.py", "theirs"]))
    words = " ".join(sweep["command"])
    assert "--plugin mine.py --plugin theirs" in words
