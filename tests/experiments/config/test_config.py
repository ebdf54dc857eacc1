"""A configuration is typed, complete, and repeats a run; whatever is unknown is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from augment import Crop
from experiments.config.presets import ADDED_PRESETS, AddedPreset, presets
from experiments.config.resolve import dataset_tree, refuse_idle_parts, resolve
from experiments.config.run_config import (
    Config,
    config_from_tree,
    config_sha256,
    config_tree,
    settings_sha256,
)
from experiments.data.catalogue import locate
from experiments.data.known import declared
from experiments.errors import UsageError
from experiments.storage.run_folder import as_yaml
from experiments.storage.yaml_file import plain
from models.tasks.dropout_views import DropoutViews
from models.tasks.same_user import SameUser
from tests.experiments.small_data import planted, write_text

MODELS = [*presets(), "popularity", "repeat-last", "recbole:GRU4Rec"]
CHOICES = {  # another value for every field that takes one of some words, or none
    "ties": "shuffled",
    "train.monitor": "ranked/mrr@10",
    "split.kind": "temporal",
    "examples": "windows",
    "train.clip_norm": 1.0,
    "train.ema": 0.99,
    "encoder.kind": "gru",
    "encoder.norm": "pre",
    "encoder.padding": "left",
    "features.fusion": "gate",
    "init_from.sha256": "0" * 64,
    "next_item.loss": "bce",
    "next_item.similarity": "cosine",
    "next_item.class_weight": "inverse_frequency",
    "contrast.0.similarity": "cosine",
    "contrast.0.temperature_mode": "learnable",
    "contrast.0.head": "mlp",
    "contrast.0.objective": "binary_nce",
    "contrast.0.correction": "decoupled",
    "contrast.0.negatives": "queue",
    "contrast.0.momentum": 0.9,
    "contrast.0.false_negatives_as": "positives",
    "contrast.0.pooling": "mean",
    "contrast.0.anchors": "one_per_user",
    "train.precision": "bfloat16",
    "train.schedule": "linear",
    "contrast.0.false_negatives.0": "user",
    "contrast.0.draw": "chained",
    "contrast.0.short_operators.0": "insert",
    "contrast.0.short_operators.1": "insert",
    "contrast.0.short_operators.2": "insert",
    "contrast.0.correlation.similar": "hybrid",
    "augment.draw": "chained",
    "augment.correlation.similar": "hybrid",
    "augment.operators.0.operator": "mask",
    "augment.operators.1.operator": "crop",
    "augment.operators.2.operator": "crop",
    "contrast.0.operators.0.operator": "mask",
    "contrast.0.operators.1.operator": "crop",
    "contrast.0.operators.2.operator": "crop",
    "recbole": {"hidden_size": 8},
}
OF_A_TASK = {  # the same for the task of each preset
    "same-user": {"contrast.0.similarity": "dot", "contrast.0.false_negatives.0": "target"},
    "two-tower": {"contrast.0.correction": "none"},
    "alignment": {"contrast.0.similarity": "dot", "contrast.0.items": "uniform"},
}
ONLY_ONE = (  # left out: another one has other fields, or needs others with it
    "contrast.0.task",
    "contrast.0.positive_weights",
)


def configured(*overrides: tuple[str, Any], model: str = "cl4srec") -> Config:
    return resolve(None, [("model", model), *overrides])[0]


def error(*overrides: tuple[str, Any], model: str = "cl4srec") -> str:
    """The one line that a wrong configuration is refused with."""
    with pytest.raises(UsageError) as raised:
        configured(*overrides, model=model)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a configuration's tree."""
    entries = enumerate(tree) if isinstance(tree, list) else tree.items()
    for key, value in entries:
        if isinstance(value, (dict, list)) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@pytest.mark.parametrize("model", MODELS)
def test_every_model_resolves_and_its_tree_builds_it_again(model):
    tree = config_tree(configured(model=model))
    again = config_from_tree(yaml.safe_load(as_yaml(tree)))
    assert config_tree(again) == tree
    assert config_sha256(again) == config_sha256(configured(model=model))


