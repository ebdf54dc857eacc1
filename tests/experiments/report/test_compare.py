"""What is compared with what, and which differences are significant."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from experiments.data.splits.kinds import split_words
from experiments.errors import UsageError
from experiments.metric_names import TEST_NDCG10
from experiments.record.hits import encode_counts, encode_hits
from experiments.record.line import UNLEARNT, Line, parse
from experiments.record.results_file import read_lines, study_files
from experiments.report.compare import Table, tables
from experiments.report.formats import markdown
from experiments.report.notes import notes, origin_notes
from experiments.report.numbers import number_text
from experiments.report.pairs import ndcg, same_loss
from experiments.report.sheet import sheet
from experiments.report.study_page import study_page
from models.baselines import BASELINES
from tests.experiments.report.made_record import Values, finished, made_study, write_record

WORSE, SAME, BETTER = (f"cl4srec temperature={t}" for t in (0.05, 0.1, 0.2))


def lines_of(record: list[Values]) -> list[Line]:
    return [parse(json.dumps(line), "made:1") for line in record]


def beauty(record: list[Values]) -> Table:
    return tables(lines_of([line for line in record if line["dataset"] == "beauty"]))[0]


def test_a_variant_has_mean_and_deviation_over_its_seeds() -> None:
    record = made_study()
    group = beauty(record).group(BETTER)
    assert group is not None
    values = [one[TEST_NDCG10] for one in record if one["dataset"] == "beauty"
              and one["variant"] == BETTER and one["status"] == "finished"]  # fmt: skip
    mean = group.mean(TEST_NDCG10)
    assert mean is not None
    assert (mean.n, mean.mean) == (3, pytest.approx(np.mean(values)))
    assert mean.sd == pytest.approx(np.std(values, ddof=1))


def test_the_baseline_comes_first_and_numbers_are_sorted_by_size() -> None:
    found = beauty([*made_study(), *[with_variant("cl4srec temperature=1e-3")]])
    names = [group.variant.removeprefix("cl4srec temperature=") for group in found.groups]
    assert names == ["sasrec", "1e-3", "0.05", "0.1", "0.2", "0.5"]


def with_variant(name: str) -> Values:
    return {**made_study()[1], "variant": name, "trial": name}


def test_comparisons_are_paired_by_seed() -> None:
    """The order of the lines does not matter, and a seed that one side lacks is left out."""
    record = made_study(seeds=4)
    lacking = [line for line in record if (line["variant"], line["seed"]) != ("sasrec", 1)]
    table = beauty(lacking[::-1])
    assert any(note.startswith("Variants with seeds that their") for note in notes(table))
    found = table.comparisons[BETTER]
    ours, theirs = (
        np.array([one[TEST_NDCG10] for one in record if one["dataset"] == "beauty"
                  and one["variant"] == name and one["seed"] in (0, 2, 3)])
        for name in (BETTER, "sasrec")
    )  # fmt: skip
    assert found.seeds == (0, 2, 3)
    assert found.difference == pytest.approx(np.mean(ours - theirs))
    assert found.relative == pytest.approx(np.mean(ours - theirs) / np.mean(theirs))
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert found.interval == pytest.approx((expected.low, expected.high))


def test_a_planted_gain_and_a_planted_loss_are_significant_and_nothing_is_not() -> None:
    found = beauty(made_study()).comparisons
    assert set(found) == {f"cl4srec temperature={t}" for t in (0.05, 0.1, 0.2, 0.5)}
    assert found[BETTER].significant
    assert found[BETTER].difference > 0.0
    assert found[WORSE].significant
    assert found[WORSE].difference < 0.0
    assert not found[SAME].significant


def test_the_same_record_gives_the_same_p() -> None:
    one, again = (beauty(made_study()).comparisons for _ in range(2))
    assert one == again


def test_nothing_is_significant_over_a_baseline_of_another_loss() -> None:
    record = made_study()
    for line in record:
        if line["variant"] == BETTER:
            line["config"] = {"next_item": {"loss": "bce"}}
    table = beauty(record)
    found = table.comparisons[BETTER]
    assert found.p is not None
    assert found.p < 0.01
    assert not found.significant


@pytest.mark.parametrize(
    ("model", "more", "loss"),
    [
        ("cl4srec", {}, "cross_entropy"),
        ("popularity", {}, None),
        ("repeat-last", {}, None),
        ("recbole:GRU4Rec", {}, "cross_entropy"),
        ("recbole:GRU4Rec", {"recbole": {"loss_type": "BPR"}}, "recbole BPR"),
    ],
)
def test_the_loss_is_the_one_that_a_model_learns_with(
    model: str, more: Values, loss: str | None
) -> None:
    (line, *_) = made_study(("beauty",), seeds=1, users=20)
    line["config"] = {"model": model, "next_item": {"loss": "cross_entropy"}, **more}
    assert parse(json.dumps(line), "a line").loss == loss


def test_models_that_learn_nothing_are_those_without_weights() -> None:
    assert set(UNLEARNT) == set(BASELINES)


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({"similarity": "dot", "temperature": 1.0}, True),
        ({"similarity": "dot"}, False),
        ({"similarity": "cosine", "temperature": 1.0}, False),
    ],
)
def test_the_same_loss_has_the_same_fields(fields: Values, same: bool) -> None:
    def line(study: str, **more: Any) -> Line:
        values = finished("toys", "sasrec", 0, np.array([1.0]), study=study)
        values["config"] = {"next_item": {"loss": "cross_entropy", **more}}
        return parse(json.dumps(values), "a line")

    assert same_loss(line("a", **fields), line("b", similarity="dot", temperature=1.0)) == same


def test_nothing_is_significant_where_a_configuration_does_not_say_its_loss() -> None:
    record = [{**line, "config": {}} for line in made_study()]
    assert not any(one.significant for one in beauty(record).comparisons.values())


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_are_exploratory_and_nothing_is_tested(seeds: int) -> None:
    table = beauty(made_study(seeds=seeds))
    for found in table.comparisons.values():
        assert found.exploratory
        assert (found.interval, found.effect, found.p) == (None, None, None)
        assert not found.significant
    assert table.comparisons[BETTER].difference > 0.0
    assert "Exploratory rows: 4 of 4." in notes(table)


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_row_of_another_loss_says_so_with_any_number_of_seeds(seeds: int) -> None:
    record = [{**line, "config": {}} for line in made_study(seeds=seeds)]
    text = markdown(sheet(beauty(record), []))
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {BETTER} ")]
    assert "(other loss)" in row


def test_three_seeds_are_enough() -> None:
    found = beauty(made_study(seeds=3)).comparisons[BETTER]
    assert not found.exploratory
    assert found.significant


def test_an_exploratory_row_does_not_count_in_the_correction_of_the_others() -> None:
    record = made_study()
    alone = [line for line in record if line["variant"] in ("sasrec", SAME)]
    few = [line for line in record if line["variant"] == WORSE and line["seed"] in (0, 1)]
    assert beauty([*alone, *few]).comparisons[WORSE].exploratory
    assert beauty([*alone, *few]).comparisons[SAME] == beauty(alone).comparisons[SAME]


def test_a_wide_interval_is_not_significant_however_small_p_is() -> None:
    """Three seeds that gain very different amounts: users agree, seeds do not."""
    base = np.full(200, 10.0)
    gains = [finished("d", "ours", seed, np.full(200, rank))
             for seed, rank in enumerate((9.0, 9.0, 1.0))]  # fmt: skip
    bases = [finished("d", "sasrec", seed, base, baseline=None) for seed in range(3)]
    found = tables(lines_of([*bases, *gains]))[0].comparisons["ours"]
    assert found.p is not None
    assert found.p < 0.01
    assert not found.significant


def of_hits(variant: str, hits: tuple[int, ...], users: int = 100) -> list[dict[str, Any]]:
    """A line a seed, whose first users are hits at rank 1 and the others misses."""
    baseline = None if variant == "sasrec" else "sasrec"
    ranks = [np.where(np.arange(users) < count, 1.0, 50.0) for count in hits]
    return [finished("d", variant, seed, row, baseline=baseline) for seed, row in enumerate(ranks)]


def test_what_spread_seeds_can_show_comes_from_their_differences() -> None:
    """Differences of .1, .2 and .3 have a standard deviation of .1."""
    record = [*of_hits("sasrec", (10, 10, 10)), *of_hits("ours", (20, 30, 40))]
    smallest = (stats.t.ppf(0.975, 2) + stats.t.ppf(0.8, 2)) * 0.1 / np.sqrt(3)
    table = tables(lines_of(record))[0]
    assert table.comparisons["ours"].detectable == pytest.approx(smallest)
    told = f"Smallest detectable difference: {smallest:.4f}".replace("0.", ".", 1)
    assert notes(table) == [f"{told} from sasrec (3 seeds)."]


def test_what_seeds_of_hardly_any_spread_can_show_is_what_users_can() -> None:
    """Over seeds 1, 1 and 2 of 100 users gain, so the interval is narrow; users differ by more."""
    record = [*of_hits("sasrec", (10, 10, 10)), *of_hits("ours", (11, 11, 12))]
    gained = np.zeros(100)
    gained[10:12] = 1.0, 1.0 / 3.0
    error = np.std(gained, ddof=1) / 10.0
    smallest = (stats.norm.ppf(0.995) + stats.norm.ppf(0.8)) * error
    found = tables(lines_of(record))[0].comparisons["ours"]
    assert found.detectable == pytest.approx(smallest)


def test_nothing_is_detectable_where_nothing_would_be_called_significant() -> None:
    """Of another loss, of seeds that repeat each other, of too few of them."""
    repeated = [*of_hits("sasrec", (10, 10, 10)), *of_hits("ours", (20, 20, 20))]
    two = [*of_hits("sasrec", (10, 12)), *of_hits("ours", (20, 30))]
    assert tables(lines_of(repeated))[0].comparisons["ours"].detectable is None
    assert tables(lines_of(two))[0].comparisons["ours"].detectable is None


def test_a_baseline_of_two_seeds_can_show_no_difference() -> None:
    (first, *_) = notes(beauty(made_study(seeds=2)))
    assert first == (
        "Smallest detectable difference: none from sasrec, with fewer than 3 paired seeds."
    )


def test_the_smallest_detectable_difference_is_told_for_each_number_of_seeds() -> None:
    record = made_study(("beauty",), seeds=5)
    record = [one for one in record if one["variant"] != BETTER or one["seed"] < 3]
    (first, *_) = notes(beauty(record))
    found = beauty(record).comparisons.values()
    told = []
    for seeds in (3, 5):
        sizes = [one.detectable for one in found if len(one.seeds) == seeds]
        texts = sorted({number_text(size) for size in sizes if size is not None})
        ends = " to ".join(dict.fromkeys([texts[0], texts[-1]]))
        told.append(f"{ends} from sasrec ({seeds} seeds)")
    assert first == f"Smallest detectable difference: {'; '.join(told)}."


def test_the_page_of_a_study_whose_trials_all_failed_says_why() -> None:
    line = {**with_variant("cl4srec temperature=0.5"), "status": "failed", "error": "out of memory"}
    page = study_page("temperature", tables(lines_of([line])), [])
    assert "out of memory (1)" in page


def test_seeds_that_repeat_each_other_to_the_last_digit_show_nothing() -> None:
    base, ours = np.full(200, 10.0), np.full(200, 5.0)
    bases = [finished("d", "sasrec", seed, base, baseline=None) for seed in range(3)]
    found = tables(lines_of([*bases, *(finished("d", "ours", seed, ours) for seed in range(3))]))
    assert not found[0].comparisons["ours"].significant


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"config": {"next_item": {"loss": "cross_entropy"}, "epochs": 3}}, "have other fields"),
        ({"features_sha256": {"alignment": "other"}}, "have other attributes of items"),
        ({"baseline": None}, "have other baseline"),
    ],
)
def test_seeds_of_a_variant_that_differ_in_more_than_the_seed_are_refused(
    change: Values, told: str
) -> None:
    record = made_study(("beauty",))
    (place,) = [n for n, one in enumerate(record) if one["variant"] == BETTER and one["seed"] == 1]
    record[place] |= change
    with pytest.raises(UsageError, match=f"seeds 0 and 1 of '{BETTER}' on beauty {told}"):
        tables(lines_of(record))


def test_trials_on_different_data_are_not_compared() -> None:
    record = made_study()
    record[4]["data_sha256"] = "other"
    with pytest.raises(UsageError, match="read different data as beauty"):
        tables(lines_of(record))


def test_two_trials_of_one_variant_and_seed_are_refused() -> None:
    record = made_study()
    with pytest.raises(UsageError, match="two trials of 'sasrec' on beauty, seed 0"):
        tables(lines_of([*record, {**record[0], "trial": "again"}]))


def test_ranks_that_contradict_the_metric_are_refused() -> None:
    record = made_study()
    record[1]["hits/excluded"] = encode_hits(np.ones(400))
    with pytest.raises(UsageError, match="do not agree"):
        tables(lines_of(record))


def test_what_did_not_finish_is_counted_with_its_errors() -> None:
    table = beauty(made_study())
    assert (len(table.failed), len(table.pruned)) == (1, 1)
    said = " ".join(origin_notes(table))
    assert "Failed trials: 1; loss is <nan> (1)." in said
    assert "Pruned trials, which were stopped early, without test: 1." in said


def test_trials_of_a_search_have_no_row() -> None:
    record = made_study()
    searched = {key: value for key, value in record[1].items() if not key.startswith("test/")}
    table = beauty([*record, {**searched, "trial": "s", "valid/excluded/ndcg@10": 0.75}])
    assert len(table.groups) == 5
    assert any("looked at validation alone: 1; the best has NDCG@10 0.7500" in note
               for note in origin_notes(table))  # fmt: skip


def test_versions_of_the_code_are_told_where_they_differ() -> None:
    record = made_study()
    assert not any("versions" in note for note in origin_notes(beauty(record)))
    record[0]["commit"] = "fedcba9876"
    assert any("fedcba9 (1)" in note for note in origin_notes(beauty(record)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON object"),
        ("[]", "not a JSON object, but list"),
        ('{"study": 3}', "'study' has to be a text, got 3"),
        (json.dumps({**made_study(users=5)[0], "seed": "0"}), "'seed' has to be an integer"),
        (json.dumps({**made_study(users=5)[0], "status": "lost"}), "known: finished, pruned"),
        (json.dumps({**made_study(users=5)[0], TEST_NDCG10: None}), "has to be a finite number"),
        (json.dumps({**made_study(users=5)[0], TEST_NDCG10: float("nan")}), "a finite number"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = write_record(tmp_path / "bad.jsonl", made_study(users=5)[:1])
    path.write_text(path.read_text() + text + "\n")
    with pytest.raises(UsageError, match=r"^bad.jsonl:2: ") as error:
        read_lines(path)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("axes", [1], "'axes' has to be names and values, got [1]"),
        ("config", "x", "'config' has to be names and values"),
        ("baseline", 3, "'baseline' has to be a text or null, got 3"),
        ("curve/seconds", [1.0], "the lists of 'curve/' have different lengths"),
        ("curve/epoch", ["a", "b", "c"], "'curve/epoch' has to be a list of finite numbers"),
        ("groups/length", [{"from": 1}], "'groups/length' has to be a list of groups"),
    ],
)
def test_a_part_of_a_line_that_is_none_is_named(key: str, value: object, told: str) -> None:
    with pytest.raises(UsageError, match=rf"^made:1: .*{re.escape(told)}"):
        lines_of([{**made_study(users=5)[1], key: value}])


def test_a_study_is_a_file_whose_lines_name_one(tmp_path: Path) -> None:
    write_record(tmp_path / "temperature.jsonl", made_study(users=5))
    write_record(tmp_path / "quick" / "temperature.jsonl", made_study(users=5))
    write_record(tmp_path / "planted.jsonl", [{"world": "noisy", "task": "sasrec"}])
    (tmp_path / "empty.jsonl").write_text("")
    assert list(study_files(tmp_path)) == ["temperature", "quick/temperature"]


TEMPORAL = {"kind": "temporal", "target": "last"}


def test_splits_have_a_table_each_and_no_trial_is_compared_across_them() -> None:
    """A trial that failed has no configuration: its axes say the split."""
    record = made_study(("beauty",))
    for line in made_study(("beauty",)):
        line |= {"trial": f"t-{line['trial']}", "axes": {**line["axes"], "split": TEMPORAL}}
        if "config" in line:
            line["config"] = {**line["config"], "split": {**TEMPORAL, "quantile": 0.9}}
        record.append(line)
    found = tables(lines_of(record))
    assert [table.dataset for table in found] == ["beauty", "beauty (temporal, last)"]
    for table in found:
        assert [len(group.lines) for group in table.groups] == [3] * 5
        assert (len(table.failed), len(table.pruned)) == (1, 1)
        assert table.comparisons[BETTER].significant


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ("--split.kind=temporal --split.target=last", "beauty (temporal, last)"),
        ('\'--split={"kind": "temporal"}\'', "beauty (temporal, last)"),
        ("--split=temporal --split.quantile=0.8", "beauty (temporal, last, quantile=0.8)"),
        ("--ties=shuffled --encoder.dim=8", "beauty (ties shuffled)"),
        ("--encoder.dim=8", "beauty"),
    ],
)
def test_a_trial_that_failed_stands_where_its_study_has_all_of_its_trials(asked, where) -> None:
    """A field of the whole study is in its command line and in none of its axes."""
    lost = next(line for line in made_study(("beauty",)) if line["status"] == "failed")
    command = f"run.py train --model cl4srec --dataset beauty --seed 7 {asked}"
    (line,) = lines_of([{**lost, "command": command}])
    assert line.place == where


def test_orders_of_ties_have_a_table_each_as_their_test_items_differ() -> None:
    record = made_study(("beauty",))
    for line in made_study(("beauty",)):
        line |= {"trial": f"t-{line['trial']}", "axes": {**line["axes"], "ties": "shuffled"}}
        record.append(line)
    found = tables(lines_of(record))
    assert [table.dataset for table in found] == ["beauty", "beauty (ties shuffled)"]


@pytest.mark.parametrize(
    ("split", "words"),
    [
        (None, ""),
        ({"kind": "leave_one_out"}, ""),
        ("temporal", "temporal, last"),
        ({"kind": "temporal", "target": "all"}, "temporal, all"),
        ({"kind": "temporal", "quantile": 0.8}, "temporal, last, quantile=0.8"),
        ({"kind": "files", "target": "successive"}, "files, successive"),
        ({"kind": "a plug-in's"}, "a plug-in's"),
    ],
)
def test_what_a_split_is_called(split: Any, words: str) -> None:
    assert split_words(split) == words


def test_users_with_several_targets_are_resampled_whole() -> None:
    """The mean over users is the mean over targets; a user's targets stand together."""
    ranks = np.array([1.0, 3.0, 1000.0, 1.0, 1.0, 7.0])
    counts = np.array([3, 1, 2])
    line = finished("beauty", "sasrec", 0, ranks)
    line |= {"users": 3, "targets/test": 6, "hits/users": encode_counts(counts)}
    gains = ndcg(*lines_of([line]), {})
    of_target = np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0)
    assert gains.tolist() == pytest.approx(
        [of_target[:3].sum() / 2, of_target[3] / 2, of_target[4:].sum() / 2]
    )
    assert gains.mean() == pytest.approx(line[TEST_NDCG10])


@pytest.mark.parametrize("owners", [encode_counts(np.array([3, 1])), "no counts"])
def test_owners_that_do_not_fit_the_ranks_are_refused(owners: str) -> None:
    line = finished("beauty", "sasrec", 0, np.ones(6)) | {"users": 2, "hits/users": owners}
    with pytest.raises(UsageError, match="cannot be read"):
        ndcg(*lines_of([{**line, "targets/test": 6}]), {})
