"""A line of the record holds what a run's folder says, and the ranks that paired tests need."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.record.from_run import failed_line, finished_line, pruned_line
from experiments.record.hits import decode_hits, encode_hits
from experiments.storage.run_folder import RunFolder
from tests.experiments.small_data import FAST, planted, read_json, train, write_text

ABOUT = {
    "study": "temperature",
    "question": "How sensitive is NDCG@10 to the InfoNCE temperature?",
    "trial": "c0ffee",
    "variant": "cl4srec temperature=0.2",
    "axes": {"model": "cl4srec", "contrast.0.temperature": 0.2},
    "baseline": "sasrec",
    "command": "run.py train --model cl4srec --dataset planted --contrast.0.temperature=0.2",
}
COPIED = (
    "dataset", "data_sha256", "features_sha256", "model", "seed", "config_sha256", "commit",
    "dirty", "device", "best_epoch", "epochs", "parameters", "targets_per_second", "peak_rss_mb",
    "users", "processes",
)  # fmt: skip
ranks = st.lists(st.one_of(st.integers(2, 200).map(lambda n: n / 2), st.just(math.inf)), max_size=9)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("finished")
    write_text(folder, "planted", planted())
    train(folder, folder / "run", *FAST, "--epochs=3", "--train.evaluate_every=2")
    return RunFolder(folder / "run")


@given(ranks=ranks)
def test_hits_come_back_as_they_were_and_are_infinite_beyond_20(ranks: list[float]) -> None:
    expected = [rank if rank <= 20 else math.inf for rank in ranks]
    assert decode_hits(encode_hits(np.array(ranks, float)), len(ranks)).tolist() == expected


def test_ties_keep_their_half_and_20_is_the_last() -> None:
    text = encode_hits(np.array([1, 1.5, 19.5, 20, 20.5, 21, 1000, math.inf]))
    inf = math.inf
    assert decode_hits(text, 8).tolist() == [1, 1.5, 19.5, 20, inf, inf, inf, inf]


def test_hits_all_beyond_20_are_a_few_characters() -> None:
    text = encode_hits(np.full(20_000, 21.0))
    assert len(text) < 100
    assert not np.isfinite(decode_hits(text, 20_000)).any()


@pytest.mark.parametrize("text", [encode_hits(np.ones(4)), "no hits", "00000"])
def test_hits_of_other_users_or_none_at_all_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hits"):
        decode_hits(text, 5)


def test_a_finished_line_says_what_the_run_recorded(run: RunFolder) -> None:
    line, result = finished_line(run, ABOUT), read_json(run.result)
    assert {key: line[key] for key in ABOUT} == ABOUT
    assert line["status"] == "finished"
    assert {key: line[key] for key in COPIED} == {key: result[key] for key in COPIED}
    assert line["versions/torch"] == result["versions"]["torch"]
    assert line["seconds/total"] == result["seconds"]["total"]
    assert line["targets_seen/test"] == result["targets_seen"]["test"]
    for split in ("valid", "test"):
        for rule in ("excluded", "ranked"):
            for name, value in result["metrics"][split][rule].items():
                assert line[f"{split}/{rule}/{name}"] == value
    assert line["finished"].endswith("+00:00")
    assert json.loads(json.dumps(line)) == line


def test_the_hits_of_a_line_give_its_test_metrics(run: RunFolder) -> None:
    line = finished_line(run, ABOUT)
    for rule in ("excluded", "ranked"):
        found = decode_hits(line[f"hits/{rule}"], line["users"])
        gain = np.where(found <= 10, 1 / np.log2(1 + found), 0)
        assert gain.mean() == pytest.approx(line[f"test/{rule}/ndcg@10"], rel=1e-12)
        assert (found <= 20).mean() == pytest.approx(line[f"test/{rule}/hr@20"], rel=1e-12)


def test_curves_have_a_point_for_each_validated_epoch(run: RunFolder) -> None:
    line, history = finished_line(run, ABOUT), run.read_history()
    assert line["curve/epoch"] == [2, 3]  # of three, every second and the last
    seconds = [history[0]["seconds"] + history[1]["seconds"], sum(r["seconds"] for r in history)]
    assert line["curve/seconds"] == pytest.approx(seconds, rel=1e-5)
    for name in ("train/loss", "valid/excluded/ndcg@10"):
        expected = [record[name] for record in history[1:]]
        assert line[f"curve/{name}"] == pytest.approx(expected, rel=1e-5)
        assert all(float(f"{value:.6g}") == value for value in line[f"curve/{name}"])


def test_the_best_epochs_diagnostics_are_kept_without_its_validation(run: RunFolder) -> None:
    line = finished_line(run, ABOUT)
    (best,) = (r for r in run.read_history() if r["epoch"] == line["best_epoch"])
    name = "contrast/augmented_views/alignment"
    assert line[f"best/{name}"] == pytest.approx(best[name], rel=1e-5)
    assert line["best/train/loss"] == pytest.approx(best["train/loss"], rel=1e-5)
    others = {"best/epoch", "best/step", "best/seconds"}
    assert not [key for key in line if key in others or key.startswith("best/valid")]


def test_the_groups_of_a_line_hold_every_test_user(run: RunFolder) -> None:
    line = finished_line(run, ABOUT)
    for name in ("length", "popularity"):
        rows = line[f"groups/{name}"]
        assert sum(row["users"] for row in rows) == line["users"]
        hits = sum(row["users"] * row["ranked/hr@10"] for row in rows)
        assert hits / line["users"] == pytest.approx(line["test/ranked/hr@10"])


def test_the_configuration_of_a_line_has_no_place_in_it(run: RunFolder) -> None:
    config = finished_line(run, ABOUT)["config"]
    written = run.read_config()
    del written["data_dir"], written["track"], written["init_from"]["run"]
    assert config == written
    assert config["train"]["learning_rate"] == 0.02


def test_a_pruned_line_knows_validation_and_nothing_of_test(run: RunFolder) -> None:
    pruned, finished = pruned_line(run, ABOUT), finished_line(run, ABOUT)
    assert pruned["status"] == "pruned"
    same = [key for key in pruned if key not in ("status", "finished", "seconds/train")]
    assert {key: pruned[key] for key in same} == {key: finished[key] for key in same}
    assert {"valid/excluded/ndcg@10", "data_sha256", "curve/epoch", "config"} <= pruned.keys()
    assert not [key for key in pruned if "test" in key or key.startswith(("hits", "groups"))]


def test_a_failed_line_has_its_error_in_one_line() -> None:
    error = FloatingPointError("the loss is nan\n in epoch 1")
    line = failed_line(ABOUT, error)
    assert line["error"] == "FloatingPointError: the loss is nan in epoch 1"
    assert line["status"] == "failed"
    assert failed_line(ABOUT, "a\nb")["error"] == "a b"


def test_a_run_without_a_result_is_not_finished(tmp_path) -> None:
    with pytest.raises(ValueError, match="not finished"):
        finished_line(RunFolder(tmp_path), ABOUT)
    with pytest.raises(ValueError, match="no epoch was validated"):
        pruned_line(RunFolder(tmp_path), ABOUT)
