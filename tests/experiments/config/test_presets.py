"""Every preset trains on real data, and its record says what each of its tasks did."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from experiments.cli.main import main
from experiments.config.presets import presets, published_presets
from experiments.config.resolve import resolve
from experiments.config.run_config import config_from_tree, config_tree
from experiments.data.catalogue import locate
from experiments.storage.yaml_file import read_tree
from tests.experiments.small_data import (
    RUN_FILES,
    planted,
    read_history,
    read_json,
    train,
    write_text,
)
from tests.experiments.tracking.wandb_reader import read_offline_run

NARROW = (
    "--encoder.dim=8",
    "--encoder.inner=8",
    "--encoder.layers=1",
    "--encoder.max_length=10",
    "--train.batch_size=512",
    "--epochs=1",
)


def tasks_of(preset: str) -> list[str]:
    return [task.name for task in resolve(None, [("model", preset)])[0].contrast]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every eighth user of MovieLens 100K, with the attributes of all films, as arguments."""
    folder = tmp_path_factory.mktemp("films")
    whole = locate("ml-100k", None).path
    choices = pd.read_csv(whole, sep="\t", dtype=str)
    some = choices[choices["user_id:token"].astype(int) % 8 == 0]
    some.to_csv(folder / "films.inter", sep="\t", index=False)
    (folder / "films.item").write_bytes(whole.with_suffix(".item").read_bytes())
    return ["--dataset=films", f"--data-dir={folder}"]


@pytest.mark.slow
@pytest.mark.parametrize("preset", presets())
def test_a_preset_trains_on_real_data_and_logs_every_task(
    preset: str, films: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = ["train", "--model", preset, "--out", str(out), "--track.mode=offline", *films]
    assert main([*command, *NARROW]) == 0
    assert {file.name for file in out.iterdir()} >= set(RUN_FILES)
    assert read_json(out / "result.json")["model"] == preset
    (record,) = read_history(out)
    logged = [line for line in read_offline_run(out)[1] if "epoch" in line]
    for task in tasks_of(preset):
        for name in ("loss", "weight", "accuracy", "gradient_norm"):
            key = f"contrast/{task}/{name}"
            assert key in record or name == "gradient_norm"
            shown = key.replace("contrast/", "contrast_", 1)  # at W&B, a section a task
            assert logged[0].get(shown) == record.get(key)
    assert record["valid/excluded/ndcg@10"] > 0


@pytest.mark.parametrize("preset", [*presets(), *published_presets()])
def test_a_preset_names_its_paper_and_every_departure(preset: str) -> None:
    path = Path(__file__).parents[3] / "experiments" / "presets" / f"{preset}.yaml"
    comment = [line for line in path.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(comment)
    assert "# Paper:" in text
    assert "# Departs:" in text or "# Paper:    none" in text
    assert comment[0].count(":") >= 1


@pytest.mark.filterwarnings("ignore:clusters. ")  # fewer users than there may be of them
@pytest.mark.parametrize("preset", published_presets())
def test_a_papers_own_settings_train_and_are_none_of_the_data_set(preset: str, tmp_path) -> None:
    write_text(tmp_path, "planted", planted())
    write_text(tmp_path, "tuned", planted())
    defaults = read_tree(Path(__file__).parents[3] / "experiments/datasets/beauty.yaml")["defaults"]
    of_data = {"file": "tuned.txt", "max_length": 200, "defaults": defaults}
    (tmp_path / "tuned.yaml").write_text(json.dumps(of_data))
    tuned, plain = (
        config_tree(
            resolve(None, [("model", preset), ("dataset", name), ("data_dir", str(tmp_path))])[0]
        )
        for name in ("tuned", "planted")
    )
    assert tuned == {**plain, "dataset": "tuned"}
    out = tmp_path / "run"
    result = train(tmp_path, out, "--model", preset, "--track.mode=disabled", *NARROW)
    (record,) = read_history(out)
    assert result["model"] == preset
    assert all(record[f"contrast/{task}/gradient_norm"] > 0 for task in tasks_of(preset))


@pytest.mark.filterwarnings("ignore:clusters. ")  # fewer users than there may be of them
def test_several_tasks_share_a_preset(tmp_path: Path) -> None:
    tasks = "[augmented_views, {task: same_target, anchor: own}, {task: intents, clusters: [8]}]"
    write_text(tmp_path, "planted", planted())
    out = tmp_path / "run"
    fields = ("--model=sasrec", f"--contrast={tasks}", "--track.mode=disabled")
    train(tmp_path, out, *fields, *NARROW)
    (record,) = read_history(out)
    for task in ("augmented_views", "same_target", "intents"):
        assert record[f"contrast/{task}/gradient_norm"] > 0
    assert len(config_from_tree(read_tree(out / "config.yaml")).contrast) == 3
