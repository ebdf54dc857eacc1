"""A plug-in of every kind: what it declares is treated as built-in, and a run remembers it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.cli.main import main
from experiments.config.plugin import load_plugin, load_plugins
from experiments.config.presets import presets
from experiments.config.resolve import resolve
from experiments.errors import UsageError
from experiments.storage.run_folder import RunFolder
from models.encoders import ENCODERS
from models.losses.next_item import NEXT_ITEM_LOSSES
from models.tasks import TASKS
from tests.experiments.small_data import planted, write_text

PLUGIN = '''
"""An encoder, a loss, a preset and a data set."""
from dataclasses import dataclass

import torch
from torch import nn

from models.encoders import Encoder, EncoderConfig
from models.encoders.encoder import at_last
from models.losses.next_item import NextItemLoss

@dataclass(frozen=True)
class MeanConfig(EncoderConfig):
    """The mean of what was read (Nobody 2020)."""

    slope: float = 1.0
    """Factor of the states."""

    def build(self) -> Encoder:
        return Mean(self)

class Mean(Encoder):
    def __init__(self, config):
        super().__init__()
        self.output = nn.Linear(config.dim, config.dim)
        self.slope = config.slope

    def forward(self, x, lengths, last_only):
        count = torch.arange(1, x.shape[1] + 1)[None, :, None]
        states = self.slope * self.output(x.cumsum(dim=1) / count)
        return at_last(states, lengths) if last_only else states

@dataclass(eq=False, repr=False)
class Hinge(NextItemLoss):
    """The target above every other item by a margin."""

    margin: float = 1.0
    """By how much."""

    def forward(self, states, items, targets, rng):
        scores = states @ items.all().T
        own = scores.gather(1, targets[:, None] - 1)
        return (self.margin + scores - own).clamp(min=0).mean()

ENCODERS = {"mean": MeanConfig}
LOSSES = {"hinge": Hinge}
PRESETS = {
    "mean-hinge": {
        "encoder": {"kind": "mean", "dim": 8},
        "next_item": {"loss": "hinge"},
        "train": {"batch_size": 512},
    }
}
DATASETS = {
    "mine": {"file": "mine.txt", "examples": "windows", "max_length": 7, "defaults": {"epochs": 1}}
}
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "mine_plugin.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture
def run(plugin: Path, tmp_path: Path) -> Path:
    """A run that needs it."""
    write_text(tmp_path, "mine", planted())
    out = tmp_path / "run"
    assert main(train_arguments(plugin, tmp_path, out)) == 0
    return out


def train_arguments(plugin: Path, data: Path, out: Path) -> list[str]:
    return [
        *("train", "--model", "mean-hinge", "--dataset", "mine", "--data-dir", str(data)),
        *("--out", str(out), "--plugin", str(plugin), "--track.mode=disabled"),
    ]


def forget() -> None:
    """As a new process would: nothing is loaded."""
    from experiments.config.loaded_plugins import LOADED
    from experiments.config.presets import ADDED_PRESETS
    from experiments.data.known import ADDED

    for catalogue in (LOADED, ADDED_PRESETS, ADDED):
        catalogue.clear()
    del ENCODERS["mean"], NEXT_ITEM_LOSSES["hinge"]


def test_what_it_declares_is_configured_as_what_is_built_in(plugin: Path, tmp_path: Path) -> None:
    write_text(tmp_path, "mine", planted())
    load_plugins([str(plugin)])
    assert "mean-hinge" in presets()
    fields = [("model", "mean-hinge"), ("dataset", "mine"), ("data_dir", str(tmp_path))]
    config, spec = resolve(None, [*fields, ("encoder.slope", 2.0), ("next_item.margin", 3)])
    assert (type(config.encoder), type(config.next_item)) == (
        ENCODERS["mean"],
        NEXT_ITEM_LOSSES["hinge"],
    )
    assert (config.examples, config.epochs, config.encoder.max_length) == ("windows", 1, 7)
    assert spec.path == tmp_path / "mine.txt"


def test_a_run_says_which_plug_in_it_was_trained_with(
    run: Path, plugin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (kept,) = json.loads((run / "plugins.json").read_text())
    assert (kept["name"], kept["path"]) == (str(plugin), str(plugin))
    forget()
    for command in (["evaluate", str(run)], ["train", "--resume", "--out", str(run)]):
        capsys.readouterr()
        assert main(command) == 2
        told = f"was trained with --plugin {plugin} (sha256 {kept['sha256'][:12]}...)"
        assert told in capsys.readouterr().err
    assert main(["evaluate", str(run), "--plugin", str(plugin)]) == 0


def test_a_plug_in_that_was_given_as_a_module_is_asked_for_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "package_of_ideas").mkdir()
    (tmp_path / "package_of_ideas" / "__init__.py").write_text("")
    (tmp_path / "package_of_ideas" / "ideas.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    write_text(tmp_path, "mine", planted())
    arguments = train_arguments(tmp_path / "x.py", tmp_path, tmp_path / "run")
    module = "package_of_ideas.ideas"
    assert main([module if word == str(tmp_path / "x.py") else word for word in arguments]) == 0
    forget()
    assert main(["evaluate", str(tmp_path / "run")]) == 2
    assert f"add --plugin {module}\n" in capsys.readouterr().err


def test_another_version_is_told_and_goes_on_no_training(
    run: Path, plugin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forget()
    plugin.write_text(PLUGIN + "# changed\n")
    assert main(["evaluate", str(run), "--plugin", str(plugin)]) == 0
    assert "this one is another version" in capsys.readouterr().err
    resume = ["train", "--resume", "--out", str(run), "--epochs", "2", "--plugin", str(plugin)]
    assert main(resume) == 2
    assert "this one is another version" in capsys.readouterr().err


def test_a_run_that_is_killed_before_it_notes_its_plug_in_notes_it_when_it_goes_on(
    plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path, "mine", planted())
    out = tmp_path / "run"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_plugins", killed)
        assert main(train_arguments(plugin, tmp_path, out)) == 130
    assert (out / "config.yaml").exists()
    assert main(["train", "--resume", "--out", str(out), "--plugin", str(plugin)]) == 0
    (kept,) = json.loads((out / "plugins.json").read_text())
    assert kept["path"] == str(plugin)


def test_a_run_that_needs_no_plug_in_remembers_none(plugin: Path, tmp_path: Path) -> None:
    write_text(tmp_path, "other", planted())
    out = tmp_path / "run"
    arguments = train_arguments(plugin, tmp_path, out)
    arguments[2], arguments[4] = "popularity", "other"
    assert main(arguments) == 0
    assert not (out / "plugins.json").exists()


MISTAKES = [
    ("PRESETS = {'sasrec': {}}", "PRESETS has a 'sasrec' already"),
    ("PRESETS = {'a/b': {}}", "'a/b' cannot name a model"),
    ("PRESETS = {'x': {'encoder': {'kind': 'gruu'}}}", "PRESETS['x']: encoder.kind: unknown"),
    ("PRESETS = {'x': {'contrast': ['nothing']}}", "PRESETS['x']: contrast.0.task: unknown"),
    ("PRESETS = {'x': {'epochs': 0}}", "PRESETS['x']: epochs must be at least 1"),
    ("PRESETS = {'x': [1]}", "PRESETS['x']: expected keys and values, got list"),
    ("PRESETS = {'x': {'epochs': object()}}", "PRESETS['x']: holds what no YAML can"),
    ("PRESETS = ['x']", "PRESETS must be a dict of names and fields"),
    ("DATASETS = {'beauty': {}}", "DATASETS['beauty']: file and examples and max_length missing"),
    (
        "DATASETS = {'beauty': {'file': 'b.txt', 'examples': 'windows', 'max_length': 5}}",
        "DATASETS has a 'beauty' already",
    ),
    ("DATASETS = {'b': {'fil': 'b.txt'}}", "unknown field 'fil' (did you mean 'file'?)"),
    ("from models.encoders import GRUConfig\nLOSSES = {'x': GRUConfig}", "is no NextItemLoss"),
    ("from models.losses.next_item import BPR\nENCODERS = {'x': BPR}", "is no EncoderConfig"),
    (
        "from models.losses.next_item import BPR\nLOSSES = {'bce': BPR}",
        "LOSSES has a 'bce' already",
    ),
    (
        "from dataclasses import dataclass\nfrom models.losses.next_item import BPR\n"
        "@dataclass(eq=False, repr=False)\nclass Own(BPR):\n    kind: str = 'a'\n"
        "LOSSES = {'own': Own}",
        "the field 'kind' of LOSSES['own'] has a name that chooses a kind",
    ),
    ("NOTHING = {}", "declares none of OPERATORS, TASKS, ENCODERS, LOSSES, PRESETS, DATASETS"),
]


@pytest.mark.parametrize(("source", "told"), MISTAKES, ids=[told for _, told in MISTAKES])
def test_a_mistake_in_it_is_one_line(source: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(source + "\n")
    with pytest.raises(UsageError) as error:
        load_plugins([str(path)])
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_field_that_is_called_as_a_method_was_before_is_a_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`share` of a history is a usual word, and select_rows was called so.  Twice: as a notebook
    that trains two models loads it."""
    path = tmp_path / "first_part.py"
    path.write_text(
        "from dataclasses import dataclass\n"
        "from models.tasks import ContrastiveTask, View\n"
        "@dataclass(eq=False, repr=False)\n"
        "class FirstPart(ContrastiveTask):\n"
        "    share: float = 0.5\n"
        "    def make_views(self, batch, rng):\n"
        "        return [View(batch.histories, self.pooling)] * 2\n"
        "TASKS = {'first_part': FirstPart}\n"
    )
    load_plugins([str(path)])
    load_plugins([str(path)])
    assert "is called" not in capsys.readouterr().err
    task = TASKS.pop("first_part")(share=0.25)
    assert task.share == 0.25
    assert callable(task.select_rows)


