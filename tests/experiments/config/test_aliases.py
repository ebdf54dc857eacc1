"""Names from before keep working, and a trial keeps its id when one of its fields is renamed."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from experiments import aliases
from experiments.aliases import current, current_tree, original, original_tree
from experiments.cli.main import main
from experiments.config.resolve import resolve
from experiments.config.run_config import (
    config_from_tree,
    config_sha256,
    config_tree,
    tree_sha256,
)
from experiments.errors import UsageError
from experiments.record.results_file import ResultsFile, read_lines, study_files
from experiments.storage.files import REPOSITORY
from experiments.storage.run_folder import as_yaml
from experiments.study.adopt import relabel
from experiments.study.plan import about, identity, plan
from experiments.study.search import plan_searches
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
    assert original(new, now) == original(old, value) == (old, value)


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


def test_a_field_that_came_later_changes_no_hash_while_it_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later = {"split.kind": "leave_one_out", "train.average": 0, "contrast.*.momentum": None}
    monkeypatch.setattr(aliases, "ADDED", later)
    before = {"train": {"batch_size": 3}, "contrast": [{"task": "a"}, {"task": "b"}]}
    now = {
        "split": {"kind": "leave_one_out"},
        "train": {"batch_size": 3, "average": 0},
        "contrast": [{"task": "a", "momentum": None}, {"task": "b", "momentum": None}],
    }
    assert tree_sha256(now) == tree_sha256(before)
    for other in (
        {**now, "split": {"kind": "temporal"}},
        {**now, "train": {"batch_size": 3, "average": 1}},
        {**now, "contrast": [{"task": "a", "momentum": 0.9}, {"task": "b", "momentum": None}]},
    ):
        assert tree_sha256(other) != tree_sha256(before)
    assert now["split"] == {"kind": "leave_one_out"}


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


def train_with(plug_in: str, contrast: str, folder: Path) -> None:
    """SASRec with a contrast of this plug-in's, for an epoch, in folder/run."""
    file = folder / "plug_in.py"
    file.write_text(plug_in)
    write_text(folder, "planted", planted())
    words = ("--plugin", str(file), "--model", "sasrec", f"--contrast=[{contrast}]")
    train(folder, folder / "run", *SMALL, "--epochs=1", *words)


def test_a_plug_in_with_old_names_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_with(PLUGIN, "written_before", tmp_path)
    notes = capsys.readouterr().err
    assert "make_views" in notes
    assert "HistoryState" in notes


GENERIC = """
from dataclasses import dataclass
from models.tasks import Batch, ContrastiveTask, OwnState, Task, TaskLoss, View

@dataclass(eq=False, repr=False)
class Own(Task):
    \"\"\"Has a field of its own that is called as one of ours was.\"\"\"

    short: int = 3
    same_as: str = "left_out"

    def requests(self, step):
        return {"own": OwnState()}

    def loss(self, encoded, step):
        return TaskLoss(encoded["own"].square().mean() * self.short)

TASKS = {"own": Own}
"""


def test_a_field_of_a_plug_ins_own_is_not_renamed(tmp_path: Path) -> None:
    train_with(GENERIC, "{task: own, short: 5, same_as: positive}", tmp_path)
    written = (tmp_path / "run" / "config.yaml").read_text()
    assert "short: 5" in written
    assert "same_as: positive\n" in written


INHERITED = """
from dataclasses import dataclass
from models.tasks import DropoutTwin

@dataclass(eq=False, repr=False)
class Again(DropoutTwin):
    \"\"\"As its base.\"\"\"

    def pair(self, batch, rng):
        return super().pair(batch, rng)

TASKS = {"again": Again}
"""


def test_a_plug_in_may_call_the_old_method_of_its_base(tmp_path: Path) -> None:
    train_with(INHERITED, "again", tmp_path)


def test_a_plug_ins_field_under_an_old_name_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = tmp_path / "field.py"
    plugin.write_text(
        PLUGIN.replace("    def pair", "    left_out: tuple[str, ...] = ('user',)\n\n    def pair")
    )
    assert main(["train", "--plugin", str(plugin), "--model", "sasrec"]) == 2
    error = capsys.readouterr().err
    assert "'left_out' of Whole is called 'false_negatives' now" in error


