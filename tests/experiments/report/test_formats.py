"""One table, four ways of writing it."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.errors import UsageError
from experiments.metric_names import TEST_NDCG10, VALID_NDCG10
from experiments.record.line import SECONDS, parse
from experiments.report.compare import Table, tables
from experiments.report.formats import as_csv, latex, markdown, plain
from experiments.report.notes import METHOD
from experiments.report.numbers import number_text, p_text, signed
from experiments.report.published import Published, published, published_table
from experiments.report.sheet import UNCHANGED, Cell, Sheet, brief, sheet
from experiments.report.style import slug
from tests.experiments.report.made_record import Values, finished, made_study
from tests.experiments.report.test_compare import BETTER, lines_of

SMALL = Sheet(
    "a_b: 50 % & more",
    ("variant", "NDCG@10", "difference"),
    (
        (Cell("sasrec|x"), Cell(".1 ± .01"), Cell("")),
        (Cell("crop_2 #1"), Cell(".2", best=True), Cell("+.1", significant=True)),
    ),
    ("p < .01; $5 {a} ~b^c\\d",),
)
OTHERS = [
    Published("beauty", "DuoRec", "ranked", 0.0845, 0.0443, "cross_entropy", "a paper", "table 2"),
    Published("sports", "DuoRec", "ranked", 0.5, 0.25, "cross_entropy", "a paper", "table 2"),
]


@pytest.fixture(scope="module")
def found() -> list[Table]:
    return tables(lines_of(made_study(users=200)))


def test_markdown_marks_the_best_and_the_significant() -> None:
    assert markdown(SMALL).splitlines() == [
        "**a\\_b: 50 % & more**",
        "",
        "| variant | NDCG@10 | difference |",
        "|---|---|---|",
        "| sasrec\\|x | .1 ± .01 |  |",
        "| crop\\_2 #1 | **.2** | +.1\\* |",
        "",
        "p \\< .01; $5 {a} ~b^c\\\\d",
    ]


def test_latex_is_a_table_of_booktabs_with_everything_escaped() -> None:
    text = latex(SMALL)
    assert r"sasrec|x & .1 $\pm$ .01 &  \\" in text
    assert r"crop\_2 \#1 & \textbf{.2} & +.1$^{*}$ \\" in text
    assert r"\caption{a\_b: 50 \% \& more. " in text
    assert r" p $<$ .01; \$5 \{a\} " in text
    assert r"\textasciitilde{}b\textasciicircum{}c\textbackslash{}d" in text
    for command in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}{lrr}"):
        assert text.count(command) == 1


def test_latex_opens_and_closes_the_same_braces(found: list[Table]) -> None:
    text = latex(sheet(found[0], OTHERS))
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    rows = [row for row in text.splitlines() if row.endswith(r" \\")]
    assert {row.replace(r"\&", "").count("&") for row in rows} == {13}


def test_plain_columns_are_aligned() -> None:
    assert plain(SMALL).splitlines()[2:5] == [
        "variant     NDCG@10  difference",
        "sasrec|x   .1 ± .01",
        "crop_2 #1        .2        +.1*",
    ]


def test_text_does_not_speak_of_bold(found: list[Table]) -> None:
    assert "bold" not in plain(sheet(found[0], [])).lower()


def test_what_holds_for_all_tables_stands_under_none_but_one_that_travels_alone(
    found: list[Table],
) -> None:
    made = sheet(found[0], OTHERS)
    for sentence in METHOD:
        assert sentence not in plain(made)
        assert sentence not in markdown(made)
    assert "paired bootstrap over users" in latex(made)


def test_a_table_has_a_row_a_variant_and_the_best_mean_of_each_metric(found: list[Table]) -> None:
    rows = {cells[0].text: cells for cells in sheet(found[0], []).rows}
    assert next(iter(rows)) == "sasrec"
    assert [cell.best for cell in rows[BETTER]] == [False, False, *[True] * 4, *[False] * 8]
    assert [cell.text for cell in rows["sasrec"][-5:]] == [""] * 5
    assert rows[BETTER][1].text == "3"
    assert sum(cell.best for cells in rows.values() for cell in cells) == 4


def test_a_published_row_stands_under_the_rule_it_used(found: list[Table]) -> None:
    made = sheet(found[0], OTHERS)
    row = dict(zip(made.columns, (cell.text for cell in made.rows[-1]), strict=True))
    assert row["variant"] == "published: DuoRec (a paper; cross_entropy)"
    assert (row["HR@10"], row["NDCG@10"]) == ("", "")
    assert (row["HR@10, seen ranked"], row["NDCG@10, seen ranked"]) == (".0845", ".0443")
    assert len(made.rows) == 6  # and not the row of another data set


def test_a_row_whose_rule_is_not_stated_stands_in_no_column_of_ours(found: list[Table]) -> None:
    quoted = replace(OTHERS[0], seen="unstated")
    assert len(sheet(found[0], [quoted]).rows) == 5
    assert "DuoRec" not in as_csv(found, [quoted])
    assert "| DuoRec |" in published_table([quoted])


def test_an_exploratory_row_has_its_difference_and_no_test() -> None:
    (table,) = tables(lines_of(made_study(("beauty",), seeds=2, users=60)))
    made = sheet(table, [])
    for cells in made.rows[1:]:
        shown = dict(zip(made.columns, cells, strict=True))
        assert shown["difference"].text
        assert not shown["difference"].significant
        assert shown["95 % interval"].text == "exploratory"
        assert (shown["d_z"].text, shown["p (Holm)"].text) == ("", "")
    (row, *_) = [one for one in csv.DictReader(io.StringIO(as_csv([table], [])))
                 if one["variant"] == BETTER]  # fmt: skip
    assert row["difference"]
    assert (row["low"], row["high"], row["d_z"], row["p_holm"]) == ("", "", "", "")
    assert row["significant"] == "False"


def test_the_brief_table_has_neither_published_rows_nor_origins(found: list[Table]) -> None:
    short = brief(sheet(found[0], OTHERS))
    assert len(short.rows) == 5
    assert {len(cells) for cells in short.rows} == {len(short.columns)}
    assert short.notes == sheet(found[0], OTHERS).notes
    assert short.origins == ()


def test_csv_has_every_cutoff_of_both_rules(found: list[Table]) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(found, OTHERS))))
    assert len(rows) == 5 + 1 + 5  # beauty, published on beauty, toys
    ours = next(row for row in rows if row["variant"] == BETTER)
    group, compared = found[0].group(BETTER), found[0].comparisons[BETTER]
    assert group is not None
    tested = [
        f"test/{rule}/{metric}@{k}"
        for metric in ("hr", "ndcg", "mrr")
        for k in (5, 10, 20)
        for rule in ("excluded", "ranked")
    ]
    for key in (*tested, VALID_NDCG10, SECONDS):
        values = [line.number(key) or 0.0 for line in group.lines]
        assert float(ours[f"{key} mean"]) == pytest.approx(np.mean(values))
        assert float(ours[f"{key} sd"]) == pytest.approx(np.std(values, ddof=1))
    low, high = compared.interval or (0.0, 0.0)
    for column, value in (
        ("difference", compared.difference),
        ("relative", compared.relative),
        ("low", low),
        ("high", high),
        ("d_z", compared.effect),
        ("p_holm", compared.p),
    ):
        assert float(ours[column]) == pytest.approx(value), column
    assert (ours["baseline"], ours["pairs"], ours["significant"]) == ("sasrec", "3", "True")
    other = rows[5]
    assert (other["variant"], other[f"{TEST_NDCG10} mean"]) == ("DuoRec", "")
    assert other["test/ranked/ndcg@10 mean"] == "0.0443"


def test_a_study_whose_trials_all_failed_has_an_empty_table() -> None:
    failed: list[Values] = [line for line in made_study(users=5) if line["status"] == "failed"]
    made = sheet(tables(lines_of(failed))[0], [])
    assert made.rows == ()
    assert "Failed trials: 1; loss is <nan> (1)." in plain(made)


def test_numbers_are_written_as_in_the_field() -> None:
    assert [number_text(x) for x in (0.05432, 0.0, 1.0, -0.25)] == [
        ".0543",
        ".0000",
        "1.0000",
        "-0.2500",
    ]
    assert [signed(x) for x in (0.0031, -0.0031, 0.00001)] == ["+.0031", "-.0031", ".0000"]
    assert [p_text(p) for p in (0.0002, 0.0123, 0.0016, 1.0)] == ["<.001", ".012", ".002", "1.000"]
    assert [p_text(p) for p in (0.0094, 0.0097, 0.01)] == [".009", "<.010", ".010"]


def test_the_published_file_is_whole() -> None:
    rows = published()
    assert {row.dataset for row in rows} == {"beauty", "sports", "toys", "yelp", "ml-1m"}
    assert all(0.0 < row.ndcg < row.hr < 1.0 for row in rows)
    assert all(row.source and row.where and row.next_item for row in rows)
    assert not any("not named" in f"{row.source} {row.where}" for row in rows)
    assert len({(row.dataset, row.method, row.source) for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"where": ""}, "has no source, or not where in it"),
        ({"source": ""}, "has no source, or not where in it"),
        ({"seen": "some"}, "seen is excluded or ranked or unstated"),
        ({"ndcg@10": "x"}, "could not convert"),
    ],
)
def test_a_published_row_without_a_source_is_refused(
    tmp_path: Path, change: Values, told: str
) -> None:
    row = {"dataset": "d", "method": "m", "seen": "ranked", "hr@10": 0.1, "ndcg@10": 0.1,
           "next_item": "bce", "source": "a/b", "where": "README"}  # fmt: skip
    path = tmp_path / "published.yaml"
    path.write_text(json.dumps([row]))
    assert published(path)[0].source == "a/b"
    path.write_text(json.dumps([{**row, **change}]))
    with pytest.raises(UsageError, match=rf"^published.yaml: row 1: .*{told}"):
        published(path)


def test_names_in_any_script_make_files_of_their_own() -> None:
    assert slug("Toys & Games_2-curves") == "toys-games-2-curves"
    assert slug("книги-curves") != slug("музыка-curves")


@pytest.mark.parametrize("task", ["it", "views/a"])
def test_the_share_of_unchanged_views_is_a_column_where_variants_differ_in_it(task: str) -> None:
    key = f"best/contrast/{task}/identity_rate"
    ranks = np.array([1.0, 2.0, 30.0])
    lines = [finished("toys", name, 0, ranks) for name in ("sasrec", "a", "b")]

    def columns(*rates: float) -> list[str]:
        for line, rate in zip(lines[1:], rates, strict=True):
            line |= {key: rate, f"{key}/crop": 0.9}
        (table,) = tables([parse(json.dumps(line), "here") for line in lines])
        found = brief(sheet(table, []))
        at = [i for i, name in enumerate(found.columns) if name == UNCHANGED]
        return [row[i].text for row in found.rows for i in at]

    assert columns(0.25, 0.5) == ["", "25 %", "50 %"]
    assert columns(0.5, 0.5) == []


def test_seconds_of_a_gpu_are_marked_and_not_averaged_with_those_of_a_cpu() -> None:
    lines = made_study(datasets=("beauty",), seeds=2, users=50)
    card = "NVIDIA H100 80GB HBM3"
    places = {"cl4srec temperature=0.05": (0, 1), "cl4srec temperature=0.1": (1,)}
    for line in lines:
        if line["seed"] in places.get(line["variant"], ()):
            line["device"] = card
    (table,) = tables(lines_of(lines))
    made = sheet(table, [])
    column = made.columns.index("training s")
    shown = {cells[0].text: cells[column].text for cells in made.rows}
    assert shown["sasrec"] == "60"
    assert shown["cl4srec temperature=0.05"] == "60 (GPU)"
    assert shown["cl4srec temperature=0.1"] == ""
    assert any(f"{card} (3)" in note for note in made.origins)
    (alike,) = tables(lines_of(made_study(datasets=("beauty",), seeds=2, users=50)))
    assert not any("devices" in note for note in sheet(alike, []).origins)


def test_other_cutoffs_and_rules_are_columns_of_the_csv() -> None:
    ranks = np.array([1.0, 30.0])
    line = finished("beauty", "sasrec", 0, ranks, baseline=None) | {
        "test/excluded/hr@50": 1.0, "test/score0/hr@10": 0.5, "test/excluded/coverage@10": 0.25,
    }  # fmt: skip
    (row,) = csv.DictReader(io.StringIO(as_csv(tables([parse(json.dumps(line), "line")]), [])))
    assert float(row["test/excluded/hr@50 mean"]) == 1.0
    assert float(row["test/score0/hr@10 mean"]) == 0.5
    assert float(row["test/excluded/coverage@10 mean"]) == 0.25
