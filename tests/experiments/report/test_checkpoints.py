"""Our variants against published weights: by users, said to be by users."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.errors import UsageError
from experiments.record.checkpoints import add_checkpoint, checkpoint_line, read_checkpoints
from experiments.record.results_file import study_files
from experiments.report import checkpoints
from experiments.report.checkpoints import block, page
from experiments.report.studies import Report
from tests.experiments.report.made_record import finished

USERS = 400


def ranks_of(shift: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.clip(np.round(rng.exponential(12, USERS) * shift) + 1, 1, 100)


def theirs(name: str, ranks: np.ndarray, **more: Any) -> dict[str, Any]:
    about = {"checkpoint": name, "dataset": "beauty", "data_sha256": "sha of beauty",
             "users": USERS, "source": "someone/model", "commit": "abc", "note": "",
             "official": {"hr@10": 0.5, "ndcg@10": 0.25}}  # fmt: skip
    ndcg = float(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0).mean())
    metrics = {"excluded": {"hr@10": float((ranks <= 10).mean()), "ndcg@10": ndcg}}
    return checkpoint_line({**about, **more}, metrics, {"excluded": ranks})


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return with_seeds(tmp_path, 3)


def with_seeds(results: Path, seeds: int) -> Path:
    """A record of ours with so many seeds."""
    ours = [finished("beauty", "best whole", seed, ranks_of(0.5, seed), study="recipes")
            for seed in range(seeds)]  # fmt: skip
    (results / "recipes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in ours))
    return results


def test_a_weaker_checkpoint_is_beaten_and_an_equal_one_is_not(results: Path) -> None:
    path = results / "checkpoints.jsonl"
    add_checkpoint(path, theirs("weak", ranks_of(3.0, 7)))
    add_checkpoint(path, theirs("equal", ranks_of(0.5, 0)))
    text = block(Report(study_files(results)), results)
    rows = {row.split(" (")[0].strip("| "): row for row in text.splitlines() if "abc" in row}
    assert "\\* (p" in rows["weak"]
    assert "\\* (p" not in rows["equal"]
    assert ".5000/.2500" in rows["weak"]
    assert "By users only: theirs is one training each" in text
    assert text in str(page(Report(study_files(results)), results))


def test_page_and_block_test_the_users_once(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_checkpoint(results / "checkpoints.jsonl", theirs("weak", ranks_of(3.0, 7)))
    calls, ordinary = list[int](), checkpoints.bootstrap
    monkeypatch.setattr(
        checkpoints, "bootstrap", lambda *given: calls.append(1) or ordinary(*given)
    )
    report = Report(study_files(results))
    assert block(report, results) in str(page(report, results))
    assert len(calls) == 1


def test_of_two_seeds_no_difference_has_a_star(tmp_path: Path) -> None:
    add_checkpoint(tmp_path / "checkpoints.jsonl", theirs("weak", ranks_of(3.0, 7)))
    text = block(Report(study_files(with_seeds(tmp_path, 2))), tmp_path)
    assert "(p " in text
    assert "\\* (p" not in text


def test_a_checkpoint_ranked_under_one_rule_alone_stands_without_a_test(results: Path) -> None:
    path, ranks = results / "checkpoints.jsonl", ranks_of(3.0, 7)
    add_checkpoint(path, theirs("weak", ranks))
    about = json.loads(path.read_text())
    kept = ("checkpoint", "dataset", "data_sha256", "users", "source", "commit", "note", "official")
    alone = {key: about[key] for key in kept} | {"checkpoint": "alone"}
    metrics = {"ranked": {"hr@10": 0.2, "ndcg@10": 0.1}}
    add_checkpoint(path, checkpoint_line(alone, metrics, {"ranked": ranks}))
    text = block(Report(study_files(results)), results)
    rows = {row.split(" (")[0].strip("| "): row for row in text.splitlines() if "abc" in row}
    assert "\\* (p" in rows["weak"]
    assert ".2000/.1000" in rows["alone"]
    assert "(p " not in rows["alone"]


def test_a_checkpoint_on_other_data_is_refused(results: Path) -> None:
    add_checkpoint(results / "checkpoints.jsonl", theirs("x", ranks_of(1, 0), data_sha256="other"))
    with pytest.raises(UsageError, match="read other data as beauty"):
        block(Report(study_files(results)), results)


def test_ranks_that_do_not_give_the_metric_are_refused(results: Path) -> None:
    line = theirs("x", ranks_of(1, 0)) | {"test/excluded/ndcg@10": 0.9}
    add_checkpoint(results / "checkpoints.jsonl", line)
    with pytest.raises(UsageError, match="do not agree"):
        block(Report(study_files(results)), results)


def test_checkpoints_are_no_study(results: Path) -> None:
    add_checkpoint(results / "checkpoints.jsonl", theirs("x", ranks_of(1, 0)))
    assert list(study_files(results)) == ["recipes"]


def test_without_checkpoints_there_is_no_page(results: Path) -> None:
    assert page(Report(study_files(results)), results) is None


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ({"hits/excluded": "abc"}, "'hits/excluded' holds no ranks of 400 users"),
        ({"hits/excluded": 5}, "'hits/excluded' holds no ranks of 400 users"),
        ({"official": {"hr": 0.1}}, "'official' is missing or of another type"),
        ({"official": [1]}, "'official' is missing or of another type"),
        ({"users": -1}, "'users' is missing or of another type"),
    ],
)
def test_a_damaged_line_is_told_with_its_place(
    results: Path, damage: dict[str, Any], told: str
) -> None:
    line = theirs("x", ranks_of(1, 0)) | damage
    (results / "checkpoints.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(UsageError, match=f"^checkpoints.jsonl:1: {told}"):
        block(Report(study_files(results)), results)


def test_a_note_may_hold_a_line_separator(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.jsonl"
    add_checkpoint(path, theirs("weak", ranks_of(3.0, 7), note="a\u2028b"))
    assert [one.values["note"] for one in read_checkpoints(path)] == ["a\u2028b"]
