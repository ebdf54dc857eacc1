"""What was recorded before a field existed, or by another study, is not trained again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from experiments.record.results_file import ResultsFile
from experiments.study.adopt import adopt, relabel, reuse_trials
from experiments.study.folder import StudyFolder, study_folder
from experiments.study.plan import about, plan
from experiments.study.spec import Study, read_study
from tests.experiments.small_data import planted, write_text
from tests.experiments.study.pretend import begin, pretend, worker
from tests.experiments.study.test_worker import TWO, a_worker, begun


def recorded(path: Path, lines: Iterable[dict[str, Any]]) -> ResultsFile:
    path.unlink()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return ResultsFile(path)


def test_a_line_without_a_field_of_today_is_that_fields_default(tmp_path):
    _, place = begun(tmp_path, TWO)
    a_worker(place).work()
    now = place.results.lines()
    before = {}
    for line in now.values():
        old = json.loads(json.dumps(line)) | {"trial": f"old {line['trial']}", "config_sha256": "0"}
        del old["config"]["train"]["precision"]
        before[old["trial"]] = old
    record = recorded(place.results.path, before.values())
    assert len(a_worker(place).open_trials()) == 2
    assert adopt(record, place.trials()) == 2
    assert record.lines() == now
    assert a_worker(place).open_trials() == []
    assert adopt(record, place.trials()) == 0


def test_lines_of_other_trials_and_of_fields_that_are_gone_stay_as_they_are(tmp_path):
    _, place = begun(tmp_path, TWO)
    a_worker(place).work()
    lines = [dict(line) for line in place.results.lines().values()]
    lines[0] |= {"trial": "gone", "config": {**lines[0]["config"], "no_longer": 1}}
    record = recorded(place.results.path, lines)
    text = record.path.read_text()
    write_text(tmp_path, "other", planted(seed=3))
    asked = Study("s", "?", ("sasrec",), ("other",))
    assert adopt(record, plan(asked, tmp_path)) == 0
    assert adopt(record, place.trials()) == 0
    assert record.path.read_text() == text


def another(tmp_path: Path, name: str, text: str = TWO) -> tuple[Study, StudyFolder]:
    """Another study that plans the same trials."""
    file = tmp_path / f"{name}.yaml"
    file.write_text(text.replace("# ", "# Another question: ", 1))
    study = read_study(file)
    place = study_folder(name, tmp_path / name)
    place.open(study, plan(study, tmp_path))
    return study, place


def test_what_another_study_has_trained_is_borrowed_under_the_own_name(tmp_path):
    _, first = begun(tmp_path, TWO)
    a_worker(first).work()
    study, second = another(tmp_path, "second")
    assert reuse_trials(second.results, study, second.trials(), [first.results.path]) == 2
    assert reuse_trials(second.results, study, second.trials(), [first.results.path]) == 0
    assert a_worker(second).open_trials() == []
    for trial, line in second.results.lines().items():
        trained = first.results.lines()[trial]
        assert (line["study"], line["of"], line["question"]) == ("second", "tiny", study.question)
        differing = {key for key in line if trained.get(key) != line[key]}
        assert differing == {"study", "of", "question"}
    third_study, third = another(tmp_path, "third")
    assert reuse_trials(third.results, third_study, third.trials(), [second.results.path]) == 2
    assert {line["of"] for line in third.results.lines().values()} == {"tiny"}


def test_only_finished_lines_of_planned_trials_are_borrowed(tmp_path):
    _, first = begun(tmp_path, TWO)
    a_worker(first).work()
    one, other = first.results.lines().values()
    failed = {key: one[key] for key in about("tiny", "?", first.trials()[0])}
    recorded(first.results.path, [{**failed, "status": "failed", "error": "it did"}, other])
    study, second = another(tmp_path, "second")
    planned_alone = [trial for trial in second.trials() if trial.id == other["trial"]]
    assert reuse_trials(second.results, study, planned_alone, [first.results.path]) == 1
    assert reuse_trials(second.results, study, second.trials(), [first.results.path]) == 0
    assert [*second.results.lines()] == [other["trial"]]


def test_a_line_of_another_version_of_a_plug_in_is_not_borrowed(tmp_path):
    _, first = begun(tmp_path, TWO)
    a_worker(first).work()
    one, other = first.results.lines().values()
    recorded(first.results.path, [{**one, "plugins": {"mine.py": "0" * 64}}, other])
    study, second = another(tmp_path, "second")
    assert reuse_trials(second.results, study, second.trials(), [first.results.path]) == 1
    assert [*second.results.lines()] == [other["trial"]]


def test_a_search_has_all_its_lines_brought_up_to_date(tmp_path):
    """What it has suggested is known from them alone, so none of them is planned."""
    _, place = begun(tmp_path, TWO)
    a_worker(place).work()
    now = place.results.lines()
    old = [{**line, "trial": f"old {trial}"} for trial, line in now.items()]
    record = recorded(place.results.path, old)
    assert adopt(record, []) == 0
    assert adopt(record, [], search=True) == 2
    assert record.lines() == now


ALONE = "# Does it help?\nbase: cl4srec\ndatasets: [planted]\nseeds: [0, 1]\nset: {epochs: 1}\n"


def grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> list[dict[str, Any]]:
    """The lines of ALONE, after it has become the study of this text."""
    write_text(tmp_path, "planted", planted())
    pretend(monkeypatch, lambda config: 0.5)
    place = begin(tmp_path / "out", tmp_path, ALONE)
    worker(place, tmp_path).work()
    sha256 = place.trials()[0].data_sha256
    lines = [{**line, "data_sha256": sha256} for line in place.results.lines().values()]
    record = recorded(place.results.path, lines)
    trials = begin(tmp_path / "out", tmp_path, text).trials()
    assert relabel(record, trials) == 2
    assert relabel(record, trials) == 0
    return list(record.lines().values())


@pytest.mark.parametrize("seeds", ["[0, 1, 2]", "[0]"])
def test_a_study_that_gets_a_baseline_has_it_in_the_lines_of_all_seeds(
    seeds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"{ALONE}baseline: sasrec\n".replace("[0, 1]", seeds)
    lines = grown(tmp_path, monkeypatch, text)
    assert [(line["seed"], line["baseline"]) for line in lines] == [(0, "sasrec"), (1, "sasrec")]


@pytest.mark.parametrize(
    ("part", "label", "axes"),
    [
        ("variants: {as it is: {}}", "cl4srec as it is", {"variant": "as it is"}),
        (
            "grid: {contrast.0.weight: [0.1, 0.5]}",
            "cl4srec weight=0.1",
            {"contrast.0.weight": 0.1},
        ),
    ],
)
def test_a_trial_that_a_study_names_otherwise_by_now_is_one_row_with_those_to_come(
    part: str, label: str, axes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = grown(tmp_path, monkeypatch, f"{ALONE}{part}\n")
    assert {line["variant"] for line in lines} == {label}
    assert all(line["axes"] == {"model": "cl4srec", **axes} for line in lines)
    assert [line["valid/excluded/ndcg@10"] for line in lines] == [0.5, 0.5]
