"""Papers' numbers beside trainings in their settings, by the rule of the paper."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.record.checkpoints import add_checkpoint, checkpoint_line
from experiments.record.results_file import study_files
from experiments.report.published import Published
from experiments.report.reproduction import block
from experiments.report.studies import Report
from tests.experiments.report.made_record import finished

USERS = 400
RANKS = np.clip(np.round(np.random.default_rng(0).exponential(12, USERS)) + 1, 1, 100)


def trained(variant: str, loss: str, study: str = "published", **more: Any) -> dict[str, Any]:
    return {**finished("beauty", variant, 0, RANKS, study=study, loss=loss), **more}


def paper(method: str, ndcg: float, **more: Any) -> Published:
    row = Published("beauty", method, "excluded", 0.5, ndcg, "bce", "some/code", "README")
    return replace(row, **more)


@pytest.fixture
def report(tmp_path: Path) -> Report:
    lines = [
        trained("published/sasrec-bce", "bce", **{"test/score0/ndcg@10": 0.039,
                                                  "test/score0/hr@10": 0.07}),
        trained("published/iclrec", "bce", **{"test/ranked/ndcg@10": 0.02}),
        trained("published/cl4srec", "cross_entropy"),
    ]  # fmt: skip
    wide = trained("iclrec", "cross_entropy", "contrast", **{"test/excluded/ndcg@10": 0.0701})
    for study, of_study in {"published": lines, "contrast": [wide]}.items():
        text = "".join(json.dumps(line) + "\n" for line in of_study)
        (tmp_path / f"{study}.jsonl").write_text(text)
    made = Report(study_files(tmp_path))
    made.others = [
        paper("SASRec", 0.09, next_item="cross_entropy"),
        paper("SASRec", 0.04, notes="score 0"),
        paper("ICLRec", 0.04, seen="ranked"),
        paper("CL4SRec", 0.03, seen="unstated", next_item="loss not stated"),
    ]
    return made


def cells(text: str, method: str) -> list[str]:
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {method} |")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_a_result_is_held_against_the_paper_of_its_loss_by_the_papers_rule(
    report: Report, tmp_path: Path
) -> None:
    text = block(report, tmp_path)
    sasrec, iclrec = cells(text, "SASRec"), cells(text, "ICLRec")
    assert sasrec[1] == "seen at score 0"
    assert sasrec[2].startswith(".5000/.0400")
    assert sasrec[4:7] == [".0700/.0390", "-2.5%", "yes"]
    assert iclrec[1] == "seen ranked"
    assert iclrec[5:7] == ["-50.0%", "no"]
    assert iclrec[7].endswith("/.0701")


def test_a_paper_that_does_not_say_its_rule_is_shown_and_not_judged(
    report: Report, tmp_path: Path
) -> None:
    row = cells(block(report, tmp_path), "CL4SRec")
    assert row[2].startswith(".5000/.0300")
    assert row[5:7] == ["", ""]


def test_a_paper_on_other_data_is_not_judged(report: Report, tmp_path: Path) -> None:
    report.others = [paper("ICLRec", 0.04, notes="another 5-core of the data")]
    row = cells(block(report, tmp_path), "ICLRec")
    assert row[6] == "another 5-core of the data"


def test_published_weights_stand_under_the_papers_rule(report: Report, tmp_path: Path) -> None:
    about = {"checkpoint": "ICLRec", "dataset": "beauty", "data_sha256": "sha of beauty",
             "users": USERS, "source": "some/code", "commit": "abc", "note": ""}  # fmt: skip
    metrics = {"ranked": {"hr@10": 0.11, "ndcg@10": 0.05}, "excluded": {"hr@10": 0.2}}
    line = checkpoint_line(about, metrics, {"ranked": RANKS})
    add_checkpoint(tmp_path / "checkpoints.jsonl", line)
    assert cells(block(report, tmp_path), "ICLRec")[3] == ".1100/.0500"


def test_without_trainings_it_says_so(tmp_path: Path) -> None:
    assert block(Report(study_files(tmp_path)), tmp_path) == "Not trained yet."
