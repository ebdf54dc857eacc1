"""`explain` says of every field what it means, what it may be, and where that is from."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.cli.explain import every_field, explain
from experiments.cli.main import main
from experiments.config.plugin import load_plugins
from experiments.config.run_config import config_tree
from experiments.errors import UsageError
from tests.experiments.config.test_config import configured, leaves


def test_every_field_is_explained() -> None:
    for field in every_field():
        assert field.meaning, field.key
        text = "\n".join(explain(field.key))
        assert f"  default  {field.default}"[:60] in text
        assert "  values   " in text


def test_every_field_of_a_configuration_is_known() -> None:
    for key, _ in leaves(config_tree(configured())):
        if not key.split(".")[-1].isdigit() and not key.startswith("recbole"):
            assert explain(key)


def test_a_field_is_found_by_its_whole_key_or_by_its_last_part() -> None:
    whole = "\n".join(explain("--contrast.mine.temperature"))
    assert whole.startswith("contrast.N.temperature (every contrast)\n")
    titles = [line for line in explain("temperature") if line.endswith(")") and line[0] != " "]
    assert "contrast.N.temperature (every contrast)" in titles
    assert "next_item.temperature (loss: cross_entropy)" in titles


def test_a_kind_is_explained_with_its_paper_file_and_fields() -> None:
    text = "\n".join(explain("bsarec"))
    for part in ("kind: bsarec", "arXiv:2312.10325", "models/encoders/bsarec.py", "alpha=0.7"):
        assert part in text


@pytest.mark.parametrize(
    ("name", "folder", "parts"),
    [
        ("cl4srec", "presets", ("arXiv:2010.14395", "weight: 0.1")),
        ("published/iclrec", "presets", ("arXiv:2202.02519", "# Departs:")),
        ("ml-100k", "datasets", ("interactions: 100000",)),
    ],
)
def test_a_preset_or_a_data_set_is_its_file(name: str, folder: str, parts: tuple[str, ...]) -> None:
    text = "\n".join(explain(name))
    assert all(part in text for part in (f"experiments/{folder}/{name}.yaml", *parts))


def test_a_preset_of_a_plug_in_is_its_fields(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text("PRESETS = {'my_preset': {'encoder': {'dim': 8}}}\n")
    load_plugins([str(plugin)])
    assert explain("my_preset")[:3] == ["preset: my_preset", "  encoder:", "    dim: 8"]


def test_a_data_set_of_a_plug_in_is_its_fields(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "DATASETS = {'mine': {'file': 'a.txt', 'examples': 'windows', 'max_length': 9}}\n"
    )
    load_plugins([str(plugin)])
    assert explain("mine")[:2] == ["data set: mine", "  file: a.txt"]


def test_a_data_set_of_a_family_is_the_familys_file() -> None:
    text = "\n".join(explain("amazon-2014-Beauty"))
    assert "data set: amazon-2014-Beauty" in text
    assert "experiments/datasets/amazon-2014-CATEGORY.yaml" in text


def test_an_unknown_one_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown 'train.clipnorm' \(did you mean 'train.clip_n"):
        explain("train.clipnorm")


def test_the_commands_print_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "train.clip_norm"]) == 0
    assert "L2 norm" in capsys.readouterr().out
    assert main(["list", "--fields"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("  train.") for line in listed) > 10
    assert all(
        line.endswith(".") for line in listed if line.startswith("  train.")
    )  # whole sentences
    assert main(["explain", "nothing-at-all"]) == 2