def test_presets_that_differ_have_different_hashes():
    hashes = {config_sha256(configured(("model", name))) for name in presets()}
    assert len(hashes) == len(presets())


@pytest.mark.parametrize("model", MODELS)
def test_a_written_config_is_an_equal_run(model, tmp_path):
    config = configured(("seed", 3), ("encoder.max_length", 20), model=model)
    file = tmp_path / "config.yaml"
    file.write_text(as_yaml(config_tree(config)))
    assert config_sha256(resolve(file, [])[0]) == config_sha256(config)


def test_a_written_config_may_be_changed_but_not_its_model(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(as_yaml(config_tree(configured(("seed", 3)))))
    changed = resolve(file, [("epochs", 2), ("contrast.0.weight", 0.5)])[0]
    assert (changed.epochs, changed.seed, changed.contrast[0].weight) == (2, 3, 0.5)
    with pytest.raises(UsageError, match="says which model"):
        resolve(file, [("model", "sasrec")])


def test_a_data_sets_values_give_way_to_the_command_line(tmp_path):
    write_text(tmp_path, "planted", planted())
    embedded, defaults = configured(), declared("ml-100k").defaults
    other = configured(("dataset", "planted"), ("data_dir", str(tmp_path)))
    assert (embedded.examples, embedded.epochs) == ("windows", defaults["epochs"])
    assert (other.examples, other.epochs) == ("prefixes", 200)
    assert configured(("epochs", 3), ("examples", "prefixes")).epochs == 3


def test_windows_come_in_random_batches_where_nothing_else_is_said(tmp_path):
    write_text(tmp_path, "planted", planted())
    data = [("dataset", "planted"), ("data_dir", str(tmp_path))]

    def pool(*fields: tuple[str, object]) -> int:
        return resolve(None, [*data, *fields])[0].train.bucket_pool

    assert pool() == pool(("examples", "prefixes")) == 32
    assert pool(("examples", "windows")) == 1
    assert pool(("examples", "windows"), ("train.bucket_pool", 8)) == 8
    assert configured().train.bucket_pool == declared("ml-100k").defaults["train.bucket_pool"]


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("sed", "seed"),
        ("trian.batch_size", "'train'"),
        ("train.batch_sise", "train.batch_size"),
        ("encoder.heds", "encoder.heads"),
        ("evaluate.blok", "evaluate.block"),
        ("track.mod", "track.mode"),
        ("contrast.0.temprature", "contrast.0.temperature"),
        ("contrast.augmented_views.wieght", "contrast.0.weight"),
        ("contrast.augmentd_views.weight", "'augmented_views'"),
        ("contrast.0.operators.0.kep", "contrast.0.operators.0.keep"),
        ("contrast.0.operators.crop.kep", "contrast.0.operators.0.keep"),
        ("contrast.0.operators.crp.keep", "'crop'"),
        ("contrast.0.correlation.neighbors", "contrast.0.correlation.neighbours"),
        ("augment.probabilty", "augment.probability"),
        ("lr", "train.learning_rate"),
        ("modle", "model"),
        ("batch-size", "train.batch_size"),
        ("temperature", "contrast.0.temperature or next_item.temperature"),
        ("train.tau", "contrast.0.temperature or next_item.temperature"),
        ("contrast.0.tau", "contrast.0.temperature"),
        ("contrast.temperature", "contrast.0.temperature"),
        ("hidden_size", "encoder.dim"),
        ("left_out", "contrast.0.false_negatives"),
    ],
)
def test_an_unknown_key_names_its_nearest_neighbour(key, nearest):
    assert f"(did you mean {nearest}?)" in error((key, 1))


