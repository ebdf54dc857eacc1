"""A study file is read whole, or refused with one line that says what is wrong in it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.config.resolve import resolve
from experiments.config.run_config import config_tree
from experiments.errors import UsageError
from experiments.study.ranges import Range
from experiments.study.spec import STUDIES, read_study
from experiments.study.variants import variants

SMALLEST = "# Does it help?\nbase: cl4srec\ndatasets: [beauty]\n"
RANDOM = SMALLEST + "random: {draws: 1, ranges: "


def written(folder, text):
    path = folder / "helps.yaml"
    path.write_text(text)
    return path


def test_the_first_comment_is_the_question_and_the_file_the_name(tmp_path):
    study = read_study(written(tmp_path, SMALLEST))
    assert (study.name, study.question) == ("helps", "Does it help?")
    assert (study.base, study.datasets, study.seeds) == (("cl4srec",), ("beauty",), (0,))


def test_a_study_of_this_repository_is_called_by_its_path():
    path = next(STUDIES.glob("quick/*.yaml"))
    assert read_study(path).name == f"quick/{path.stem}"


def test_fields_of_gives_every_trial_the_fields_of_a_preset_but_its_contrast(tmp_path):
    text = SMALLEST + "baseline: sasrec\nfields_of: best\nset: {encoder.dim: 8, epochs: 2}\n"
    study = read_study(written(tmp_path, text))
    assert study.set["train.patience"] == 24
    assert study.set["encoder.dropout"] == 0.4
    assert study.set["encoder.dim"] == 8
    assert study.set["epochs"] == 2
    assert not any(key.startswith(("contrast", "augment")) for key in study.set)


def test_a_contrast_with_fields_of_a_preset_is_that_preset_with_the_contrast(tmp_path):
    text = SMALLEST.replace("beauty", "ml-100k") + "fields_of: sasrec-wide\n"
    (variant,) = variants(read_study(written(tmp_path, text)))
    given = [("model", variant.model), ("dataset", "ml-100k"), *variant.fields.items()]
    wide = [("model", "sasrec-wide"), ("dataset", "ml-100k")]
    trained, preset = (config_tree(resolve(None, fields)[0]) for fields in (given, wide))
    assert preset["contrast"] == []
    assert trained["contrast"][0]["task"] == "augmented_views"
    assert {**trained, "model": "sasrec-wide", "contrast": []} == preset


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("base: cl4srec\n", "datasets is missing"),
        ("datasets: [beauty]\n", "base is missing"),
        (SMALLEST + "gird: {a: [1]}\n", "unknown 'gird' (did you mean 'grid'?)"),
        (SMALLEST + "name: other\n", "name: unknown 'name'"),
        (SMALLEST + "seeds: []\n", "seeds must name at least one"),
        (SMALLEST + "seeds: [1, 1]\n", "seeds names one twice: 1, 1"),
        (SMALLEST + "grid: {epochs: [1, 2, 1]}\n", "grid.epochs names one twice: 1, 2, 1"),
        (SMALLEST + "seeds: [0, -1]\n", "seeds must lie in [0, 2^32), got -1"),
        (SMALLEST + "seeds: [one]\n", "seeds.0: expected an integer, got 'one'"),
        (SMALLEST + "grid: {contrast.0.weight: []}\n", "grid.contrast.0.weight must have"),
        (SMALLEST + "grid: {seed: [1]}\n", "seed: not a field to vary"),
        (
            SMALLEST + "set: {epochs: 2}\ngrid: {epochs: [1, 2]}\n",
            "set.epochs: grid varies it",
        ),
        (
            SMALLEST + "set: {a: 2}\nsearch: {trials: 1, ranges: {a: {low: 1, high: 2}}}\n",
            "set.a: search.ranges varies it",
        ),
        (SMALLEST + "fields_of: sasrec-wid\n", "fields_of: unknown 'sasrec-wid' (did you mean"),
        (SMALLEST + "fields_of: popularity\n", "fields_of: unknown 'popularity'"),
        (SMALLEST + "fields_of: [sasrec-wide]\n", "fields_of: unknown"),
        (SMALLEST + "fields_of: best\nset: 1\n", "set: expected names and their values"),
        (SMALLEST + "grid: [1]\n", "grid: expected names and their values"),
        (SMALLEST + "random: {draws: 0, ranges: {a: {low: 0, high: 1}}}\n", "draws must be"),
        (RANDOM + "{}}\n", "ranges must name at least one field"),
        (RANDOM + "{a: {low: 1}}}\n", "random.ranges.a.high must be"),
        (RANDOM + "{a: {low: 0, high: 1, log: true}}}\n", "log: needs"),
        (SMALLEST + "search: {trials: 1, pruner: best, ranges: {}}\n", "unknown 'best'"),
        (
            SMALLEST + "search: {trials: 1, pruner: none, warm_up: 5, ranges: "
            "{epochs: {low: 1, high: 9}}}\n",
            "warm_up is of pruner: median, and this is pruner: none",
        ),
        (
            SMALLEST + "grid: {epochs: [1]}\nsearch: {trials: 1, ranges: {a: {low: 0, high: 1}}}\n",
            "search: goes with neither random, grid nor variants",
        ),
        (SMALLEST + "exclude: [{dataste: beauty}]\n", "did you mean 'dataset'?"),
        (
            SMALLEST + "grid: {contrast.0.weight: [0.1]}\nexclude: [{contrast.0.wieght: 0.1}]\n",
            "exclude: unknown 'contrast.0.wieght' (did you mean 'contrast.0.weight'?)",
        ),
        (
            SMALLEST + "grid: {epochs: [1, 2]}\nvariants: {a: {}, b: {epochs: 3}}\n",
            "variants.epochs: grid varies it; leave it out of one",
        ),
        (
            SMALLEST + "variants: {a: {epochs: 3}}\n"
            "random: {draws: 1, ranges: {epochs: {low: 1, high: 2}}}\n",
            "random.ranges.epochs: variants varies it",
        ),
        (
            SMALLEST + "grid: {encoder.dim: [8, 16]}\nvariants: {a: {encoder: {dim: 32}}}\n",
            "variants.encoder: grid varies encoder.dim",
        ),
        (
            SMALLEST + "set: {next_item.negatives: 4}\ngrid: {next_item: [{loss: gbce}]}\n",
            "set.next_item.negatives: grid varies next_item",
        ),
        (
            SMALLEST + "set: {protocol: prefix, examples: windows}\n",
            "protocol is called examples now, and both are given",
        ),
        (
            SMALLEST + "exclude: [{dataset: beautty}]\n",
            "exclude: dataset: unknown 'beautty' (did you mean 'beauty'?)",
        ),
        (SMALLEST + "exclude: [{model: sasrec}]\n", "exclude: model: unknown 'sasrec'"),
        (SMALLEST + "exclude: [{variant: a}]\n", "exclude: variant: unknown 'a'; known: none"),
        (
            SMALLEST + "search: {trials: 1, ranges: {epochs: {low: 1, high: 9}}}\n"
            "exclude: [{epochs: 3}]\n",
            "exclude: epochs: a search draws it",
        ),
        ("[]", "expected keys and values"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_study_is_one_line_with_its_place(text, told, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as error:
        read_study(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert told in message
    assert "\n" not in message


numbers = st.floats(1e-3, 1e3)


@given(low=numbers, high=numbers, log=st.booleans(), seed=st.integers(0, 99))
def test_draws_lie_in_their_range(low, high, log, seed):
    low, high = sorted((low, high))
    value = Range(low=low, high=high, log=log).draw(np.random.default_rng(seed))
    assert low <= value <= high


@given(low=st.integers(1, 50), count=st.integers(0, 50), log=st.booleans(), seed=st.integers(0, 99))
def test_draws_between_integers_are_integers(low, count, log, seed):
    value = Range(low=low, high=low + count, log=log).draw(np.random.default_rng(seed))
    assert isinstance(value, int)
    assert low <= value <= low + count


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"low": 0, "high": 2**63}, "high must be below"),
        ({"low": 0, "high": 1, "step": float("inf")}, "step must be positive and finite"),
        ({"low": 0, "high": 1, "step": 1e-320}, "step: at most 1,000,000"),
    ],
)
def test_ranges_without_end_are_refused(fields, told):
    with pytest.raises(ValueError, match=told):
        Range(**fields)


def test_steps_reach_both_ends_and_nothing_between_them():
    rng = np.random.default_rng(0)
    drawn = {Range(low=0.1, high=0.6, step=0.1).draw(rng) for _ in range(200)}
    assert drawn == {0.1, 0.2, 0.3, 0.4, 0.5, 0.6}
    halves = Range(low=1000.0, high=1002.0, step=0.5)
    assert [halves.point(n) for n in range(5)] == [1000.0, 1000.5, 1001.0, 1001.5, 1002.0]


def test_a_logarithmic_range_has_as_many_draws_below_its_geometric_mean_as_above():
    rng = np.random.default_rng(0)
    drawn = [Range(low=1e-4, high=1e-2, log=True).draw(rng) for _ in range(2000)]
    assert abs(np.mean(np.array(drawn) < 1e-3) - 0.5) < 0.04


def test_choices_may_be_lists():
    rng = np.random.default_rng(0)
    drawn = [Range(choices=(["crop"], ["mask", "crop"])).draw(rng) for _ in range(20)]
    assert ["crop"] in drawn
    assert ["mask", "crop"] in drawn


def test_choices_go_with_no_bounds():
    with pytest.raises(ValueError, match="choices"):
        Range(low=1, choices=(1, 2))


def test_a_field_that_no_model_of_the_study_reads_is_refused(tmp_path):
    text = "# Q?\nbase: popularity\ndatasets: [beauty]\nset: {encoder.dim: 8}\n"
    with pytest.raises(UsageError, match=r"set: encoder\.dim: none of its models reads that"):
        variants(read_study(written(tmp_path, text)))


@pytest.mark.parametrize("before", ["\ufeff", "\n", " \n\n"])
def test_the_question_is_found_behind_a_byte_order_mark_and_blank_lines(before, tmp_path):
    assert read_study(written(tmp_path, before + SMALLEST)).question == "Does it help?"


def test_a_number_with_an_exponent_is_a_number_of_the_grid(tmp_path):
    text = SMALLEST + "grid: {train.learning_rate: [1e-3, 1.E+2, -2e0, 1e, e3]}\n"
    study = read_study(written(tmp_path, text))
    assert study.grid == {"train.learning_rate": (0.001, 100.0, -2.0, "1e", "e3")}


def test_a_file_elsewhere_that_is_called_like_a_study_of_the_repository_is_known(tmp_path):
    (tmp_path / "temperature.yaml").write_text(SMALLEST)
    assert read_study(tmp_path / "temperature.yaml").namesake
    assert not read_study(written(tmp_path, SMALLEST)).namesake
    assert not read_study(STUDIES / "temperature.yaml").namesake
