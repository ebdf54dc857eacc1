"""`python run.py` alone: two models trained alike, one table, and what it does not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.cli import first
from experiments.cli.main import main
from experiments.evaluation.formatting import Trained, side_by_side
from experiments.storage import run_folder
from experiments.study.asked import asked
from experiments.study.plan import plan
from tests.experiments.small_data import read_json

TINY = """# A newcomer's first minutes, in seconds?
# Cost: about 5 seconds.
base: [popularity, cl4srec]
datasets: [ml-100k]
baseline: sasrec
set: {epochs: 1, encoder.dim: 8, encoder.inner: 8, encoder.layers: 1, encoder.max_length: 5,
      train.batch_size: 512}
"""


def test_without_arguments_models_are_trained_into_folders_and_compared_in_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setattr(first, "STUDY", tmp_path / "tiny.yaml")
    monkeypatch.setattr(run_folder, "REPOSITORY", tmp_path)
    drawn: list[Path] = []
    curves = "experiments.report.run_curves.write_curves"
    monkeypatch.setattr(curves, lambda folder: drawn.append(folder.path))
    assert main([]) == 0
    printed = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if line}
    folders = [Path(line[3:]) for line in printed.splitlines() if line.startswith("-> ")]
    assert sorted(folders) == sorted((tmp_path / "runs").iterdir())
    results = {
        result["model"]: result for result in map(read_json, (f / "result.json" for f in folders))
    }
    assert results.keys() == {"popularity", "sasrec", "cl4srec"}
    for model, result in results.items():
        metrics = result["metrics"]["test"]["excluded"]
        numbers = [f"{metrics[name]:.4f}" for name in ("hr@10", "ndcg@10", "mrr@10")]
        assert rows[model][1:4] == numbers
    assert drawn == folders
    assert printed.splitlines()[0].endswith("Cost: about 5 seconds.")
    assert "one seed" in printed


def test_the_two_models_of_the_first_minutes_have_equally_many_epochs_and_use_them_all() -> None:
    trials = plan(asked(first.STUDY), data_dir=None)
    assert [trial.variant.model for trial in trials] == ["sasrec", "popularity", "cl4srec"]
    fields = [trial.variant.fields for trial in trials if trial.variant.model != "popularity"]
    assert fields[0] == fields[1]
    assert fields[0]["train.patience"] >= fields[0]["epochs"]  # none is stopped sooner


@pytest.mark.parametrize(("ours", "side"), [(0.12, "above"), (0.08, "below")])
def test_the_sentence_says_which_side_how_far_and_that_one_seed_decides_nothing(
    ours: float, side: str
) -> None:
    def row(name: str, ndcg: float, epochs: int) -> Trained:
        return Trained(name, {"hr@10": 0.2, "ndcg@10": ndcg, "mrr@10": 0.1}, epochs, epochs, 9.0)

    text = side_by_side(
        [row("sasrec", 0.1, 3), row("popularity", 0.05, 0), row("cl4srec", ours, 3)]
    )
    names = [line.split()[0] for line in text.splitlines()[2:5]]
    assert names == ["popularity", "sasrec", "cl4srec"]
    assert f"NDCG@10 of cl4srec is 0.0200 (20.0 %) {side} that of sasrec" in text
    assert "from one seed: it does not say which model is better" in text


@pytest.mark.parametrize("ours", [0.1, 0.10004])
def test_the_sentence_names_no_side_where_four_digits_are_the_same(ours: float) -> None:
    rows = [Trained(name, {"hr@10": 0.2, "ndcg@10": ndcg, "mrr@10": 0.1}, 3, 3, 9.0)
            for name, ndcg in (("sasrec", 0.1), ("cl4srec", ours))]  # fmt: skip
    told = "NDCG@10 of cl4srec is the same, to four digits, as that of sasrec."
    assert told in side_by_side(rows)