@pytest.mark.parametrize(
    ("key", "value", "nearest"),
    [
        ("model", "cl4sre", "cl4srec"),
        ("examples", "prefixs", "prefixes"),
        ("encoder.kind", "gruu", "gru"),
        ("encoder.norm", "pree", "pre"),
        ("next_item.loss", "crossentropy", "cross_entropy"),
        ("next_item.loss", "sampled", "sampled_softmax"),
        ("next_item.class_weight", "inverse_freq", "inverse_frequency"),
        ("contrast.0.task", "augmented_view", "augmented_views"),
        ("contrast.0.draw", "chaind", "chained"),
        ("contrast.0.similarity", "cosin", "cosine"),
        ("contrast.0.negatives", "other_clusters", "other_cluster"),
        ("contrast.0.false_negatives", ["clusters"], "cluster"),
        ("contrast.0.temperature_mode", "learned", "learnable"),
        ("contrast.0.operators.0.operator", "crp", "crop"),
        ("contrast.0.false_negatives", ["users"], "user"),
        ("contrast.0.correlation.similar", "hybird", "hybrid"),
        ("augment.draw", "chaind", "chained"),
        ("track.mode", "ofline", "offline"),
    ],
)
def test_an_unknown_choice_names_its_nearest_neighbour(key, value, nearest):
    told = error((key, value))
    assert told.startswith(key)
    assert f"(did you mean '{nearest}'?)" in told


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("seed", "one", "expected an integer, got 'one'"),
        ("seed", 1.5, "expected an integer, got 1.5"),
        ("epochs", True, "expected an integer, got True"),
        ("epochs", None, "expected an integer, got None"),
        ("train.batch_size", "many", "expected an integer"),
        ("train.learning_rate", "fast", "expected a number"),
        ("train.learning_rate", True, "expected a number"),
        ("train.learning_rate", [0.1], "expected a number"),
        ("train.device", 0, "expected a text"),
        ("track.project", 5, "expected a text"),
        ("train", 3, "expected keys and values"),
        ("encoder", 3, "expected a name or keys and values"),
        ("encoder.kind", ["gru"], "unknown"),
        ("next_item.loss", {"a": 1}, "unknown"),
        ("contrast", 5, "expected a list"),
        ("contrast", "augmented_views", "expected a list"),
        ("contrast.0", 5, "expected a name or keys and values"),
        ("contrast.0.task", ["augmented_views"], "cannot be a task's name"),
        ("contrast.0.operators", "crop", "expected a list"),
        ("contrast.0.operators.0.operator", ["crop"], "unknown"),
        ("contrast.0.operators.0.at_least_one", 1, "expected true or false"),
        ("contrast.0.false_negatives", "user", "expected a list"),
        ("contrast.3.weight", 1, "the model has 1 entry; the first is 0"),
        ("track.mode", False, "YAML reads on, off, yes and no so"),
        ("seed.x", 1, "expected an integer"),
    ],
)
def test_a_wrong_type_is_told_with_its_place(key, value, told):
    line = error((key, value))
    assert line.startswith(key.split(".")[0])
    assert told in line


