"""inspect: what it prints is what the model would be given."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.cli.inspect_views import titled
from experiments.cli.main import main
from experiments.config.presets import presets
from tests.experiments.small_data import (
    ATTRIBUTES,
    NEED_TIMES,
    SMALL,
    planted,
    write_text,
    write_timed_text,
)

LISTING = """
from dataclasses import dataclass
from models.tasks import HistoryState, Task

@dataclass(eq=False, repr=False)
class Listing(Task):
    def requests(self, step):
        return [HistoryState()]

TASKS = {"listing": Listing}
"""
USERS = [[1, 2, 3, 4, 5, 6], [7, 8, 9], [10, 11, 12, 13, 14], *planted()]


def inspected(
    data: Path, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0
) -> list[str]:
    if not (data / "planted.inter").exists():
        write_text(data, "planted", USERS)
    where = ["--dataset", "planted", "--data-dir", str(data), *SMALL]
    assert main(["inspect", *where, *arguments]) == code
    printed = capsys.readouterr()
    return (printed.err if code else printed.out).splitlines()


def test_the_history_and_what_follows_are_the_last_training_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = inspected(tmp_path, capsys, "--user", "1", "--model", "sasrec")
    assert lines[0].startswith("user 1 of planted")
    assert [line.split() for line in lines[1:5]] == [
        ["history", "what", "follows"], ["1", "4"], ["2"], ["3"],
    ]  # fmt: skip


def test_a_view_is_shown_under_its_task_and_operator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = ("--model=cl4srec", "--contrast.0.operators=[{operator: mask, ratio: 1.0}]")
    lines = inspected(tmp_path, capsys, *fields, "--contrast.0.draw=with_replacement")
    assert "augmented_views a mask" in lines[1]
    assert lines[2].split() == ["1", "4", "[mask]", "[mask]"]
    assert lines[-1].split() == ["augmented_views", "all", "views", "0.000", "mask", "0.000"]


def test_the_rate_of_views_that_equal_their_history_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep = "--contrast.0.operators=[{operator: crop, keep: 1.0}, {operator: mask, ratio: 0.0}]"
    lines = inspected(tmp_path, capsys, "--model=cl4srec", keep)
    assert lines[-1].split()[1:] == ["all", "views", "1.000", "crop", "1.000", "mask", "1.000"]


def test_a_state_that_needs_no_view_is_described(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = inspected(tmp_path, capsys, "--model=two-tower")
    assert "user_item users: the last state of the history itself" in "\n".join(lines)
    assert "user_item items: the embeddings of 1 items" in "\n".join(lines)


@pytest.mark.parametrize("preset", presets())
def test_every_preset_can_be_inspected(
    preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "planted_item2attributes.json").write_text(ATTRIBUTES)
    if preset in NEED_TIMES:
        write_timed_text(tmp_path, "planted", USERS)
    assert len(inspected(tmp_path, capsys, f"--model={preset}")) > 3


@pytest.mark.parametrize("preset", NEED_TIMES)
def test_a_preset_that_needs_times_says_so_in_one_line(
    preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = inspected(tmp_path, capsys, f"--model={preset}", code=2)
    assert "time_crop" in line
    assert "need the times of interactions" in line


def test_a_task_of_a_plug_in_that_answers_wrongly_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = tmp_path / "listing_plugin.py"
    plugin.write_text(LISTING)
    arguments = ("--plugin", str(plugin), "--model=sasrec", "--contrast=[listing]")
    *_, line = inspected(tmp_path, capsys, *arguments, code=2)
    assert "contrast: listing: `requests` has to return names" in line


def test_the_same_seed_shows_the_same_views(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = inspected(tmp_path, capsys, "--user=5")
    assert inspected(tmp_path, capsys, "--user=5") == first
    assert inspected(tmp_path, capsys, "--user=5", "--seed=9") != first


def test_what_cannot_be_shown_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = inspected(tmp_path, capsys, "--user=nobody", code=2)
    assert "--user nobody: is not in the training data" in line
    where = ["--dataset", "planted", "--data-dir", str(tmp_path)]
    assert main(["inspect", *where, "--model=popularity"]) == 2
    assert "inspect: popularity makes no views" in capsys.readouterr().err


def test_an_item_is_shown_with_its_title_cut_short():
    titles = {"50": "Star Wars (1977)", "172": "Empire Strikes Back, The (1980)"}
    assert titled("50", titles) == "50 Star Wars (1977)"
    assert titled("172", titles) == "172 Empire Strikes Bac.."
    assert titled("9", titles) == "9"
