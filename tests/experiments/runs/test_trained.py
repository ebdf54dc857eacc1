"""A run in Python: trained, loaded, and asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments import TrainedRun, load_run, train
from experiments.cli.main import main
from experiments.config.run_config import config_tree
from experiments.errors import UsageError
from experiments.runs.training import override_pairs
from experiments.storage.files import REPOSITORY
from tests.experiments.small_data import FAST, fields_of, planted, write_text


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    folder = tmp_path_factory.mktemp("runs")
    write_text(folder, "Tiny", planted())
    return train(
        {"model": "sasrec", "dataset": "Tiny", "data_dir": folder, **fields_of(FAST)},
        out=folder / "run", verbose=False, epochs=3,
    )  # fmt: skip


def test_a_trained_run_and_the_same_run_loaded_agree(run: TrainedRun) -> None:
    again = load_run(run.folder.path)
    assert again.metrics == run.metrics
    assert config_tree(again.config) == config_tree(run.config)
    np.testing.assert_array_equal(again.item_embeddings(), run.item_embeddings())


def test_what_python_trains_is_what_the_command_line_trains(run: TrainedRun, tmp_path) -> None:
    data = run.config.data_dir
    arguments = ["train", "--model=sasrec", "--dataset=Tiny", f"--data-dir={data}", "--epochs=3"]
    assert main([*arguments, *FAST, f"--out={tmp_path / 'run'}"]) == 0
    there = load_run(tmp_path / "run")
    assert there.metrics == run.metrics
    assert there.result["config_sha256"] == run.result["config_sha256"]


def test_recommendations_are_the_best_scores_without_what_was_seen(run: TrainedRun) -> None:
    histories = [["3", "4", "5"], ["9"]]
    scores = pd.DataFrame(run.scores(histories), columns=run.item_ids)
    best = run.recommend(histories, k=4)
    for place, history in enumerate(histories):
        expected = scores.loc[place].drop(history).nlargest(4)
        rows = best[best["history"] == place]
        assert list(rows["item"]) == list(expected.index)
        assert list(rows["rank"]) == [1, 2, 3, 4]
        np.testing.assert_allclose(rows["score"], expected, rtol=1e-6)


def test_seen_items_compete_where_they_are_kept(run: TrainedRun) -> None:
    everything = run.recommend([["3", "4"]], k=1000, seen="keep")
    assert set(everything["item"]) == set(run.item_ids)
    assert len(run.recommend([["3", "4"]], k=1000)) == len(run.item_ids) - 2


def test_a_score_is_the_dot_product_of_state_and_embedding(run: TrainedRun) -> None:
    histories = [["3", "4", "5"], ["9"]]
    product = run.encode(histories) @ run.item_embeddings().T
    np.testing.assert_allclose(product, run.scores(histories), rtol=1e-5, atol=1e-6)


def test_a_users_row_is_the_state_after_what_the_split_reads(run: TrainedRun) -> None:
    first = planted()[0]
    names = [str(item) for item in first]
    for split, left_out in (("all", 0), ("test", 1), ("valid", 2)):
        state = run.encode([names[: len(names) - left_out]])[0]
        np.testing.assert_allclose(run.user_embeddings(split)[0], state, atol=1e-6)  # type: ignore[arg-type]


def test_an_item_is_not_similar_to_itself_but_to_the_highest_cosine(run: TrainedRun) -> None:
    similar = run.similar_items("7", k=3)
    vectors = run.item_embeddings()
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = pd.Series(vectors @ vectors[list(run.item_ids).index("7")], index=run.item_ids)
    assert list(similar["item"]) == list(cosine.drop("7").nlargest(3).index)


def test_history_is_a_row_an_epoch_and_ranks_a_row_a_user(run: TrainedRun) -> None:
    assert list(run.history.index) == [1, 2, 3]
    assert run.history["valid/excluded/ndcg@10"].max() == pytest.approx(
        run.metrics["valid"]["excluded"]["ndcg@10"]
    )
    ranks = run.ranks["excluded"]
    assert list(ranks.index) == list(run.user_ids)
    assert float((ranks <= 10).mean()) == pytest.approx(run.metrics["test"]["excluded"]["hr@10"])


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda run: run.recommend(["3", "4"]), "a list of histories"),
        (lambda run: run.recommend([[]]), "empty"),
        (lambda run: run.recommend([["no such item"]]), "no such item"),
        (lambda run: run.recommend([["3"]], k=0), "at least 1"),
        (lambda run: run.recommend([["3"]], seen="dropp"), "did you mean 'drop'"),
        (lambda run: run.similar_items(3), "ids are texts"),
        (lambda run: run.similar_items("3", -1), "at least 1"),
        (lambda run: run.recommend([["3"]], k="5"), "-k must be a whole number .* got '5'"),
        (lambda run: run.similar_items("3", 2.5), "-k must be a whole number .* got 2.5"),
        (lambda _: train(5), "config: give fields by name, .* got a int"),
        (lambda _: train(model="sasrec", on_epoch=3), "on_epoch: has to be a function, got 3"),
        (lambda _: train(plugins="no.py"), "--plugin no.py: there is no such file"),
        (lambda _: train(plugins=[Path("no.py")]), "--plugin no.py: there is no such file"),
        (lambda run: run.user_embeddings("tests"), "did you mean 'test'"),
    ],
)  # fmt: skip
def test_a_question_without_an_answer_is_refused(ask: Any, told: str, run: TrainedRun) -> None:
    with pytest.raises(UsageError, match=told):
        ask(run)


def test_a_baseline_scores_but_has_no_embeddings(run: TrainedRun, tmp_path: Path) -> None:
    data = run.config.data_dir
    fields = {"model": "popularity", "dataset": "Tiny", "data_dir": data, "track.mode": "disabled"}
    popular = train(fields, out=tmp_path / "run", verbose=False)
    assert len(popular.recommend([["3"]], k=5)) == 5
    with pytest.raises(UsageError, match="no embeddings"):
        popular.item_embeddings()
    assert popular.history.empty


def test_an_empty_mapping_is_refused_as_on_the_command_line(
    run: TrainedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = str(run.config.data_dir), tmp_path / "run"
    fields = {"model": "cl4srec", "dataset": "Tiny", "data_dir": data, **fields_of(FAST)}
    with pytest.raises(UsageError) as error:
        train(fields, out=out, verbose=False, epochs=1, contrast={})
    words = ["--model=cl4srec", "--dataset=Tiny", f"--data-dir={data}", "--contrast={}"]
    assert main(["train", *words, f"--out={out}"]) == 2
    assert str(error.value) in capsys.readouterr().err


def test_numbers_of_numpy_are_numbers() -> None:
    """As a sweep in a loop gives them."""
    given = {"train.learning_rate": np.float64(0.5), "seed": np.int64(3), "a": np.array([1, 2])}
    found = dict(override_pairs({**given, "b": (np.float32(0.5), "x")}))
    assert found == {"train.learning_rate": 0.5, "seed": 3, "a": [1, 2], "b": [0.5, "x"]}
    assert [type(found[key]) for key in ("train.learning_rate", "seed")] == [float, int]


def test_a_callback_sees_every_epoch_and_its_error_ends_the_training(tmp_path: Path) -> None:
    write_text(tmp_path, "Tiny", planted())
    seen: list[float] = []

    def stop_after_two(record: dict[str, float]) -> None:
        if record["epoch"] > 2:
            raise InterruptedError("enough")
        seen.append(record["train/loss"])

    fields = {"model": "sasrec", "dataset": "Tiny", "data_dir": tmp_path, **fields_of(FAST)}
    with pytest.raises(InterruptedError):
        train(fields, out=tmp_path / "run", on_epoch=stop_after_two, verbose=False, epochs=4)
    assert len(seen) == 2
    assert main(["train", f"--out={tmp_path / 'run'}", "--resume"]) == 0
    assert len(load_run(tmp_path / "run").history) == 4


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no config\.yaml"):
        load_run(tmp_path)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, experiments; print({'torch', 'pandas', 'numpy'} & set(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "set()\n"
