"""A study's trials: which are planned, what they are called, and what they are compared with."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace

import pytest

import experiments.study.plan
import experiments.training.build
from experiments.cli.fields import overrides
from experiments.cli.parser import parser
from experiments.config.resolve import resolve
from experiments.config.run_config import config_tree
from experiments.data.known import declared, known
from experiments.errors import UsageError
from experiments.study.command import whole_plan
from experiments.study.plan import Trial, command, doubles, plan
from experiments.study.ranges import Range
from experiments.study.search import plan_searches
from experiments.study.spec import STUDIES, Search, Study, read_study
from experiments.study.variants import variants
from tests.experiments.small_data import ATTRIBUTES, planted, write_text

ALL = sorted(STUDIES.rglob("*.yaml"))


def study(**keys) -> Study:
    return Study(
        **{"name": "s", "question": "?", "base": ("cl4srec",), "datasets": ("planted",), **keys}
    )


@pytest.fixture
def data(tmp_path):
    write_text(tmp_path, "planted", planted())
    return tmp_path


def labels(study: Study) -> list[str]:
    return [variant.label for variant in variants(study)]


def test_a_grid_is_a_product_of_which_every_point_is_named():
    grid = {"contrast.0.temperature": (0.1, 1.0), "encoder.dropout": (0.2, 0.5)}
    assert labels(study(grid=grid)) == [
        "cl4srec temperature=0.1 dropout=0.2",
        "cl4srec temperature=0.1 dropout=0.5",
        "cl4srec temperature=1.0 dropout=0.2",
        "cl4srec temperature=1.0 dropout=0.5",
    ]


def test_fields_that_end_alike_are_told_apart():
    grid = {"contrast.0.weight": (0.1,), "contrast.1.weight": (0.2,)}
    assert labels(study(grid=grid)) == ["cl4srec 0.weight=0.1 1.weight=0.2"]


def test_operators_are_named_with_their_fields():
    operators = (["crop", {"operator": "mask", "ratio": 0.3}],)
    grid = {"contrast.0.operators": operators}
    assert labels(study(grid=grid)) == ["cl4srec operators=[crop, mask(ratio=0.3)]"]


def test_named_variants_are_one_more_axis():
    named = {"crop": {"contrast.0.operators": ["crop"]}, "none": {"contrast.0.weight": 0.0}}
    found = variants(study(variants=named, grid={"epochs": (3, 4)}))
    assert [one.label for one in found] == [
        "cl4srec epochs=3 crop", "cl4srec epochs=3 none",
        "cl4srec epochs=4 crop", "cl4srec epochs=4 none",
    ]  # fmt: skip
    assert found[1].fields == {"epochs": 3, "contrast.0.weight": 0.0}
    assert found[1].axes == {"model": "cl4srec", "epochs": 3, "variant": "none"}


def test_the_baseline_is_varied_in_what_is_not_the_contrasts():
    grid = {"contrast.0.temperature": (0.1, 1.0), "next_item.loss": ("cross_entropy", "bce")}
    some = {"epochs": 3, "contrast.0.weight": 0.2}
    found = {one.label: one for one in variants(study(grid=grid, baseline="sasrec", set=some))}
    assert list(found)[:2] == ["sasrec loss=cross_entropy", "sasrec loss=bce"]
    assert len(found) == 6
    assert found["sasrec loss=bce"].fields == {"epochs": 3, "next_item.loss": "bce"}
    assert found["sasrec loss=bce"].baseline is None
    assert found["cl4srec temperature=0.1 loss=bce"].baseline == "sasrec loss=bce"
    assert found["cl4srec temperature=0.1 loss=bce"].fields == {
        **some, "contrast.0.temperature": 0.1, "next_item.loss": "bce",
    }  # fmt: skip


def test_a_baseline_among_the_bases_is_trained_once():
    found = variants(study(base=("cl4srec", "sasrec"), baseline="sasrec"))
    assert [(one.label, one.baseline) for one in found] == [("sasrec", None), ("cl4srec", "sasrec")]


def test_set_reaches_the_models_that_read_it():
    some = {"train.patience": 3, "encoder.dim": 16}
    bases = ("cl4srec", "popularity", "recbole:GRU4Rec")
    found = {one.model: one.fields for one in variants(study(base=bases, set=some))}
    assert found == {"cl4srec": some, "popularity": {}, "recbole:GRU4Rec": {"train.patience": 3}}


def test_random_draws_are_those_of_their_seed():
    from experiments.study.ranges import Range
    from experiments.study.spec import Random

    ranges = {"train.learning_rate": Range(low=1e-4, high=1e-2, log=True)}
    first, again, other = (labels(study(random=Random(5, ranges, seed))) for seed in (0, 0, 1))
    assert first == again
    assert len(set(first)) == 5
    assert set(first).isdisjoint(other)


def test_a_data_set_is_done_before_the_next_and_a_seed_before_the_next(data):
    write_text(data, "other", planted(seed=1))
    bases, sets = ("sasrec", "cl4srec"), ("planted", "other")
    trials = plan(study(base=bases, datasets=sets, seeds=(1, 0)), data)
    assert [(trial.dataset, trial.seed, trial.variant.model) for trial in trials] == [
        (dataset, seed, model) for dataset in sets for seed in (1, 0) for model in bases
    ]


@pytest.mark.parametrize(
    ("entry", "left"),
    [
        ({"seed": 0}, [(1, "sasrec"), (1, "cl4srec")]),
        ({"model": "sasrec", "seed": 0}, [(0, "cl4srec"), (1, "sasrec"), (1, "cl4srec")]),
        ({"dataset": "beauty"}, [(0, "sasrec"), (0, "cl4srec"), (1, "sasrec"), (1, "cl4srec")]),
    ],
)
def test_a_trial_that_fits_all_keys_of_an_exclusion_is_left_out(entry, left, data):
    asked = study(base=("sasrec", "cl4srec"), seeds=(0, 1), exclude=(entry,))
    assert [(trial.seed, trial.variant.model) for trial in plan(asked, data)] == left


def test_excluding_everything_is_a_mistake(data):
    search = Search(trials=1, ranges={"encoder.dropout": Range(low=0.1, high=0.2)})
    for asked in (study(), study(search=search)):
        with pytest.raises(UsageError, match="leaves no trial"):
            whole_plan(replace(asked, exclude=({"dataset": "planted"},)), data)


def test_a_mistake_in_one_variant_names_it(data):
    with pytest.raises(UsageError, match=r"sasrec dim=65 on planted: .*heads"):
        plan(study(base=("sasrec",), grid={"encoder.dim": (64, 65)}), data)


def test_a_baseline_that_is_a_base_and_would_be_two_models_is_refused_with_the_way_out(data):
    asked = study(base=("sasrec", "cl4srec"), baseline="sasrec", set={"contrast.0.head": "mlp"})
    with pytest.raises(UsageError, match=r"called 'sasrec'; .* leave it out of `base`"):
        plan(asked, data)


def ids(asked: Study, data) -> list[str]:
    return [trial.id for trial in plan(asked, data)]


def test_an_id_is_of_the_resolved_configuration_and_the_data(data, tmp_path):
    """Not of the study, of where the data lie, or of how a field came to its value."""
    here = ids(study(), data)
    assert ids(study(set={"train.batch_size": 256}), data) == here
    write_text(tmp_path / "elsewhere", "planted", planted())
    assert ids(study(), tmp_path / "elsewhere") == here
    assert ids(study(set={"train.batch_size": 128}), data) != here
    assert ids(study(seeds=(1,)), data) != here
    write_text(tmp_path / "other", "planted", planted(seed=1))
    assert ids(study(), tmp_path / "other") != here


def test_two_ways_to_the_same_configuration_are_one_trial(data):
    asked = study(grid={"train.batch_size": (256, 128)}, variants={"a": {}, "b": {}})
    trials = plan(asked, data)
    assert len(trials) == 2
    assert doubles(asked, trials) == ["cl4srec batch_size=256 b", "cl4srec batch_size=128 b"]
    excluding = replace(asked, exclude=({"variant": "b"},))
    assert doubles(excluding, plan(excluding, data)) == []


def test_fields_that_a_model_does_not_have_are_refused_before_anything_runs(data):
    with pytest.raises(UsageError, match=r"contrast\.0\.temprature: unknown field"):
        plan(study(grid={"contrast.0.temprature": (1.0,)}), data)


def parsed(words: str):
    """The configuration that a command line means."""
    arguments, rest = parser().parse_known_args(shlex.split(words)[1:])
    return config_tree(resolve(None, overrides(arguments, rest))[0])


def test_the_command_of_a_trial_trains_the_same(data):
    named = {"two": {"contrast.0.operators": [{"operator": "crop", "keep": 0.5}, "mask"]}}
    asked = study(variants=named, set={"contrast.0.head": "mlp", "epochs": 3})
    (trial,) = plan(asked, data)
    expected, _ = resolve(None, [*trial.overrides(), ("data_dir", str(data))])
    assert parsed(f"{command(trial)} --data-dir {data}") == config_tree(expected)


def test_item_features_are_read_once_and_refused_before_anything_runs(data, monkeypatch):
    read = []
    monkeypatch.setattr("experiments.study.plan.READABLE", set())
    own = experiments.training.build.with_features
    monkeypatch.setattr(
        "experiments.training.build.with_features",
        lambda task, *rest: (read.append(task.name), own(task, *rest)),
    )
    file = data / "planted_item2attributes.json"
    file.write_text("no json")
    asked = study(base=("alignment",), seeds=(0, 1))
    with pytest.raises(UsageError, match="not JSON"):
        plan(asked, data)
    read.clear()
    file.write_text(ATTRIBUTES)
    before = plan(asked, data)
    assert len(before) == 2
    assert read == ["alignment"]
    file.write_text(ATTRIBUTES.replace("[0]", "[7]"))
    assert {trial.id for trial in plan(asked, data)}.isdisjoint(trial.id for trial in before)


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """Small files under the names of the known data sets, with times where theirs have them."""
    folder = tmp_path_factory.mktemp("data")
    for name in [*known(), "amazon-2014-Beauty"]:
        stem, suffix = os.path.splitext(declared(name).file)
        if suffix == ".txt":
            write_text(folder, stem, planted(8))
        else:
            timed = [(u, i, u + t) for u, h in enumerate(planted()) for t, i in enumerate(h)]
            rows = "".join(f"{u}\t{i}\t{t}\n" for u, i, t in timed)
            header = "user_id:token\titem_id:token\ttimestamp:float\n"
            (folder / f"{stem}.inter").write_text(header + rows)
    return folder


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_every_study_of_this_repository_can_be_planned(path, stand_ins, monkeypatch):
    """Item features are read for the real data alone: the stand-ins have none."""
    monkeypatch.setattr("experiments.study.plan.features_sha256", lambda config, spec: {})
    study = read_study(path)
    trials: list[Trial] = plan(study, stand_ins)
    assert len({trial.id for trial in trials}) == len(trials)
    searched = sum(search.rules.trials for search in plan_searches(study, stand_ins))
    assert len(trials) + searched > 1
    against = {trial.variant.baseline for trial in trials} - {None}
    assert against <= {trial.variant.label for trial in trials}
