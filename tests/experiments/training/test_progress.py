"""What a person sees while a model is trained."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from experiments.evaluation.ranking import bar
from experiments.metric_names import VALID_NDCG10, metric_key
from experiments.terminal import coloured
from experiments.training.progress import epoch_line
from models.shard import Shard
from tests.experiments.small_data import FAST, planted, train, write_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_first_lines_tell_parameters_and_what_differs_from_the_preset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_text(tmp_path, "planted", planted(users=20))
    result = train(tmp_path, tmp_path / "run", "--model=sasrec", "--epochs=3", *FAST)
    printed = capsys.readouterr().out
    assert f"{result['parameters']:,} parameters" in printed
    assert "epochs 3 (200)" in printed
    assert "train.learning_rate 0.02 (0.001)" in printed
    assert "for the rest, 2 of 3 epochs" in printed


def test_an_epochs_line_adds_up_to_its_loss() -> None:
    record = {
        "epoch": 2, "seconds": 1.25, "train/loss": 5.2, "train/next_item": 5.0,
        "contrast/twins/loss": 2.0, "contrast/twins/weight": 0.1,
        VALID_NDCG10: 0.05, metric_key("valid", "excluded", "hr@10"): 0.1,
    }  # fmt: skip
    line = epoch_line(record, 9, improved=False)
    assert "epoch   2/9  loss 5.2000 (next_item 5.0000 + 0.1 twins 2.0000)" in line
    assert epoch_line(record, 9, improved=True).endswith("best")
    record[metric_key("valid", "ranked", "mrr@10")] = 0.0321
    assert "ranked MRR@10 0.0321" in epoch_line(record, 9, True, "ranked/mrr@10")


def test_a_run_without_tasks_names_its_loss_alone() -> None:
    line = epoch_line(
        {"epoch": 2, "seconds": 1.25, "train/loss": 5.2, "train/next_item": 5.2}, 9, True
    )
    assert "(" not in line


def test_the_bar_shows_the_epoch_of_how_many_and_the_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path, "planted", planted(users=20))
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        patch.setattr("tqdm.std.tqdm.monitor_interval", 0)
        train(tmp_path, tmp_path / "run", "--model=cl4srec", "--epochs=2", *FAST)
    shown = terminal.getvalue()
    assert "epoch 2 of 2" in shown
    assert "epoch 1 of 2" in shown


def test_of_several_processes_only_the_first_draws_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)
    assert [bar(range(3), Shard(rank, 2)).disable for rank in (0, 1)] == [False, True]


@pytest.mark.parametrize(
    ("stream", "variables", "shown"),
    [
        (Terminal(), {}, True),
        (io.StringIO(), {}, False),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
    ],
)
def test_only_a_terminal_that_wants_colour_gets_it(stream, variables, shown, monkeypatch) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert coloured("best", "green", stream) == ("\033[32mbest\033[0m" if shown else "best")
