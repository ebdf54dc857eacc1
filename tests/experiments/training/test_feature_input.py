"""A run whose encoder reads item features: from a file, in training, evaluation and export."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.cli.main import main
from tests.experiments.small_data import planted, read_json, train, write_text

FIELDS = ("--model=sasrec-features", "--epochs=2", "--encoder.dim=8", "--track.mode=disabled")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Attributes next to the data, with none for some items."""
    path = write_text(tmp_path, "planted", planted())
    items = sorted(
        {int(item) for line in path.read_text().splitlines() for item in line.split()[1:]}
    )
    attributes = {str(item): [item % 3, 10 + item % 2] for item in items[2:]}
    (tmp_path / "planted_item2attributes.json").write_text(json.dumps(attributes))
    return tmp_path


def test_a_run_reads_what_lies_next_to_the_data_and_says_which_it_was(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = data / "run"
    train(data, out, *FIELDS)
    result = read_json(out / "result.json")
    assert list(result["features_sha256"]) == ["features of the input"]
    capsys.readouterr()
    assert main(["evaluate", str(out), "--json"]) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again["test"] == result["metrics"]["test"]
    assert main(["recommend", str(out), "--history", "1 2", "-k", "2"]) == 0
    assert main(["export", str(out), "--what", "users", "--to", str(data / "users.npy")]) == 0
    assert np.isfinite(np.load(data / "users.npy")).all()
    (data / "planted_item2attributes.json").write_text('{"1": [1], "2": [2]}')
    capsys.readouterr()
    assert main(["evaluate", str(out)]) == 2
    assert "the run was trained with other item features" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("none.npy", "features.source: there is no file none.npy"),
        ("short.npy", "short.npy: 2 rows for "),
        ("planted.txt", "features.source: "),
    ],
)
def test_features_that_do_not_fit_are_one_line(
    data: Path, source: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(data / "short.npy", np.ones((2, 3), np.float32))
    arguments = ["train", "--dataset=planted", f"--data-dir={data}", f"--out={data / 'run'}"]
    assert main([*arguments, *FIELDS, f"--features.source={source}"]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (data / "run").exists()
