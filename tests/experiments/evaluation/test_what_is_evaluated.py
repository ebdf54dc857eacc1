"""A training that is asked for other cutoffs, a third rule, or more than accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.cli.main import main
from experiments.config.resolve import resolve
from experiments.config.run_config import config_sha256
from experiments.record.from_run import finished_line
from experiments.record.line import check_line
from experiments.storage.run_folder import RunFolder
from tests.experiments.small_data import FAST, planted, read_history, read_json, train, write_text

ASKED = ("--evaluate.cutoffs=[1, 50, 100]", "--evaluate.score0=true", "--evaluate.beyond=true")
ABOUT = {"study": "s", "trial": "t", "variant": "v", "seed": 0}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asked")
    write_text(folder / "data", "planted", planted())
    for name, fields in (("usual", ()), ("asked", ASKED)):
        train(folder / "data", folder / name, "--model", "sasrec", "--epochs", "2", *FAST, *fields)
    return folder


def test_other_cutoffs_are_in_result_history_and_line(runs: Path) -> None:
    result = read_json(runs / "asked" / "result.json")
    expected = [f"{m}@{k}" for k in (1, 10, 50, 100) for m in ("hr", "ndcg", "mrr")]
    for split in ("valid", "test"):
        assert set(result["metrics"][split]["excluded"]) >= set(expected)
        assert "hr@5" not in result["metrics"][split]["excluded"]
        assert result["metrics"][split]["excluded"]["hr@50"] == 1.0  # of 30 items
    assert read_history(runs / "asked")[0]["valid/excluded/hr@1"] >= 0.0
    line = finished_line(RunFolder(runs / "asked"), ABOUT)
    check_line(line, "line")
    assert line["test/score0/hr@100"] == 1.0
    assert line["hits/score0"]
    assert line["test/excluded/coverage@1"] > 0.0


def test_what_was_always_reported_stays_to_the_digit(runs: Path) -> None:
    usual, asked = (
        read_json(runs / name / "result.json")["metrics"] for name in ("usual", "asked")
    )
    for split in ("valid", "test"):
        for rule in ("excluded", "ranked"):
            for name in ("hr@10", "ndcg@10", "mrr@10"):
                assert asked[split][rule][name] == usual[split][rule][name]
    assert set(usual["test"]) == {"excluded", "ranked"}
    with np.load(runs / "usual" / "ranks.npz") as ranks:
        assert set(ranks) == {"user_ids", "excluded", "ranked"}
    with np.load(runs / "asked" / "ranks.npz") as ranks:
        assert set(ranks) == {"user_ids", "excluded", "ranked", "score0"}


def test_an_epoch_is_not_slowed_by_what_only_the_end_reports(runs: Path) -> None:
    names = {name.split("@")[0] for record in read_history(runs / "asked") for name in record}
    assert "valid/excluded/coverage" not in names


def test_evaluate_says_the_same_again_and_may_be_asked_for_more(runs: Path, capsys) -> None:
    expected = read_json(runs / "asked" / "result.json")["metrics"]["test"]
    assert main(["evaluate", str(runs / "asked")]) == 0
    said = capsys.readouterr().out
    for name in ("hr@50", "novelty@100"):
        assert f"{expected['score0'][name]:.4f}" in said
    more = ["--evaluate.cutoffs=[1, 50, 100]", "--score0", "--beyond"]
    assert main(["evaluate", str(runs / "usual"), *more]) == 0
    assert capsys.readouterr().out == said


def test_what_chooses_the_epoch_is_measured_and_leaves_evaluate_free(
    runs: Path, tmp_path: Path, capsys
) -> None:
    chosen = ("--train.monitor=score0/ndcg@7", "--epochs=1", *FAST)
    train(runs / "data", tmp_path / "run", "--model", "sasrec", *chosen)
    result, (record,) = read_json(tmp_path / "run" / "result.json"), read_history(tmp_path / "run")
    assert record["valid/score0/ndcg@7"] == result["metrics"]["valid"]["score0"]["ndcg@7"]
    line = finished_line(RunFolder(tmp_path / "run"), ABOUT)
    check_line(line, "line")
    assert line["test/score0/ndcg@7"] == result["metrics"]["test"]["score0"]["ndcg@7"]
    assert main(["evaluate", str(tmp_path / "run"), "--evaluate.cutoffs=[1, 50]"]) == 0
    assert f"{result['metrics']['test']['score0']['ndcg@7']:.4f}" in capsys.readouterr().out


@pytest.mark.parametrize("cutoffs", ["[]", "[0]", "[5, 5]", "[-1]", "5", "[a]", "[1.5]"])
def test_cutoffs_that_are_none_are_told_in_one_line(cutoffs, capsys) -> None:
    assert main(["train", f"--evaluate.cutoffs={cutoffs}"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: evaluate.cutoffs")
    assert told.count("\n") == 1


def test_the_usual_cutoffs_are_no_part_of_a_configurations_hash() -> None:
    plain = resolve(None, [])[0]
    same = resolve(None, [("evaluate.cutoffs", [5, 10, 20]), ("evaluate.score0", False)])[0]
    other = resolve(None, [("evaluate.cutoffs", [1, 10])])[0]
    assert config_sha256(plain) == config_sha256(same) != config_sha256(other)