def test_a_key_below_a_value_is_told_as_such():
    told = "contrast.0.weight.x: contrast.0.weight is a single value and has no keys"
    assert error(("contrast.0.weight.x", 1)) == told


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("seed", -1, "seed must lie in [0, 2^32), got -1"),
        ("seed", 2**32, "seed must lie in"),
        ("epochs", 0, "epochs must be at least 1"),
        ("train.batch_size", 0, "train.batch_size must be at least 1"),
        ("train.patience", 0, "train.patience must be at least 1"),
        ("train.ema", 1.0, "train.ema must lie in [0, 1)"),
        ("train.monitor", "ndcg@10", "train.monitor must be a rule and a metric"),
        ("train.monitor", "seen/ndcg@10", "train.monitor must be a rule and a metric"),
        ("train.learning_rate", 0, "train.learning_rate must be positive"),
        ("train.learning_rate", float("nan"), "train.learning_rate must be positive"),
        ("train.learning_rate", float("inf"), "train.learning_rate must be positive"),
        ("track.init_timeout", float("nan"), "track.init_timeout must be at least 0 and finite"),
        ("track.finish_timeout", -1, "track.finish_timeout must be at least 0 and finite"),
        ("train.batch_size", 2**63, "train.batch_size: expected an integer of 64 bits"),
        ("a." * 40 + "b", 1, "a key has at most 40 parts"),
        ("train.weight_decay", -0.1, "train.weight_decay must be at least 0"),
        ("evaluate.block", 0, "evaluate.block must be at least 1"),
        ("encoder.dropout", 1, "encoder.dropout must lie in [0, 1), got 1"),
        ("encoder.heads", 3, "encoder.heads must divide dim = 64, got 3"),
        ("encoder.max_length", 0, "encoder.max_length must be at least 1"),
        ("encoder.init_std", 0, "encoder.init_std must be positive"),
        ("encoder.init_std", float("nan"), "encoder.init_std must be positive"),
        ("encoder.init_std", float("inf"), "encoder.init_std must be positive"),
        ("next_item.beta", 1, "next_item.beta must lie in [0, 1), got 1"),
        ("next_item.label_smoothing", 1, "next_item.label_smoothing must lie in [0, 1), got 1"),
        ("next_item", {"loss": "bpr", "negatives": 0}, "next_item.negatives must be at least 1"),
        ("next_item", {"loss": "gbce", "calibration": 2}, "next_item.calibration must lie in"),
        ("next_item", {"loss": "sampled_softmax", "power": -1}, "next_item.power must be at least"),
        ("contrast.0.temperature", 0, "contrast.0.temperature must be positive, got 0"),
        ("contrast.0.temperature", -1, "contrast.0.temperature must be positive, got -1"),
        ("contrast.0.temperature", float("nan"), "contrast.0.temperature must be positive"),
        ("contrast.0.temperature_to", 0, "contrast.0.temperature_to must be positive, got 0"),
        ("contrast.0.queue_size", 0, "contrast.0.queue_size must be at least 1, got 0"),
        ("contrast.0.tau_plus", 1, "contrast.0.tau_plus must lie in [0, 1), got 1"),
        ("contrast.0.correction", "debiased", "contrast.0.correction: debiased needs similarity"),
        ("contrast.0.weight", -1, "contrast.0.weight must be at least 0"),
        ("contrast.0.weight", float("nan"), "contrast.0.weight must be at least 0"),
        ("contrast.0.weight", float("inf"), "contrast.0.weight must be"),
        ("contrast.0.operators", [], "contrast.0.operators must name at least one"),
        ("contrast.0.operators", ["crop"], "contrast.0.draw: two_distinct needs two operators"),
        ("contrast.0.operators.crop.keep", 1.5, "operators.0.keep must lie in [0, 1], got 1.5"),
        ("contrast.0.operators.mask.ratio", -0.1, "operators.1.ratio must lie in [0, 1]"),
        ("contrast.0.operators.reorder.ratio", 2, "operators.2.ratio must lie in [0, 1]"),
        (
            "contrast.0.short_max_length",
            -1,
            "contrast.0.short_max_length must be at least 0, got -1",
        ),
        (
            "contrast.0.short_max_length",
            4,
            "contrast.0.short_operators: substitute, insert not among",
        ),
        ("contrast.0.short_operators", ["msak"], "contrast.0.short_operators: unknown 'msak'"),
        ("contrast.0.correlation.neighbours", 0, "correlation.neighbours must be at least 1"),
        ("contrast.0.correlation.warm_up", -1, "contrast.0.correlation.warm_up must be at least"),
        ("augment.probability", 1.5, "augment.probability must lie in [0, 1], got 1.5"),
        ("augment.operators", [], "augment.operators must name at least one operator"),
    ],
)
def test_a_value_out_of_range_says_what_is_allowed(key, value, told):
    assert told in error((key, value))


@pytest.mark.parametrize(
    "overrides",
    [
        [("contrast", [])],
        [("contrast.0.weight", 0.0)],
        [("contrast.0.anchors", "one_per_user")],
    ],
)
def test_without_next_item_loss_every_batch_needs_a_task(overrides):
    told = error(("next_item", "none"), *overrides)
    assert told.startswith("next_item: none leaves batches with nothing to learn from")
    assert config_tree(configured(("next_item", "none")))["next_item"] == {"loss": "none"}


def test_a_field_of_the_loss_needs_no_name_of_the_loss():
    config = configured(("next_item.label_smoothing", 0.1))
    assert config_tree(config)["next_item"]["loss"] == "cross_entropy"
    assert config_tree(config)["next_item"]["label_smoothing"] == 0.1