def test_a_preset_that_was_refused_is_not_known_afterwards(tmp_path: Path) -> None:
    """A session in Python goes on without it."""
    path = tmp_path / "wrong.py"
    path.write_text("PRESETS = {'odd': {'encodr': {}}}")
    with pytest.raises(UsageError, match="encodr"):
        load_plugins([str(path)])
    load_plugins([])
    assert "odd" not in presets()


def test_two_plug_ins_with_one_name_are_refused(plugin: Path, tmp_path: Path) -> None:
    load_plugin(str(plugin))
    load_plugin(str(plugin))  # the same one, again, is not
    other = tmp_path / "other.py"
    other.write_text(PLUGIN)
    with pytest.raises(UsageError, match="ENCODERS has a 'mean' already"):
        load_plugin(str(other))


def test_a_preset_may_name_what_a_later_plug_in_adds(plugin: Path, tmp_path: Path) -> None:
    first = tmp_path / "first.py"
    first.write_text("PRESETS = {'early': {'encoder': {'kind': 'mean'}}}\n")
    load_plugins([str(first), str(plugin)])


def test_list_and_explain_know_it(plugin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--plugin", str(plugin)]) == 0
    listed = capsys.readouterr().out
    for name in ("mean", "hinge", "mean-hinge", "mine"):
        assert f"\n  {name} " in listed
    assert main(["explain", "encoder.slope", "--plugin", str(plugin)]) == 0
    told = capsys.readouterr().out
    for part in ("encoder.slope (kind: mean)", "a number", "1.0", "Factor of the states.", "mine_"):
        assert part in told