def test_a_field_under_both_of_its_names_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--protocol", "sequence", "--examples", "prefixes"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: --protocol is called")
    both = {"task": "augmented_views", "left_out": ["user"], "false_negatives": []}
    with pytest.raises(UsageError, match=r"left_out is called false_negatives now"):
        resolve(None, [("contrast", [both])])


def test_a_task_is_addressed_by_its_old_kind_unless_another_has_that_name() -> None:
    tasks = ["dropout_views", {"task": "same_target", "name": "recent_self"}]
    weights = [("contrast.dropout_twin.weight", 0.3), ("contrast.recent_self.weight", 0.7)]
    config, _ = resolve(None, [("contrast", tasks), *weights])
    assert [task.weight for task in config.contrast] == [0.3, 0.7]
    with pytest.raises(UsageError, match=r"contrast\.0\.task"):
        resolve(None, [("contrast", tasks), ("contrast.0.task.more", "same_target")])


def test_a_preset_with_old_names_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.config.presets.PRESETS", tmp_path)
    (tmp_path / "mine.yaml").write_text("protocol: sequence\ncontrast: [dropout_twin]\n")
    config, _ = resolve(None, [("model", "mine"), ("contrast.dropout_views.weight", 0.5)])
    assert (config.examples, config.contrast[0].weight) == ("windows", 0.5)


def test_names_of_other_kinds_are_hashed_as_they_are() -> None:
    trees = [
        {"contrast": [{"task": "same_target", "name": name}]}
        for name in ("dropout_views", "dropout_twin")
    ]
    assert [original_tree(tree) for tree in trees] == trees


def test_a_search_keeps_its_folder_when_a_field_is_renamed(tmp_path: Path) -> None:
    text = """# Which?
base: cl4srec
datasets: [ml-100k]
set: {protocol: sequence}
search: {trials: 2, ranges: {contrast.0.rows: {choices: [all, one_a_user]}}}
"""
    file = tmp_path / "asked.yaml"
    file.write_text(text)
    (search,) = plan_searches(read_study(file), None)
    assert search.name == "cl4srec-ml-100k-071b8cf4"
    drawn = search.drawn({"model": "cl4srec", "contrast.0.anchors": "one_per_user"})
    assert search.attempt(0, drawn, None).variant.axes["contrast.0.anchors"] == "one_per_user"


def test_a_line_of_before_is_known_by_present_axes_and_takes_the_present_label(
    tmp_path: Path,
) -> None:
    write_text(tmp_path, "planted", planted())
    file = tmp_path / "asked.yaml"
    file.write_text(
        "# Which?\nbase: sasrec\ndatasets: [planted]\ngrid: {examples: [prefixes, windows]}\n"
    )
    trials = plan(read_study(file), tmp_path)
    results = ResultsFile(tmp_path / "record.jsonl")
    for trial, old in zip(trials, ("prefix", "sequence"), strict=True):
        line = about("asked", "Which?", trial) | {"status": "failed", "error": "none"}
        line |= {"variant": f"sasrec protocol={old}"}
        results.append(line | {"axes": {"model": "sasrec", "protocol": old}})
    assert [line["axes"]["examples"] for line in results.lines().values()] == [
        "prefixes",
        "windows",
    ]
    assert relabel(results, trials) == 2
    assert [line["variant"] for line in results.lines().values()] == [
        trial.variant.label for trial in trials
    ]
    assert relabel(results, trials) == 0


def test_an_exclusion_of_whole_values_is_read_with_old_names(tmp_path: Path) -> None:
    file = tmp_path / "asked.yaml"
    file.write_text(
        "# Which?\nbase: sasrec\ndatasets: [ml-100k]\n"
        "grid: {contrast: [[dropout_twin], [same_target]]}\n"
        "exclude: [{contrast: [dropout_twin]}]\n"
    )
    assert len(plan(read_study(file), None)) == 1


def test_data_converted_before_may_be_converted_again(tmp_path: Path) -> None:
    source = tmp_path / "shop.csv"
    source.write_text(
        "user_id,item_id,timestamp\n"
        + "".join(f"{u},{i},{i}\n" for u in range(4) for i in range(5))
    )
    command = ["data", "shop", "--source", str(source), "--data-dir", str(tmp_path / "out")]
    assert main(command) == 0
    declared = tmp_path / "out" / "shop" / "shop.yaml"
    before = declared.read_text().replace("examples: prefixes", "protocol: prefix")
    declared.write_text(before)
    assert main(command) == 0
    assert declared.read_text() == before