def test_a_loss_given_by_its_bare_name_can_be_changed(tmp_path):
    given = [("next_item", "bce"), ("next_item.negatives", 4)]
    for order in (given, given[::-1]):
        assert config_tree(configured(*order))["next_item"] == {"loss": "bce", "negatives": 4}
    file = tmp_path / "config.yaml"
    file.write_text(as_yaml(config_tree(configured(model="sasrec")) | {"next_item": "bpr"}))
    config = resolve(file, [("next_item.negatives", 4)])[0]
    assert config_tree(config)["next_item"] == {"loss": "bpr", "negatives": 4}


def test_another_loss_has_other_fields():
    config = configured(("next_item.loss", "bce"), ("next_item.negatives", 4), model="sasrec-bce")
    assert config_tree(config)["next_item"] == {"loss": "bce", "negatives": 4}
    config = configured(("next_item.loss", "cross_entropy"), model="sasrec-bce")
    assert "negatives" not in config_tree(config)["next_item"]


def test_operators_of_the_input_are_reached_and_checked_like_those_of_views():
    for operator in ("0", "crop"):
        key = f"augment.operators.{operator}"
        assert configured((f"{key}.keep", 0.5), model="augment-only").augment.operators[0] == (
            Crop(keep=0.5)
        )
        told = error((f"{key}.keep", 1.5), model="augment-only")
        assert told == "augment.operators.0.keep must lie in [0, 1], got 1.5"
        assert "(did you mean augment.operators.0.keep?)" in error(
            (f"{key}.kep", 1), model="augment-only"
        )
        assert "(did you mean 'crop'?)" in error((f"{key}.operator", "crp"), model="augment-only")


def test_an_input_that_no_loss_reads_is_not_augmented():
    told = error(("next_item.loss", "none"), ("augment.probability", 0.5))
    assert told.startswith("augment.probability must be 0 where no next-item loss reads")
    assert configured(("next_item.loss", "none")).augment.probability == 0.0


@pytest.mark.parametrize("operators", [["crop", "reorder"], ["insert", "substitute", "mask"]])
def test_every_operator_of_ours_may_augment_the_input_of_windows(operators):
    fields = ("augment.probability", 0.5), ("augment.operators", operators)
    assert configured(("examples", "windows"), *fields).augment.probability == 0.5
    assert configured(("examples", "windows")).augment.probability == 0.0


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "0.001", "1.e-3", ".001"])
def test_a_number_may_be_written_in_any_usual_way(text):
    assert configured(("train.learning_rate", plain(text))).train.learning_rate == 0.001


def test_an_integer_is_a_number_but_no_number_is_an_integer():
    assert configured(("contrast.0.temperature", 1)).contrast[0].temperature == 1.0
    assert "expected an integer, got '1e3'" in error(("train.batch_size", "1e3"))


def test_tasks_and_operators_are_reached_by_index_and_by_name():
    expected = config_tree(
        configured(("contrast.0.weight", 0.3), ("contrast.0.operators.1.ratio", 0.7))
    )
    for task in ("0", "augmented_views"):
        for operator in ("1", "mask"):
            config = configured(
                (f"contrast.{task}.weight", 0.3),
                (f"contrast.{task}.operators.{operator}.ratio", 0.7),
            )
            assert config_tree(config) == expected


def test_a_bare_name_stands_for_its_defaults_and_can_be_changed():
    config = configured(
        ("contrast", ["augmented_views"]),
        ("contrast.0.operators", ["crop", "mask"]),
        ("contrast.0.operators.mask.ratio", 0.7),
    )
    operators = config_tree(config)["contrast"][0]["operators"]
    assert [entry["operator"] for entry in operators] == ["crop", "mask"]
    assert operators[1]["ratio"] == 0.7


def test_two_tasks_of_one_kind_need_names():
    twice = [{"task": "augmented_views"}, {"task": "augmented_views"}]
    assert "two tasks are named 'augmented_views'" in error(("contrast", twice))
    named = [{"task": "augmented_views", "name": name} for name in ("near", "far")]
    config = configured(("contrast", named), ("contrast.far.temperature", 0.5))
    assert [task.name for task in config.contrast] == ["near", "far"]
    assert config_tree(config)["contrast"][1]["temperature"] == 0.5


