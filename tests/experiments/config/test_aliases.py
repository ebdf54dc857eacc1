"""Names from before keep working, and a trial keeps its id when one of its fields is renamed."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from experiments.aliases import current, current_tree, original_tree
from experiments.cli.main import main
from experiments.config.resolve import resolve
from experiments.config.run_config import config_from_tree, config_sha256, config_tree
from experiments.record.results_file import read_lines, study_files
from experiments.storage.files import REPOSITORY
from experiments.storage.run_folder import as_yaml
from experiments.study.plan import identity
from experiments.study.spec import read_study
from tests.experiments.small_data import SMALL, planted, read_json, train, write_text

RESULTS = REPOSITORY / "experiments" / "results"
BEFORE = json.loads(Path(__file__).with_name("run_before_renaming.json").read_text())
OLD_AND_NEW = [
    ("protocol", "sequence", "examples", "windows"),
    ("protocol", "prefix", "examples", "prefixes"),
    ("contrast.0.left_out", ["target"], "contrast.0.false_negatives", ["target"]),
    ("contrast.0.rows", "one_a_user", "contrast.0.anchors", "one_per_user"),
    ("contrast.0.short", 4, "contrast.0.short_max_length", 4),
    ("contrast.dropout_twin.weight", 0.3, "contrast.dropout_views.weight", 0.3),
    ("contrast.0.task", "recent_self", "contrast.0.task", "recent_subsequence"),
    (
        "contrast",
        ["dropout_twin", {"task": "recent_self", "same_as": "positive"}],
        "contrast",
        ["dropout_views", {"task": "recent_subsequence", "false_negatives_as": "positives"}],
    ),
    ("contrast.0", {"task": "dropout_twin"}, "contrast.0", {"task": "dropout_views"}),
]


def committed() -> list[Any]:
    return [line for path in study_files(RESULTS).values() for line in read_lines(path)]


@pytest.mark.parametrize(("old", "value", "new", "now"), OLD_AND_NEW)
def test_an_old_name_is_read_as_the_new_one(old: str, value: Any, new: str, now: Any) -> None:
    assert current(old, value) == (new, now)
    assert current(new, now) == (new, now)


def test_every_committed_trial_is_known_by_the_id_that_it_has() -> None:
    lines = [line.values for line in committed() if line.values.get("config")]
    assert len(lines) > 300
    for line in lines:
        sha256 = config_sha256(config_from_tree(line["config"]))
        assert sha256 == line["config_sha256"], line["trial"]
        features = line.get("features_sha256") or {}
        assert identity(sha256, line["data_sha256"], features) == line["trial"]


def test_first_and_present_names_say_the_same_of_every_committed_line() -> None:
    trees = [line.values["config"] for line in committed() if line.values.get("config")]
    assert any("left_out" in str(tree) for tree in trees)
    for tree in trees:
        now = current_tree(tree)
        assert current_tree(now) == now
        assert original_tree(original_tree(now)) == original_tree(now) == original_tree(tree)
        assert {"left_out", "same_as", "short", "rows"}.isdisjoint(
            key for task in now["contrast"] for key in task
        )
        assert "protocol" not in now


def test_old_names_resolve_to_the_same_run_as_new_ones() -> None:
    old = [
        ("model", "coserec"),
        ("protocol", "prefix"),
        ("contrast.0.left_out", ["target"]),
        ("contrast.0.same_as", "positive"),
        ("contrast.0.short", 7),
        ("contrast.0.rows", "one_a_user"),
    ]
    new = [
        ("model", "coserec"),
        ("examples", "prefixes"),
        ("contrast.0.false_negatives", ["target"]),
        ("contrast.0.false_negatives_as", "positives"),
        ("contrast.0.short_max_length", 7),
        ("contrast.0.anchors", "one_per_user"),
    ]
    before, now = (config_tree(resolve(None, fields)[0]) for fields in (old, new))
    assert before == now


def test_a_study_file_with_old_names_asks_the_same(tmp_path: Path) -> None:
    file = tmp_path / "asked.yaml"
    text = """# Which?
base: cl4srec
datasets: [ml-100k]
set: {protocol: sequence, contrast.0.left_out: [user]}
grid: {contrast.0.same_as: [left_out, positive]}
exclude: [{contrast.0.same_as: positive}]
"""
    file.write_text(text)
    old = read_study(file)
    for before, after in (
        ("protocol: sequence", "examples: windows"),
        ("[left_out, positive]", "[masked, positives]"),
        ("same_as: positive", "false_negatives_as: positives"),
        ("same_as", "false_negatives_as"),
        ("left_out", "false_negatives"),
    ):
        text = text.replace(before, after)
    file.write_text(text)
    assert read_study(file) == old


def test_a_declared_data_set_with_old_names_is_read(tmp_path: Path) -> None:
    write_text(tmp_path / "mine", "mine", planted())
    declaration = {"file": "mine.txt", "protocol": "sequence", "max_length": 9}
    (tmp_path / "mine" / "mine.yaml").write_text(as_yaml(declaration))
    config, _ = resolve(None, [("dataset", "mine"), ("data_dir", str(tmp_path))])
    assert config.examples == "windows"


def test_an_old_name_on_the_command_line_is_taken_with_one_line_of_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_text(tmp_path, "planted", planted())
    old = ("--protocol", "sequence", "--contrast.0.left_out=[target]")
    train(tmp_path, tmp_path / "run", *SMALL, "--epochs=1", *old)
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == 2
    assert "examples" in notes[0]
    assert "contrast.0.false_negatives" in notes[1]


def test_a_run_folder_from_before_goes_on_and_is_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name, text in BEFORE["files"].items():
        (run / name).write_bytes(zlib.decompress(base64.b85decode(text)))
    write_text(tmp_path / "data", "planted", planted())
    data = ["--data-dir", str(tmp_path / "data")]
    assert main(["train", "--out", str(run), "--resume", *data]) == 0
    result = read_json(run / "result.json")
    for split, rules in BEFORE["metrics of the whole run"].items():
        for rule, metrics in rules.items():
            assert result["metrics"][split][rule] == pytest.approx(metrics, abs=0.02)
    capsys.readouterr()
    assert main(["evaluate", str(run), *data, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed == {"test": result["metrics"]["test"]}


def test_a_configuration_written_today_is_hashed_by_its_first_names() -> None:
    config, _ = resolve(None, [("contrast", ["dropout_views", "recent_subsequence"])])
    first = original_tree(config_tree(config))
    assert [task["task"] for task in first["contrast"]] == ["dropout_twin", "recent_self"]
    assert [task["name"] for task in first["contrast"]] == ["dropout_twin", "recent_self"]
    assert config_sha256(config_from_tree(first)) == config_sha256(config)


PLUGIN = """
from dataclasses import dataclass
from models.tasks import Batch, ContrastiveTask, OwnState, View

@dataclass(eq=False, repr=False)
class Whole(ContrastiveTask):
    \"\"\"Contrast a history with itself.\"\"\"

    def pair(self, batch: Batch, rng):
        return [OwnState(), View(batch.histories)]

TASKS = {"written_before": Whole}
"""


def test_a_plug_in_with_old_names_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(PLUGIN)
    write_text(tmp_path, "planted", planted())
    words = ("--plugin", str(plugin), "--model", "sasrec", "--contrast=[written_before]")
    train(tmp_path, tmp_path / "run", *SMALL, "--epochs=1", *words)
    notes = capsys.readouterr().err
    assert "make_views" in notes
    assert "HistoryState" in notes
