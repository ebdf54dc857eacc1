"""A search finds better fields, spends exactly its trials, and does not mind being killed."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from experiments.cli.main import main
from experiments.config.run_config import Config
from experiments.errors import RunFailed, UsageError
from experiments.record.line import Values
from experiments.storage.hashing import file_sha256
from experiments.storage.run_folder import RunFolder
from experiments.study import searching
from experiments.study.command import finish
from experiments.study.folder import StudyFolder, study_folder
from experiments.study.outlook import left
from experiments.study.plan import plan
from experiments.study.search import plan_searches
from experiments.study.searching import searches_in
from experiments.study.spec import read_study
from experiments.study.worker import Worker
from tests.experiments.small_data import FAST, planted, write_text
from tests.experiments.study.pretend import begin, pretend, worker

STUDY = """# Which learning rate?
base: sasrec
datasets: [planted]
seeds: [0, 1]
set: {epochs: 6}
search:
  trials: TRIALS
  pruner: PRUNER
  ranges:
    train.learning_rate: {low: 1.0e-4, high: 1.0, log: true}
    encoder.dropout: {low: 0.1, high: 0.6, step: 0.1}
"""


def study(trials: int, pruner: str = "none") -> str:
    return STUDY.replace("TRIALS", str(trials)).replace("PRUNER", pruner)


def score(config: Config) -> float:
    """Best at a learning rate of 0.01."""
    return 1 / (1 + (math.log10(config.train.learning_rate) + 2) ** 2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_text(folder, "planted", planted())
    return folder


def searched(folder: StudyFolder) -> list[Values]:
    """The lines of the search, by place."""
    lines = [line for line in folder.results.lines().values() if " search " in line["variant"]]
    return sorted(lines, key=lambda line: int(line["variant"].split()[-1]))


def best(folder: StudyFolder) -> list[Values]:
    return [line for line in folder.results.lines().values() if line["variant"] == "sasrec"]


def tried(folder: StudyFolder) -> list[tuple[float, float, str]]:
    names = ("train.learning_rate", "encoder.dropout")
    return [(*(line["axes"][name] for name in names), line["status"]) for line in searched(folder)]


def test_optunas_own_tools_can_read_a_search_that_is_over(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, score)
    folder = begin(tmp_path, data, study(5))
    worker(folder, data).work()
    (one,) = searches_in(folder, data)
    for _ in range(2):  # written anew, not twice
        journal = one.write_journal()
    storage = JournalStorage(JournalFileBackend(str(journal)))
    loaded = optuna.load_study(study_name="search", storage=storage)
    values = [line["valid/excluded/ndcg@10"] for line in searched(folder)]
    assert [trial.value for trial in loaded.trials] == values


def test_each_line_counts_the_trials_that_a_search_has_not_suggested_yet(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, score)
    folder, said = begin(tmp_path, data, study(3)), list[str]()
    one = worker(folder, data)
    monkeypatch.setattr(one, "say", said.append)
    one.work()
    counted = [text.partition("[")[2].partition(",")[0].rstrip("]") for text in said]
    assert counted == [f"{number} of 5" for number in range(1, 6)]


def test_a_search_ends_near_the_best_there_is(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, score)
    folder = begin(tmp_path, data, study(30))
    worker(folder, data).work()
    assert 0.008 < best(folder)[0]["axes"]["train.learning_rate"] < 0.0125


def test_a_search_is_its_trials_without_test_and_the_best_on_all_seeds_with_test(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, score)
    folder = begin(tmp_path, data, study(6))
    worker(folder, data).work()
    assert len(folder.results.lines()) == 6 + 2
    assert [line["variant"] for line in searched(folder)] == [
        f"sasrec search {n}" for n in range(6)
    ]
    assert {line["seed"] for line in searched(folder)} == {0}
    assert not any("test/excluded/ndcg@10" in line for line in searched(folder))
    winner = max(searched(folder), key=lambda line: line["valid/excluded/ndcg@10"])
    for seed, line in enumerate(best(folder)):
        assert line["seed"] == seed
        assert line["axes"] == winner["axes"]
        assert "test/excluded/ndcg@10" in line
    assert left([], searches_in(folder, data), folder.results.lines()) == []


def test_drawn_numbers_can_be_typed_again(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, score)
    folder = begin(tmp_path, data, study(12))
    worker(folder, data).work()
    for rate, dropout, _ in tried(folder):
        assert rate == float(f"{rate:.4g}")
        assert dropout in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
        assert f"--train.learning_rate={rate}" in str(
            [line["command"] for line in searched(folder)]
        )


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["none", "median", "hyperband"])
def test_one_worker_repeats_a_search_and_so_do_those_that_are_killed(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, pruner: str
) -> None:
    pretend(monkeypatch, score)
    whole = begin(tmp_path / "whole", data, study(12, pruner))
    worker(whole, data).work()

    deaths: set[tuple[str, float]] = set()

    def die_once(where: str, epoch: float) -> None:
        if (where, epoch) not in deaths:
            deaths.add((where, epoch))
            raise KeyboardInterrupt

    def in_the_second_and_fourth_epoch(config: Config, epoch: int) -> None:
        if epoch in (2, 4):
            die_once(f"training at {config.train.learning_rate}", epoch)

    append = RunFolder.append_history

    def after_what_the_pruner_said_of_the_first_and_third(
        run: RunFolder, record: dict[str, float]
    ) -> None:
        if record["epoch"] in (1, 3):
            die_once(run.path.name, record["epoch"])
        append(run, record)

    pretend(monkeypatch, score, in_the_second_and_fourth_epoch)
    monkeypatch.setattr(
        RunFolder, "append_history", after_what_the_pruner_said_of_the_first_and_third
    )
    killed = begin(tmp_path / "killed", data, study(12, pruner))
    while left([], searches_in(killed, data), killed.results.lines()):
        try:
            worker(killed, data).work()
        except KeyboardInterrupt:
            continue
    assert len(deaths) >= 20
    assert tried(killed) == tried(whole)
    assert [line["axes"] for line in best(killed)] == [line["axes"] for line in best(whole)]


def test_a_worker_killed_before_it_could_write_what_it_drew_leaves_nothing_behind(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, score)
    whole = begin(tmp_path / "whole", data, study(4))
    worker(whole, data).work()
    killed = begin(tmp_path / "killed", data, study(4))
    with monkeypatch.context() as patch:

        def die(path: Path, content: str, synced: bool) -> bool:
            raise KeyboardInterrupt

        patch.setattr(searching, "create_once", die)
        with pytest.raises(KeyboardInterrupt):
            worker(killed, data).work()
    worker(killed, data).work()
    assert tried(killed) == tried(whole)


def test_a_place_keeps_the_fields_that_it_got_first(tmp_path: Path, data: Path) -> None:
    folder = begin(tmp_path, data, study(4))
    one, late = searches_in(folder, data) + searches_in(folder, data)
    assert one.suggest_next()
    first = one.attempts()[0]
    other = one.search.attempt(0, one.search.lowest, data)
    late._write(0, other)  # as from a machine that did not see the file
    assert late.attempts()[0] == first != other


def test_two_workers_share_a_search(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begin(tmp_path, data, study(9))
    workers: list[Worker] = []
    busy: list[float] = []

    def while_the_first_trains(config: Config, epoch: int) -> None:
        """The second takes a trial in the middle of each of the first's."""
        if epoch == 3 and not busy:
            busy.append(config.train.learning_rate)
            any(search.suggest_next() for search in workers[1].searches)
            taken = any(workers[1].take(trial) for trial in workers[1].open_trials())
            shared.append(taken)
            busy.clear()

    shared: list[bool] = []
    pretend(monkeypatch, score, while_the_first_trains)
    workers += [worker(folder, data), worker(folder, data)]
    workers[0].work()
    assert sum(shared) >= 4
    assert len(folder.results.path.read_text().splitlines()) == 9 + 2
    assert len({rate for rate, *_ in tried(folder)}) == 9


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_pruner_ends_hopeless_trials_and_the_record_says_so(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, pruner: str
) -> None:
    pretend(monkeypatch, score)
    folder = begin(tmp_path, data, study(16, pruner))
    worker(folder, data).work()
    lines = searched(folder)
    pruned = [line for line in lines if line["status"] == "pruned"]
    finished = [line for line in lines if line["status"] == "finished"]
    assert len(pruned) >= 3
    assert len(finished) >= 3
    assert all(len(line["curve/epoch"]) < 6 for line in pruned)
    best_pruned = max(6 * line["curve/valid/excluded/ndcg@10"][0] for line in pruned)
    assert max(line["valid/excluded/ndcg@10"] for line in finished) > best_pruned
    if pruner == "median":  # five trials and three epochs are waited for
        assert all(line["status"] == "finished" for line in lines[:5])
        assert all(line["curve/epoch"] == [1, 2, 3] for line in pruned)