@pytest.mark.parametrize("name", ["next_item", "a.b", 5])
def test_a_tasks_name_must_make_a_key_of_the_record(name):
    tasks = [{"task": "augmented_views", "name": name}]
    assert "cannot be a task's name" in error(("contrast", tasks))


@pytest.mark.parametrize("first", [True, False])
def test_another_kind_of_encoder_has_other_fields_whatever_the_order(first):
    given = [("encoder.hidden", 32), ("encoder.max_length", 20)]
    kind = ("encoder.kind", "gru")
    config = configured(*([kind, *given] if first else [*given, kind]))
    tree = config_tree(config)["encoder"]
    assert (tree["kind"], tree["hidden"], tree["max_length"]) == ("gru", 32, 20)
    assert "heads" not in tree
    assert "encoder.heads: unknown 'heads'" in error(kind, ("encoder.heads", 2))


def test_a_written_config_may_switch_the_encoder(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(as_yaml(config_tree(configured(("encoder.max_length", 20)))))
    tree = config_tree(resolve(file, [("encoder.kind", "gru")])[0])["encoder"]
    assert (tree["kind"], tree["max_length"]) == ("gru", 20)
    assert tree["dropout"] == 0.3  # the GRU's own


def test_the_hash_ignores_where_data_is_and_where_a_run_reports(tmp_path):
    plain_hash = config_sha256(configured())
    moved = configured(
        ("data_dir", str(tmp_path)), ("track.mode", "offline"), ("track.group", "mine")
    )
    assert config_sha256(moved) == plain_hash


EVERY_FIELD_FREE = (
    ("examples", "prefixes"),
    ("contrast.0.draw", "with_replacement"),
    ("contrast.0.false_negatives", ["target"]),
    ("contrast.0.short_operators", ["crop", "mask", "reorder"]),
)
"""What lets every other field be changed alone."""
SCIENCE = [
    (key, value)
    for key, value in leaves(config_tree(configured(*EVERY_FIELD_FREE)))
    if key.split(".")[0] not in ("data_dir", "track") and key not in (*ONLY_ONE, "init_from.run")
]


@pytest.mark.parametrize(("key", "value"), SCIENCE, ids=[key for key, _ in SCIENCE])
def test_the_hash_changes_with_every_other_field(key, value):
    tree = config_tree(configured(*EVERY_FIELD_FREE))
    *parents, last = key.split(".")
    node: Any = tree
    for segment in parents:
        node = node[int(segment)] if isinstance(node, list) else node[segment]
    node[int(last) if isinstance(node, list) else last] = (
        CHOICES[key] if key in CHOICES else other(value)
    )
    if key == "train.lazy_rows":
        tree["next_item"] = {"loss": "sampled_softmax"}
    if last in ("kind", "operator", "loss"):
        for stale in [name for name in node if name != last]:
            del node[stale]
    assert config_sha256(config_from_tree(tree)) != config_sha256(configured(*EVERY_FIELD_FREE))


TASK_FIELDS = [
    (model, key, value)
    for model in OF_A_TASK
    for key, value in leaves(config_tree(configured(model=model)))
    if key.startswith("contrast.") and key not in ONLY_ONE
    if (model, key) != ("two-tower", "contrast.0.anchors")  # all it learns from takes every row
]


@pytest.mark.parametrize(
    ("model", "key", "value"), TASK_FIELDS, ids=[f"{m}:{key}" for m, key, _ in TASK_FIELDS]
)
def test_the_hash_changes_with_every_field_of_a_task(model, key, value):
    changed = {**CHOICES, **OF_A_TASK[model]}.get(key, other(value))
    hashes = {config_sha256(configured(*fields, model=model)) for fields in [(), ((key, changed),)]}
    assert len(hashes) == 2


def test_the_hash_changes_with_the_weights_of_positives():
    supervised = (
        ("contrast.0.false_negatives", ["user"]),
        ("contrast.0.false_negatives_as", "positives"),
    )
    weighted = configured(*supervised, ("contrast.0.positive_weights", {"user": 0.5}))
    assert config_sha256(weighted) != config_sha256(configured(*supervised))


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value * 8 if value else 1
    if isinstance(value, float):
        return value / 2 if value else 0.5
    return f"{value}-2"


@pytest.mark.parametrize("model", ["popularity", "repeat-last"])
@pytest.mark.parametrize(
    "key",
    [
        "epochs",
        "examples",
        "train.batch_size",
        "encoder.dim",
        "next_item.loss",
        "contrast.0.weight",
        "recbole.hidden_size",
        "train.patience",
    ],
)
def test_a_baseline_refuses_what_it_would_not_read(model, key):
    assert error((key, 1), model=model) == f"{key}: {model} does not read this field"


def test_fields_of_recbole_have_names():
    told = error(("recbole", {1: 2, "hidden_size": 3}), model="recbole:GRU4Rec")
    assert told.startswith("recbole: expected names and their values, got {1: 2")


def test_a_baseline_takes_what_it_reads():
    config = configured(
        *(("seed", 1), ("encoder.max_length", 5), ("ties", "shuffled"), ("train.device", "cpu")),
        model="popularity",
    )
    assert (config.encoder.max_length, config.train.device) == (5, "cpu")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a\n", "expected keys and values, got list"),
        ("", "expected keys and values, got NoneType"),
        ("a: [\n", "not YAML"),
        ("model: !!python/object/apply:os.getcwd []\n", "not YAML"),
        ("model: sasrec\n1: 2\n", "unknown 1"),
        ("model: sasrec\nsed: 2\n", "(did you mean seed?)"),
    ],
)
def test_a_config_file_that_is_wrong_is_told_in_one_line(text, told, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=re.escape(told)):
        resolve(file, [])


