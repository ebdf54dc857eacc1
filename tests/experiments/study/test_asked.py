"""A study is asked for by its name or its file, and a command line may set fields of all of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.cli.main import main
from experiments.errors import UsageError
from experiments.record import merge
from experiments.study.asked import asked, study_file, with_set
from experiments.study.folder import StudyFolder
from experiments.study.plan import plan
from experiments.study.spec import STUDIES
from experiments.study.variants import variants
from tests.experiments.study.test_study_command import file as file  # a fixture
from tests.experiments.study.test_study_command import words

WEIGHT = STUDIES / "quick" / "weight.yaml"


@pytest.mark.parametrize("text", ["quick/weight", "quick/weight.yaml", str(WEIGHT)])
def test_a_name_a_name_with_its_ending_and_a_path_are_one_study(text: str) -> None:
    assert asked(Path(text)) == asked(WEIGHT)
    assert asked(Path(text)).name == "quick/weight"


def test_a_file_of_one_s_own_comes_before_a_study_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert study_file(Path("weight.yaml")) == STUDIES / "weight.yaml"
    (tmp_path / "weight.yaml").touch()
    assert study_file(Path("weight.yaml")) == Path("weight.yaml")


@pytest.mark.parametrize("text", ["quick/wieght", "quick/wieght.yaml"])
def test_a_misspelt_name_is_told_with_the_nearest(text: str) -> None:
    with pytest.raises(UsageError, match="did you mean 'quick/weight'"):
        study_file(Path(text))


@pytest.mark.parametrize("text", ["../presets/sasrec", "/weight", "quick"])
def test_what_is_no_study_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no such file, and no study"):
        study_file(Path(text))


def test_a_folder_is_told_to_be_one(tmp_path: Path) -> None:
    for folder in (tmp_path, Path()):
        with pytest.raises(UsageError, match=r"is a folder; name a study's \.yaml file"):
            study_file(folder)


def test_a_field_that_is_set_holds_for_every_trial_that_reads_it_and_the_question_says_so() -> None:
    study = asked(WEIGHT, [("epochs", 2), ("contrast.0.temperature", 0.5)])
    by_model = {variant.model: variant.fields for variant in variants(study)}
    assert by_model["cl4srec"]["epochs"] == by_model["sasrec"]["epochs"] == 2
    assert by_model["cl4srec"]["contrast.0.temperature"] == 0.5
    assert "contrast.0.temperature" not in by_model["sasrec"]
    assert study.question.endswith("(with epochs=2, contrast.0.temperature=0.5)")
    ids = {trial.id for trial in plan(study, None)}
    assert not ids & {trial.id for trial in plan(asked(WEIGHT), None)}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([("contrast.0.weight", 0.5)], "quick/weight varies this field"),
        ([("epochs", 1), ("epochs", 2)], "--set epochs: is given twice"),
        ([("contrast", ["same_target"])], "varies contrast.0.weight"),
        ([("contrast.augmented_views.weight", 0.5)], "varies contrast.0.weight"),
        ([("contrast.0.tau", 1), ("contrast.augmented_views.tau", 2)], "views.tau: is given twice"),
        ([("seed", 1)], "not a field to vary; base, datasets and seeds say it"),
    ],
)
def test_a_field_that_cannot_be_set_is_refused(fields: list[tuple[str, int]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        with_set(asked(WEIGHT), fields)


def test_set_is_in_the_manifest_and_in_what_goes_on_and_its_results_are_not_merged(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--set", "epochs=1", "--set", "train.batch_size=32")
    assert main(words(file, *given, "--workers", "1")) == 0
    folder = file.parent / "out"
    assert json.loads((folder / "manifest.json").read_text())["set"] == {
        "epochs": 1,
        "train.batch_size": 32,
    }
    lines = (folder / "record.jsonl").read_text().splitlines()
    assert {json.loads(line)["epochs"] for line in lines} == {1}
    capsys.readouterr()
    assert main(words(file, "--workers", "1")) == 2
    assert "holds results with --set epochs=1 --set train.batch_size=32;" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"--set \(epochs, train.batch_size\)"):
        merge.add(folder, file.parent / "results")
    assert not (file.parent / "results").exists()


def test_a_manifest_from_before_set_is_read(file: Path) -> None:
    folder = StudyFolder(file.parent / "out", None)  # type: ignore[arg-type]
    folder.path.mkdir()
    folder.manifest.write_text('{"study": "a", "question": "b", "trials": [], "searches": []}')
    assert folder.read()["study"] == "a"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--set", "epochs=1", "--publish"), "cannot be published"),
        (("--set", "epochs=1", "--again"), "--again trains a line of the results just as it was"),
        (("--set", "epochs"), "write --set KEY=VALUE"),
        (("--set", "epochz=1"), "epochz: unknown"),
    ],
)
def test_a_mistaken_set_is_one_line_and_writes_nothing(
    more: tuple[str, ...], message: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["study", str(file), "--data-dir", str(file.parent / "data"), *more]
    assert main([*command, "--track.mode=disabled"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("grid: {next_item: [{loss: gbce, negatives: 16}]}", "next_item.negatives", 4),
        ("grid: {next_item: [{loss: gbce}]}", "next_item.negatives", 4),
        ("grid: {next_item.loss: [gbce, bce]}", "next_item", "cross_entropy"),
        ("variants: {small: {encoder: {dim: 32}}}", "encoder.dim", 8),
        ("grid: {contrast.augmented_views.temperature: [1]}", "contrast.0.temperature", 0.5),
        ("random: {draws: 1, ranges: {encoder: {choices: [gru]}}}", "encoder.kind", "fmlp"),
    ],
)
def test_a_field_that_a_study_sets_over_it_under_another_name_cannot_be_set(
    part: str, key: str, value: object, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"# Q?\nbase: cl4srec\ndatasets: [ml-100k]\n{part}\n")
    with pytest.raises(UsageError, match=f"--set {key}: study mine varies "):
        asked(file, [(key, value)])


def test_a_field_beside_those_that_a_study_varies_can_be_set(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "# Q?\nbase: cl4srec\ndatasets: [ml-100k]\n"
        "grid: {encoder: [self_attention, {dropout: 0.1}], next_item: [bce]}\n"
    )
    study = asked(file, [("encoder.dim", 8), ("next_item.negatives", 4)])
    assert study.given == {"encoder.dim": 8, "next_item.negatives": 4}