def test_a_trial_that_the_pruner_ended_is_not_trained_on_where_its_worker_was_killed(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, score)
    folder = begin(tmp_path, data, study(16, "median"))
    worker(folder, data).work()
    lines = folder.results.lines()
    last = [line for line in searched(folder) if line["status"] == "pruned"][-1]
    folder.results.forget({last["trial"]})  # as if it had not been written yet
    worker(folder, data).work()
    again = folder.results.lines()[last["trial"]]
    assert again["curve/epoch"] == last["curve/epoch"]
    assert folder.results.lines().keys() == lines.keys()


def too_high(config: Config, epoch: int) -> None:
    """A high learning rate fails."""
    if config.train.learning_rate > 0.1:
        raise FloatingPointError("the loss is nan")


def test_a_failed_trial_does_not_end_a_search(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, score, too_high)
    folder = begin(tmp_path, data, study(8))
    worker(folder, data).work()
    failed = [rate for rate, _, status in tried(folder) if status == "failed"]
    assert 0 < len(failed) < 8
    assert min(failed) > 0.1
    finish(read_study(data / "asked.yaml"), searches_in(folder, data), folder)
    assert f"{len(failed)} search trials failed" in capsys.readouterr().out


def test_a_search_without_a_finished_trial_ends_and_is_a_failure(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(config: Config, epoch: int) -> None:
        raise ValueError("no")

    pretend(monkeypatch, score, fail)
    folder = begin(tmp_path, data, study(3))
    worker(folder, data).work()
    assert [status for *_, status in tried(folder)] == ["failed"] * 3
    with pytest.raises(RunFailed, match="no trial of the search for sasrec on planted"):
        finish(read_study(data / "asked.yaml"), searches_in(folder, data), folder)


def test_equal_fields_are_trained_once(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, score)
    text = study(6).replace("    train.learning_rate: {low: 1.0e-4, high: 1.0, log: true}\n", "")
    folder = begin(tmp_path, data, text.replace("high: 0.6", "high: 0.2"))  # two points in all
    worker(folder, data).work()
    (search,) = searches_in(folder, data)
    assert len(search.attempts()) == 6
    assert len(searched(folder)) <= 2
    assert len(best(folder)) == 2


DIMS = """# How large?
base: sasrec
datasets: [planted]
set: {epochs: 2}
search:
  trials: 12
  ranges:
    encoder.dim: {choices: [64, 50]}
    encoder.heads: {choices: [2, 4]}
"""


def test_fields_that_do_not_go_together_are_not_tried(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four heads cannot share 50 dimensions."""
    pretend(monkeypatch, lambda config: 0.5)
    folder = begin(tmp_path, data, DIMS)
    worker(folder, data).work()
    (one,) = searches_in(folder, data)
    tried = [trial.variant.axes for trial in one.attempts().values()]
    assert len(tried) == 12
    found = {(axes["encoder.dim"], axes["encoder.heads"]) for axes in tried}
    assert found == {(64, 2), (64, 4), (50, 2)}


def test_choices_may_be_lists(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, lambda config: 0.1 * len(config.contrast[0].operators))
    two = "{operator: crop, keep: 0.6}, {operator: mask, ratio: 0.3}"
    three = f"{two}, {{operator: reorder, ratio: 0.3}}"
    text = "base: cl4srec\ndatasets: [planted]\nset: {epochs: 1}\nsearch:\n  trials: 4\n  ranges:\n"
    text += f"    contrast.0.operators: {{choices: [[{two}], [{three}]]}}\n"
    folder = begin(tmp_path, data, text)
    worker(folder, data).work()
    (line,) = (one for one in folder.results.lines().values() if one["variant"] == "cl4srec")
    found = [one["operator"] for one in line["axes"]["contrast.0.operators"]]
    assert found == ["crop", "mask", "reorder"]


def test_a_baseline_among_the_models_is_searched_for_what_it_has(
    tmp_path: Path, data: Path
) -> None:
    file = tmp_path / "fair.yaml"
    file.write_text(
        "base: [cl4srec, sasrec]\ndatasets: [planted]\nbaseline: sasrec\nsearch:\n  trials: 2\n"
        "  ranges:\n    train.learning_rate: {low: 0.001, high: 0.01}\n"
        "    contrast.0.temperature: {low: 0.1, high: 1.0}\n"
    )
    asked = read_study(file)
    assert plan(asked, data) == []
    contrastive, plain = plan_searches(asked, data)
    assert [*contrastive.rules.ranges] == ["train.learning_rate", "contrast.0.temperature"]
    assert [*plain.rules.ranges] == ["train.learning_rate"]
    assert (contrastive.baseline, plain.baseline) == ("sasrec", None)


def test_a_fixed_baseline_is_planned_as_ever(tmp_path: Path, data: Path) -> None:
    file = tmp_path / "fixed.yaml"
    file.write_text(study(2) + "baseline: popularity\n")
    assert [trial.variant.label for trial in plan(read_study(file), data)] == ["popularity"] * 2


def test_a_record_alone_is_enough_to_know_that_all_is_done(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, score)
    folder = begin(tmp_path / "here", data, study(5, "median"))
    worker(folder, data).work()
    there = begin(tmp_path / "there", data, study(5, "median"))
    shutil.copy(folder.results.path, there.results.path)
    assert left([], searches_in(there, data), there.results.lines()) == []


def test_a_search_may_grow_and_its_best_is_then_the_only_one_of_that_name(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, score)
    folder = begin(tmp_path, data, study(2))
    worker(folder, data).work()
    before, first = tried(folder), best(folder)[0]["axes"]
    worker(begin(tmp_path, data, study(14)), data).work()
    folder = study_folder("asked", tmp_path)
    assert tried(folder)[:2] == before
    assert len(searched(folder)) == 14
    assert [line["seed"] for line in best(folder)] == [0, 1]
    assert best(folder)[0]["axes"] != first


def test_a_range_that_the_model_cannot_take_is_refused_at_once(tmp_path: Path, data: Path) -> None:
    text = study(2).replace(
        "encoder.dropout: {low: 0.1, high: 0.6", "encoder.dropout: {low: 0, high: 3"
    )
    with pytest.raises(UsageError, match=r"encoder\.dropout"):
        begin(tmp_path, data, text)


def test_a_search_decides_itself_who_looks_at_test(tmp_path: Path) -> None:
    file = tmp_path / "asked.yaml"
    file.write_text(study(2).replace("{epochs: 6}", "{evaluate.test: true}"))
    with pytest.raises(UsageError, match=r"evaluate\.test cannot be set"):
        read_study(file)


def test_a_dry_run_says_what_a_search_will_take_and_writes_nothing(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "asked.yaml"
    file.write_text(study(6))
    words = ["study", str(file), "--data-dir", str(data), "--out", str(tmp_path / "out")]
    assert main([*words, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "8 trials, 0 finished" in said
    assert "6 search trials for each of sasrec on planted, then 2" in said
    assert not (tmp_path / "out").exists()


def test_a_dry_run_of_a_search_that_has_shrunk_takes_nothing_out_of_the_record(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, score)
    folder = begin(tmp_path / "out", data, study(14))
    worker(folder, data).work()
    before = folder.results.path.read_bytes()
    best_of_14 = best(folder)[0]["axes"]
    file = data / "asked.yaml"
    file.write_text(study(2))
    words = ["study", str(file), "--data-dir", str(data), "--out", str(tmp_path / "out")]
    assert main([*words, "--dry-run"]) == 0
    assert folder.results.path.read_bytes() == before
    worker(begin(tmp_path / "out", data, study(2)), data).work()
    assert best(study_folder("asked", tmp_path / "out"))[0]["axes"] != best_of_14


def test_data_that_changed_under_a_search_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, score)
    write_text(tmp_path / "data", "planted", planted())
    folder = begin(tmp_path / "out", tmp_path / "data", study(2))
    (search,) = searches_in(folder, tmp_path / "data")
    assert search.suggest_next()
    write_text(tmp_path / "other", "planted", planted(seed=1))
    with pytest.raises(UsageError, match="have changed"):
        searches_in(folder, tmp_path / "other")[0].attempts()


@pytest.mark.slow
def test_a_search_trains_and_records(tmp_path: Path) -> None:
    write_text(tmp_path / "data", "planted", planted())
    fields = dict(word.removeprefix("--").split("=") for word in FAST if "track" not in word)
    fields.pop("train.learning_rate")
    fixed = ", ".join(f"{key}: {value}" for key, value in fields.items())
    text = study(7, "median").replace("{epochs: 6}", f"{{epochs: 6, {fixed}}}")
    folder = begin(tmp_path / "out", tmp_path / "data", text)
    worker(folder, tmp_path / "data").work()
    assert len(searched(folder)) == 7
    assert {line["status"] for line in searched(folder)} <= {"finished", "pruned"}
    assert [line["status"] for line in best(folder)] == ["finished"] * 2
    assert "hits/excluded" in best(folder)[0]


def as_typed(data: Path, out: Path, text: str, *more: str) -> int:
    """The exit code of `run.py study` for the study of this text."""
    file = data / "asked.yaml"
    file.write_text(text)
    where = ["--data-dir", str(data), "--out", str(out), "--track.mode=disabled"]
    return main(["study", str(file), *where, "--workers", "1", *more])


def no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(*given: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr("experiments.study.local.launch", launch)


@pytest.mark.parametrize(
    ("before", "count"),
    [
        (study(3).replace("epochs: 6", "epochs: 5"), 5),
        (study(3).split("search:")[0], 2),
    ],
    ids=["other fields", "no search"],
)
def test_lines_of_other_fields_under_a_searchs_names_are_refused_before_anything_is_trained(
    before: str,
    count: int,
    tmp_path: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pretend(monkeypatch, score)
    folder = begin(tmp_path, data, before)
    worker(folder, data).work()
    text = folder.results.path.read_bytes()
    no_launch(monkeypatch)
    assert as_typed(data, tmp_path, study(3)) == 2
    assert f"has {count} trials of this study with other fields" in capsys.readouterr().err
    assert folder.results.path.read_bytes() == text


def test_data_that_changed_are_told_where_only_the_record_knows_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, score)
    data, out = tmp_path / "data", tmp_path / "out"
    write_text(data, "planted", planted())
    folder = begin(out, data, study(2))
    worker(folder, data).work()
    shutil.rmtree(out / "search")
    of_today(folder, data)
    write_text(data, "planted", planted(seed=1))
    no_launch(monkeypatch)
    assert as_typed(data, out, study(2)) == 2
    assert "has trials on another version of planted" in capsys.readouterr().err


def of_today(folder: StudyFolder, data: Path, prefix: str = "") -> None:
    """Lines with the data they were trained on, as a real training writes them; prefix: of ids."""
    own = {"data_sha256": file_sha256(data / "planted.txt")}
    lines = folder.results.lines().items()
    folder.results.replace({t: {**line, **own, "trial": f"{prefix}{t}"} for t, line in lines})


def test_lines_that_are_none_of_a_searchs_are_never_taken_out(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, score)
    folder = begin(tmp_path, data, study(2))
    worker(folder, data).work()
    plain = {**best(folder)[0], "trial": "plain", "axes": {"model": "sasrec"}}
    folder.results.append(plain)
    (one,) = searches_in(folder, data)
    assert one.forget_superseded() == 0
    assert folder.results.lines()["plain"] == plain


def test_how_many_lines_of_a_former_best_are_taken_out_is_said(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, score)
    worker(begin(tmp_path, data, study(2)), data).work()
    said: list[str] = []
    one = worker(begin(tmp_path, data, study(14)), data)
    monkeypatch.setattr(one, "say", said.append)
    one.work()
    told = "search for sasrec on planted: 2 lines of what was the best before are taken out"
    assert said.count(told) == 1


def test_the_best_of_a_search_is_compared_with_a_baseline_that_came_later(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, score)
    worker(begin(tmp_path, data, study(2)), data).work()
    monkeypatch.setattr("experiments.study.local.launch", lambda *given: None)
    assert as_typed(data, tmp_path, study(2) + "baseline: popularity\n") == 0
    found = best(study_folder("asked", tmp_path))
    assert [line["baseline"] for line in found] == ["popularity"] * 2


def test_a_dry_run_counts_the_lines_of_a_search_as_of_today_and_its_failed_ones_apart(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, score, too_high)
    folder = begin(tmp_path, data, study(8))
    worker(folder, data).work()
    failed = [status for *_, status in tried(folder)].count("failed")
    shutil.rmtree(tmp_path / "search")
    assert as_typed(data, tmp_path, study(8), "--dry-run") == 0
    told = f"10 trials, {10 - failed} finished, {failed} failed (--retry-failed trains them again)"
    assert told in capsys.readouterr().out
    of_today(folder, data, "old ")
    text = folder.results.path.read_bytes()
    assert as_typed(data, tmp_path, study(8), "--dry-run") == 0
    assert f"10 trials, {8 - failed} finished (" in capsys.readouterr().out
    assert folder.results.path.read_bytes() == text


@pytest.mark.parametrize("dims", ["[30, 64]", "[64, 30]"])
@pytest.mark.parametrize("heads", ["[1, 4]", "[4, 1]"])
def test_choices_that_go_with_some_others_are_taken_in_any_order(
    dims: str, heads: str, tmp_path: Path, data: Path
) -> None:
    text = DIMS.replace("[64, 50]", dims).replace("[2, 4]", heads)
    (one,) = searches_in(begin(tmp_path, data, text), data)
    assert one.probe.epochs == 2
    with pytest.raises(UsageError, match="heads"):
        begin(tmp_path, data, text.replace("4", "7"))


@pytest.mark.parametrize(
    ("epochs", "most"), [("{low: 5, high: 50}", 50), ("{choices: [20, 9]}", 20)]
)
def test_a_pruner_is_told_the_most_epochs_that_a_trial_may_take(
    epochs: str, most: int, tmp_path: Path, data: Path
) -> None:
    text = study(2, "hyperband").replace("set: {epochs: 6}\n", "")
    (one,) = searches_in(begin(tmp_path, data, f"{text}    epochs: {epochs}\n"), data)
    assert one.epochs == most
