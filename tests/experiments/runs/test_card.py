"""A model as a folder to publish."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from safetensors.torch import load_file

from experiments.cli.main import main
from experiments.storage.run_folder import RunFolder
from tests.experiments.small_data import FAST, planted, read_json, train, write_text


def test_the_card_tells_data_metrics_and_command_and_nothing_of_users(
    tmp_path: Path, capsys
) -> None:
    write_text(tmp_path, "planted", planted())
    run, to = tmp_path / "run", tmp_path / "card"
    result = train(tmp_path, run, "--model=cl4srec", "--epochs=1", "--seed=7", *FAST)
    assert main(["export", str(run), "--what=card", f"--to={to}"]) == 0
    names = {"README.md", "model.safetensors", "config.json", "config.yaml", "items.txt"}
    assert {path.name for path in to.iterdir()} == names

    text = (to / "README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(text.split("---\n")[1])
    measured = head["model-index"][0]["results"][0]["metrics"]
    told = {entry["name"]: entry["value"] for entry in measured}
    ndcg = result["metrics"]["test"]["excluded"]["ndcg@10"]
    assert told["NDCG@10 (test, seen items excluded)"] == ndcg
    assert f"{ndcg:.4f}" in text
    assert result["data_sha256"] in text
    for words in ("# cl4srec on planted", "Seed 7, best epoch 1 of 1", "Encoder: self_attention",
                  "test was looked at once", "contrastive-learning"):  # fmt: skip
        assert words in text

    items = (to / "items.txt").read_text(encoding="utf-8").splitlines()
    table = load_file(to / "model.safetensors")["item_embedding.weight"]
    assert len(table) == len(items) + 2
    assert read_json(to / "config.json") == yaml.safe_load((to / "config.yaml").read_text())
    assert str(tmp_path) not in "".join(
        (to / name).read_text(encoding="utf-8") for name in names - {"model.safetensors"}
    )
    assert json.loads((to / "config.json").read_text())["data_dir"] is None

    assert main(["export", str(run), "--what=card", f"--to={to}"]) == 0  # the same again
    (to / "README.md").write_text("mine")
    assert main(["export", str(run), "--what=card", f"--to={to}"]) == 2
    assert (to / "README.md").read_text() == "mine"


def card_of(run: Path, to: Path) -> str:
    assert main(["export", str(run), "--what=card", f"--to={to}"]) == 0
    return (to / "README.md").read_text(encoding="utf-8")


def test_the_printed_command_repeats_a_run_without_the_tasks_of_its_preset(tmp_path: Path) -> None:
    write_text(tmp_path, "planted", planted())
    fields = ("--model=cl4srec", "--epochs=1", "--contrast=[]", "--evaluate.test=false", *FAST)
    first = train(tmp_path, tmp_path / "run", *fields)
    text = card_of(tmp_path / "run", tmp_path / "card")
    (command,) = (line for line in text.splitlines() if line.startswith("python run.py"))
    words = command.split()[2:]
    words[words.index("config.yaml")] = str(tmp_path / "card" / "config.yaml")
    assert main([*words, f"--data-dir={tmp_path}", f"--out={tmp_path / 'again'}"]) == 0
    again = read_json(tmp_path / "again" / "result.json")
    assert again["metrics"] == first["metrics"]
    assert again["config_sha256"] == first["config_sha256"]
    assert "test was not looked at" in text
    assert "contrastive-learning" not in text


def test_a_baselines_card_has_no_epochs_parameters_encoder_or_table(tmp_path: Path) -> None:
    write_text(tmp_path, "planted", planted())
    train(tmp_path, tmp_path / "run", "--model=popularity", "--track.mode=disabled")
    text = card_of(tmp_path / "run", tmp_path / "card")
    assert "it has no parameters and is not trained" in text
    for words in (
        "at most",
        "Trained and",
        "one seed",
        "Encoder",
        "best epoch",
        "0 of 0",
        "0 parameters",
        "embedding table",
    ):
        assert words not in text


def test_a_run_that_is_being_trained_on_has_no_card(tmp_path: Path, capsys) -> None:
    write_text(tmp_path, "planted", planted())
    train(tmp_path, tmp_path / "run", "--model=sasrec", "--epochs=1", *FAST)
    folder = RunFolder(tmp_path / "run")
    folder.write_config(folder.read_config() | {"epochs": 9})  # as --resume --epochs 9 begins
    assert main(["export", str(folder.path), "--what=card", f"--to={tmp_path / 'card'}"]) == 2
    assert "no result yet" in capsys.readouterr().err
