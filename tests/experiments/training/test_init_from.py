"""A run that starts from another's weights: which, of what sizes, on which data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from experiments.cli.main import main
from experiments.config.init_from import InitFromConfig
from experiments.config.resolve import resolve
from experiments.config.run_config import config_sha256
from experiments.errors import UsageError
from experiments.runs.training import train as train_config
from experiments.training.initialise import initialise
from experiments.training.run import Run, prepare
from tests.experiments.small_data import planted, read_json, train, write_text

SMALL = (
    *("--encoder.dim=8", "--encoder.inner=8", "--encoder.layers=1", "--encoder.max_length=10"),
    *("--track.mode=disabled", "--epochs=1"),
)
PRE_TRAINED = (
    *("--model=cl4srec", "--next_item=none", "--contrast.0.anchors=all", "--seed=3", *SMALL),
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_text(tmp_path, "planted", planted())
    return tmp_path


@pytest.fixture
def first(data: Path) -> Path:
    """Pre-trained by a contrast alone."""
    out = data / "first"
    train(data, out, *PRE_TRAINED)
    return out


def fields(data: Path, first: Path, *more: tuple[str, Any]) -> list[tuple[str, Any]]:
    sizes = {"dim": 8, "inner": 8, "layers": 1, "max_length": 10}
    return [
        *(("model", "sasrec"), ("dataset", "planted"), ("data_dir", str(data))),
        *((f"encoder.{name}", value) for name, value in sizes.items()),
        ("init_from.run", str(first)),
        *more,
    ]


def prepared(data: Path, first: Path, *more: tuple[str, Any]) -> Run:
    return prepare(*resolve(None, fields(data, first, *more)))


def test_a_fine_tuned_run_starts_from_weights_that_were_trained_without_a_next_item_loss(
    data: Path, first: Path
) -> None:
    out = data / "second"
    train(data, out, "--model=sasrec", f"--init_from.run={first}", *SMALL)
    plain = data / "plain"
    train(data, plain, "--model=sasrec", *SMALL)
    ours, theirs, drawn = (load_file(run / "model.safetensors") for run in (out, first, plain))
    name = "item_embedding.weight"
    assert (ours[name] - theirs[name]).norm() < (drawn[name] - theirs[name]).norm() / 2
    assert main(["evaluate", str(out)]) == 0
    (first / "model.safetensors").unlink()
    assert main(["evaluate", str(out)]) == 0  # a trained run needs them no more


@pytest.mark.parametrize(
    ("parts", "taken"),
    [
        (["item_embedding.*", "encoder.*"], ("item_embedding.", "encoder.")),
        (["encoder.position_embedding.weight"], ("encoder.position_embedding",)),
        (["*"], ("",)),
    ],
)
def test_only_the_named_parts_are_taken(
    data: Path, first: Path, parts: list[str], taken: tuple[str, ...]
) -> None:
    run, drawn = (prepared(data, first, ("init_from.parts", parts)) for _ in range(2))
    names = initialise(run)
    theirs = load_file(first / "model.safetensors")
    assert names
    for name, weight in run.model.state_dict().items():
        assert (name in names) == name.startswith(taken)
        expected = theirs[name] if name in names else drawn.model.state_dict()[name]
        assert torch.equal(weight, expected)


def test_momentum_copies_start_as_the_weights_that_are_taken(data: Path, first: Path) -> None:
    contrast = [{"task": "augmented_views", "negatives": "queue", "momentum": 0.9}]
    run = prepared(data, first, ("contrast", contrast))
    initialise(run)
    state = run.model.state_dict()
    copies = [name for name in state if name.startswith("copies.")]
    assert copies
    for name in copies:
        assert torch.equal(state[name], state[name.split(".", 2)[2]])


def test_the_hash_is_of_the_weights_and_not_of_where_they_lie(data: Path, first: Path) -> None:
    config = resolve(None, fields(data, first))[0]
    assert config.init_from.run == str(first)
    moved = data / "moved"
    first.rename(moved)
    assert config_sha256(resolve(None, fields(data, moved))[0]) == config_sha256(config)
    plain = [field for field in fields(data, moved) if field[0] != "init_from.run"]
    assert config_sha256(resolve(None, plain)[0]) != config_sha256(config)
    other = fields(data, moved, ("init_from.parts", ["encoder.*"]))
    assert config_sha256(resolve(None, other)[0]) != config_sha256(config)


REFUSED = [
    (("--encoder.dim=4",), "item_embedding.weight is ["),
    (("--encoder.layers=2",), "has no weight encoder.blocks.1."),
    (("--init_from.parts=[encoders.*]",), "this model has no weight 'encoders.*'"),
    (("--init_from.parts=[]",), "init_from.parts must name at least one weight"),
    (("--init_from.run=nowhere",), "nowhere: there is no such folder"),
    (("--ties=file", "--dataset=other"), "was trained on other data"),
    (("--model=popularity",), "popularity does not read this field"),
]


@pytest.mark.parametrize(("more", "told"), REFUSED, ids=[told for _, told in REFUSED])
def test_what_does_not_fit_is_one_line_and_writes_nothing(
    data: Path, first: Path, more: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_text(data, "other", planted(3))
    arguments = ["train", "--model=sasrec", "--dataset=planted", f"--data-dir={data}", *SMALL]
    out = data / "second"
    given = [f"--init_from.run={first}", f"--out={out}", *more]
    assert main([*arguments, *given]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (out / "config.yaml").exists()


def test_a_whole_config_made_in_python_starts_from_the_run_that_it_names(
    data: Path, first: Path
) -> None:
    """As on the command line, to the same configuration and metrics."""
    typed = data / "typed"
    train(data, typed, "--model=sasrec", f"--init_from.run={first}", *SMALL)
    plain = [field for field in fields(data, first) if field[0] != "init_from.run"]
    config = resolve(None, [*plain, ("epochs", 1), ("track.mode", "disabled")])[0]
    config = replace(config, init_from=InitFromConfig(run=str(first)))
    run = train_config(config, out=data / "python", verbose=False)
    assert run.config.init_from.sha256 is not None
    there = read_json(typed / "result.json")
    assert run.result["config_sha256"] == there["config_sha256"]
    assert run.metrics == there["metrics"]


def test_a_run_without_the_hash_of_its_weights_is_refused(data: Path, first: Path) -> None:
    run = prepared(data, first)
    unknown = replace(run, config=replace(run.config, init_from=InitFromConfig(run=str(first))))
    with pytest.raises(UsageError, match=r"init_from\.sha256"):
        initialise(unknown)


def test_weights_that_may_know_test_items_of_another_order_of_ties_are_refused(
    data: Path, first: Path
) -> None:
    run = prepared(data, first)
    shuffled = replace(run, config=replace(run.config, ties="shuffled"))
    with pytest.raises(UsageError, match="was trained with ties: file, which has other test items"):
        initialise(shuffled)


def test_weights_that_changed_since_are_refused(
    data: Path, first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = data / "second"
    train(data, out, "--model=sasrec", f"--init_from.run={first}", *SMALL)
    kept = read_json(out / "result.json")["config_sha256"]
    again = ["train", f"--config={out / 'config.yaml'}", f"--out={data / 'again'}"]
    assert main(again) == 0
    assert read_json(data / "again" / "result.json")["config_sha256"] == kept
    weights = first / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    capsys.readouterr()
    assert main([*again[:2], f"--out={data / 'third'}"]) == 2
    assert "is not there or has changed" in capsys.readouterr().err
