"""The drawing of one run: what is on it, and that it never makes a run fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.cli.main import main
from experiments.metric_names import VALID_NDCG10
from experiments.report import run_curves
from experiments.storage.run_folder import RunFolder
from tests.experiments.small_data import FAST, planted, write_text

write_curves = run_curves.write_curves  # itself: tests have it replaced
RECORDS = [
    {"epoch": 1, "train/loss": 5.0, "train/next_item": 4.0, VALID_NDCG10: 0.1},
    {"epoch": 2, "train/loss": 4.5, "train/next_item": 3.8, VALID_NDCG10: 0.3},
    {"epoch": 3, "train/loss": 4.1, "train/next_item": 3.7},
]
OF_A_CONTRAST = {
    "contrast/twins/loss": 2.0,
    "contrast/twins/alignment": 0.5,
    "contrast/twins/uniformity": -1.0,
}


def folder_of(path: Path, text: str) -> RunFolder:
    folder = RunFolder(path)
    folder.history.write_text(text, encoding="utf-8")
    return folder


def test_losses_and_the_best_epoch_are_drawn() -> None:
    svg = run_curves.run_curves(RECORDS)
    for words in (">next item<", ">epoch 2: 0.3000<"):
        assert words in svg
    assert "alignment" not in svg


def test_a_task_has_its_loss_alignment_and_uniformity() -> None:
    svg = run_curves.run_curves([{**record, **OF_A_CONTRAST} for record in RECORDS])
    for words in (">sum<", "twins, before its weight", "alignment of twins", "uniformity of twins"):
        assert words in svg


def test_a_task_may_have_a_slash_in_its_name() -> None:
    named = {name.replace("twins", "views/a"): value for name, value in OF_A_CONTRAST.items()}
    svg = run_curves.run_curves([{**record, **named} for record in RECORDS])
    for words in (">views/a, before its weight<", "alignment of views/a", "uniformity of views/a"):
        assert words in svg


def test_a_next_item_loss_alone_is_one_line_under_the_runs_name() -> None:
    svg = run_curves.run_curves(RECORDS, "sasrec on beauty, seed 0")
    assert ">sum<" not in svg
    assert ">sasrec on beauty, seed 0<" in svg


@pytest.mark.parametrize("rule", ["ranked", "score0"])
def test_the_epoch_is_marked_by_the_metric_that_chose_it(rule: str) -> None:
    other = f"valid/{rule}/mrr@10"
    scores = [{**record, other: record["epoch"] / 10} for record in RECORDS]
    svg = run_curves.run_curves(scores, monitor=f"{rule}/mrr@10")
    seen = {"ranked": "ranked", "score0": "at score 0"}[rule]
    assert f">MRR@10, seen items {seen}<" in svg
    assert ">epoch 3: 0.3000<" in svg


def test_the_same_history_makes_the_same_file() -> None:
    assert run_curves.run_curves(RECORDS) == run_curves.run_curves(RECORDS)


@pytest.mark.parametrize("text", ["{", '{"epoch": 1}\n', '{"epoch": 1, "train/loss": "x"}\nx\n'])
def test_what_cannot_be_drawn_is_one_line_and_no_error(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path, text)
    write_curves(folder)
    told = capsys.readouterr().err.splitlines()
    assert len(told) <= 1
    assert not folder.curves.exists()


def test_a_run_of_a_baseline_has_nothing_to_draw(tmp_path: Path) -> None:
    write_curves(RunFolder(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_trained_run_has_its_curves_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_curves, "write_curves", write_curves)
    monkeypatch.setattr("experiments.storage.run_folder.REPOSITORY", tmp_path)
    write_text(tmp_path, "planted", planted(users=20))
    words = ["train", "--name=first", "--model=sasrec", "--dataset=planted"]
    words += [f"--data-dir={tmp_path}", "--epochs=1", *FAST]
    assert main(words) == 0
    folder = RunFolder(tmp_path / "runs" / "first")
    assert folder.curves.read_text(encoding="utf-8").startswith("<?xml")
    assert "curves.svg" not in json.loads(folder.result.read_bytes())["files_sha256"]
    assert main(words) == 2
    assert main(["train", "--name=first", "--resume", "--epochs=2"]) == 0
    assert len(folder.read_history()) == 2
    assert main([*words, "--name=../elsewhere"]) == 2