@pytest.mark.parametrize("train", [3, None, [1], "x"])
def test_a_file_that_was_edited_has_a_hash_whatever_it_holds(train: Any) -> None:
    """Its hash is another one, which is how it is refused."""
    assert settings_sha256({"train": train}) != settings_sha256({"train": {}})


def test_a_part_of_a_config_file_is_refused(tmp_path):
    """Of cl4srec it would make a plain SASRec."""
    file = tmp_path / "config.yaml"
    file.write_text("model: cl4srec\nseed: 1\nencoder: {dim: 32}\n")
    with pytest.raises(UsageError, match=r"is no whole configuration \(contrast, train missing\)"):
        resolve(file, [])


def test_a_config_file_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(UsageError, match="there is no such file"):
        resolve(tmp_path / "config.yaml", [])


def test_a_part_that_a_model_does_not_have_is_told_with_the_way_to_get_one() -> None:
    with pytest.raises(UsageError, match=r"contrast\.0: .*no contrast.*--contrast="):
        resolve(None, [("model", "sasrec"), ("contrast.0.weight", 1.0)])


def test_defaults_of_data_name_the_kind_that_they_are_for(tmp_path: Path) -> None:
    write_text(tmp_path / "mine", "mine", planted())
    declared_as = {
        "file": "mine.txt",
        "protocol": "prefix",
        "max_length": 9,
        "defaults": {"encoder.attention_dropout": 0.1, "encoder.dropout": 0.1},
    }
    place = [("dataset", "mine"), ("data_dir", str(tmp_path)), ("model", "sasrec")]
    declaration = tmp_path / "mine" / "mine.yaml"
    declaration.write_text(as_yaml(declared_as))
    with pytest.raises(UsageError, match=r"encoder\.attention_dropout.*encoder\.kind"):
        resolve(None, place)
    declared_as["defaults"] |= {"encoder.kind": "self_attention"}  # type: ignore[operator]
    declaration.write_text(as_yaml(declared_as))
    attention, _ = resolve(None, place)
    gru, _ = resolve(None, [*place, ("encoder.kind", "gru")])
    assert attention.encoder.dropout == 0.1
    assert not hasattr(gru.encoder, "attention_dropout")
    assert gru.encoder.max_length == 9


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("bsarec", []),
        ("sasrec-wide", []),
        ("sasrec", [("encoder", {"kind": "gru"})]),
        ("sasrec", [("encoder", "gru")]),
        ("sasrec", [("encoder.kind", "gru")]),
        ("of_a_plug_in", []),
    ],
)
def test_histories_stay_as_long_as_the_data_set_says_whichever_encoder_reads_them(
    model: str, asked: list[tuple[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = AddedPreset(tmp_path / "mine.py", "PRESETS", {"encoder": "gru"})
    monkeypatch.setitem(ADDED_PRESETS, "of_a_plug_in", added)
    write_text(tmp_path / "mine", "mine", planted())
    declared_as = {
        "file": "mine.txt",
        "examples": "prefixes",
        "max_length": 9,
        "defaults": {"encoder.kind": "self_attention", "encoder.attention_dropout": 0.1},
    }
    (tmp_path / "mine" / "mine.yaml").write_text(as_yaml(declared_as))
    place = [("dataset", "mine"), ("data_dir", str(tmp_path)), ("model", model)]
    assert resolve(None, [*place, *asked])[0].encoder.max_length == 9


def test_a_mapping_goes_on_top_of_the_fields_that_are_there() -> None:
    one = configured(("train.learning_rate", 0.5), ("train", {"batch_size": 7}))
    assert (one.train.learning_rate, one.train.batch_size) == (0.5, 7)
    same = configured(("train.learning_rate", 0.5), ("train.batch_size", 7))
    assert config_tree(one) == config_tree(same)


def test_a_mapping_for_one_task_goes_on_top_of_its_fields() -> None:
    one = configured(("contrast.0", {"temperature": 0.2}), model="coserec")
    same = configured(("contrast.0.temperature", 0.2), model="coserec")
    assert config_tree(one) == config_tree(same)
    named = configured(("contrast.augmented_views", {"task": "same_user"}), model="cl4srec")
    assert config_tree(named) == config_tree(configured(("contrast.0.task", "same_user")))


def test_a_kind_that_is_named_beside_the_whole_list_counts_in_its_turn() -> None:
    one = configured(("contrast", ["same_user"]), ("contrast.0.task", "dropout_views"))
    assert [type(task) for task in one.contrast] == [DropoutViews]
    added = configured(
        ("contrast", ["augmented_views"]), ("contrast.0.task", "same_user"), model="sasrec"
    )
    assert [type(task) for task in added.contrast] == [SameUser]


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("augment.operators", ["crop"], "does nothing while augment.probability is 0"),
        ("features.fusion", "gate", "does nothing while features.source is not set"),
        ("init_from.parts", ["*"], "does nothing while init_from.run is not set"),
    ],
)
def test_a_field_of_what_is_switched_off_is_refused_where_a_person_sets_it(
    key: str, value: Any, told: str
) -> None:
    """A configuration file has every field, so there it may stand."""
    config = configured((key, value))
    with pytest.raises(UsageError, match=re.escape(f"{key}: {told}; set it, too")):
        refuse_idle_parts(config, [(key, value)])
    refuse_idle_parts(config, [("train.batch_size", 8)])
    on = configured((key, value), ("augment.probability", 0.5))
    if key.startswith("augment"):
        refuse_idle_parts(on, [("augment.probability", 0.5), (key, value)])


def test_a_mapping_that_names_another_kind_replaces_what_is_there() -> None:
    given = [("next_item.loss", "sampled_softmax"), ("next_item.negatives", 7)]
    one = configured(*given, ("next_item", {"loss": "bce"}))
    assert config_tree(one) == config_tree(configured(("next_item", "bce")))


@pytest.mark.parametrize("model", ["sasrec", "popularity", "recbole:GRU4Rec"])
def test_every_model_is_evaluated_as_the_data_set_says(model):
    spec = replace(locate("ml-100k", None), defaults={"ties": "shuffled", "evaluate.block": 7})
    tree = dataset_tree(spec, model)
    assert (tree["ties"], tree["evaluate"]) == ("shuffled", {"block": 7})


@pytest.mark.parametrize(
    ("value", "advice"),
    [("*", 'write ["*"]'), ("encoder", "write [encoder]"), ("[*]", 'as in ["*"]')],
)
def test_a_list_that_is_none_is_told_how_to_be_written(value: str, advice: str) -> None:
    assert advice in error(("init_from.parts", value))
