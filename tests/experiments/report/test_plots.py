"""A plot is drawn where the record has its numbers, and says what it shows."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from experiments.report.across import numeric_axes, scale, series
from experiments.report.aggregate import Group
from experiments.report.compare import Table, tables
from experiments.report.curves import leading
from experiments.report.dots import of_seeds
from experiments.report.gains import bucket, gains
from experiments.report.heat import grid
from experiments.report.palette import palette
from experiments.report.plots import looks_of, plots, told_apart
from experiments.report.style import COLOURS, SERIES, Plot, inline
from tests.experiments.report.made_record import Values, made_study
from tests.experiments.report.test_compare import BETTER, lines_of

WORSE = "cl4srec temperature=0.05"


def beauty(record: list[Values]) -> Table:
    return tables(lines_of([line for line in record if line["dataset"] == "beauty"]))[0]


@pytest.fixture(scope="module")
def drawn() -> dict[str, Plot]:
    return {plot.name: plot for plot in plots(beauty(made_study(users=100)))}


def with_axes(
    axes: list[dict[str, Any]], seeds: int = 1, results: list[str] | None = None
) -> Table:
    """A temperature's lines, as if the study had had other axes; more variants if need be.

    results: the variants whose results they have; BETTER's where none are given.
    """
    record = [one for one in made_study(("beauty",), seeds, 60) if one["status"] == "finished"]
    made = [line for line in record if line["variant"] == "sasrec"]
    for number, (values, result) in enumerate(
        zip(axes, results or [BETTER] * len(axes), strict=True)
    ):
        for seed in range(seeds):
            line = next(one for one in record if (one["variant"], one["seed"]) == (result, seed))
            name = f"variant {number}"
            made.append({**line, "variant": name, "trial": f"{name} {seed}", "axes": values})
    return beauty(made)


def test_every_plot_that_the_record_allows_is_drawn(drawn: dict[str, Plot]) -> None:
    assert list(drawn) == [
        "beauty-differences",
        "beauty-contrast-0-temperature",
        "beauty-curves",
        "beauty-augmented-views-alignment",
        "beauty-gains",
    ]


def test_a_plot_is_png_and_svg_with_text_as_text(drawn: dict[str, Plot]) -> None:
    plot = drawn["beauty-contrast-0-temperature"]
    assert plot.png.startswith(b"\x89PNG")
    for text in (">temperature<", ">baseline: sasrec<", ">0.05<"):
        assert text in plot.svg


def test_the_text_says_what_the_plot_shows(drawn: dict[str, Plot]) -> None:
    text = drawn["beauty-contrast-0-temperature"].text
    assert re.search(r"highest, 0\.\d{4}, at contrast.0.temperature 0.2", text)
    assert re.search(r"lowest, 0\.\d{4}, at 0.05; baseline sasrec 0\.\d{4}", text)


def test_the_same_record_makes_the_same_files(drawn: dict[str, Plot]) -> None:
    again = {plot.name: plot for plot in plots(beauty(made_study(users=100)))}
    assert again == drawn


def test_what_is_missing_in_the_record_is_not_drawn() -> None:
    bare = [
        {key: line[key] for key in line if not key.startswith(("best/", "curve/", "groups/"))}
        for line in made_study(users=50)
    ]
    names = ["beauty-differences", "beauty-contrast-0-temperature"]
    assert [plot.name for plot in plots(beauty(bare))] == names


def test_a_study_without_results_has_no_plots() -> None:
    lost = [line for line in made_study(users=5) if line["status"] != "finished"]
    assert plots(beauty(lost)) == []


def test_variants_that_are_no_numbers_have_no_curve() -> None:
    table = with_axes([{"model": "cl4srec", "variant": name} for name in ("crop", "mask_$x$")])
    assert numeric_axes(table) == []
    assert next(plot.name for plot in plots(table)) == "beauty-differences"


def test_lists_and_truth_values_are_no_numbers() -> None:
    table = with_axes([{"a": [1], "b": True, "c": None}, {"a": [2], "b": False, "c": 1}])
    assert numeric_axes(table) == []


def test_the_dots_of_a_variant_are_its_seeds_less_the_baseline_s_and_their_mean_the_difference(
    drawn: dict[str, Plot],
) -> None:
    table = beauty(made_study(users=100))
    pairs = table.ranked
    assert [comparison.difference for _, comparison in pairs] == sorted(
        (comparison.difference for _, comparison in pairs), reverse=True
    )
    for group, comparison in pairs:
        seeds = of_seeds(table, group)
        assert len(seeds) == len(comparison.seeds) == 3
        assert sum(seeds) / 3 == pytest.approx(comparison.difference)
    assert f">{BETTER}" in drawn["beauty-differences"].svg
    assert "minus that of sasrec" in drawn["beauty-differences"].svg


def test_variants_of_another_loss_are_not_drawn_and_the_caption_names_them() -> None:
    record = made_study(("beauty",), users=60)
    for line in record:
        if line["variant"] == WORSE and line["status"] == "finished":
            line["config"] = {"next_item": {"loss": "bce"}}
    plot = plots(beauty(record))[0]
    assert f">{BETTER}" in plot.svg
    assert f">{WORSE}" not in plot.svg
    assert plot.caption.endswith(f"Not drawn, as they have another next-item loss: {WORSE}.")


def two_fields(leave_out: int = 0) -> Table:
    axes = [
        {"encoder.dim": d, "contrast.0.operators": [name]}
        for d in (64, 32) for name in ("crop", "mask", "reorder")
    ]  # fmt: skip
    return with_axes(axes[leave_out:])


def test_a_grid_of_two_fields_is_a_heat_map_with_a_number_in_each_cell() -> None:
    table = two_fields()
    made = grid(table)
    assert made is not None
    assert made.across == ("contrast.0.operators", [["crop"], ["mask"], ["reorder"]])
    assert made.down == ("encoder.dim", [32, 64])
    assert len(made.cells) == 6
    (plot,) = [plot for plot in plots(table) if plot.name == "beauty-grid"]
    for value in made.cells.values():
        assert f">{value:.4f}<".replace("0.", ".") in plot.svg
    assert "<image" not in plot.svg  # drawn, not a picture in a picture


def test_a_grid_may_lack_cells_but_not_most_of_them() -> None:
    assert grid(two_fields(leave_out=1)) is not None
    assert grid(with_axes([{"a": n, "b": n} for n in range(4)])) is None
    assert grid(beauty(made_study(users=20))) is None  # one field


def test_a_variant_has_one_colour_in_all_plots_and_those_of_one_plot_differ() -> None:
    first, second = beauty(made_study(users=60)), two_fields()
    looks = looks_of([first, second])
    for table in (first, second):
        for names in told_apart(table):
            colours = [looks[name].colour for name in dict.fromkeys(names)]
            assert len(set(colours)) == len(colours) > 1
        for plot in plots(table, looks):
            if plot.name.endswith(("curves", "gains")):
                assert all(name in plot.svg for name in (looks[v].colour for v in drawn_in(plot)))


def drawn_in(plot: Plot) -> list[str]:
    """The variants that the legend of a plot names."""
    return [name for name in (BETTER, WORSE) if f">{name}<" in plot.svg]


def test_more_names_than_colours_differ_in_marker_or_line() -> None:
    names = [f"v{number}" for number in range(len(COLOURS) + 4)]
    looks = palette([names])
    assert len(set(looks.values())) == len(names)
    assert len({look.colour for look in looks.values()}) == len(COLOURS)


def test_the_names_of_most_plots_choose_their_colour_first() -> None:
    looks = palette([["rare", "sasrec"], ["sasrec"], ["sasrec", "other"]])
    assert looks["sasrec"].colour == COLOURS[0]
    assert looks["rare"].colour == looks["other"].colour == COLOURS[1]


def test_every_exported_plot_names_its_data_set_and_its_axes(drawn: dict[str, Plot]) -> None:
    for plot in drawn.values():
        assert f">{plot.title}<" in plot.svg
        assert plot.title.startswith("beauty: ")
        assert re.search(r">(?:[^<]*NDCG@10[^<]*|uniformity)<", plot.svg)


def test_a_drawing_in_a_page_keeps_its_text_and_is_smaller(drawn: dict[str, Plot]) -> None:
    for plot in drawn.values():
        page = inline(plot.svg, "p-")
        assert len(page) < 0.85 * len(plot.svg)
        assert re.findall(r">([^<\s][^<]*)</text>", page) == re.findall(
            r">([^<\s][^<]*)</text>", plot.svg
        )


@pytest.mark.parametrize("better", [32, 64])
def test_other_axes_make_series_the_best_first(better: int) -> None:
    axes = [{"contrast.0.weight": w, "encoder.dim": d} for d in (32, 64) for w in (0.1, 0.2)]
    results = [BETTER if one["encoder.dim"] == better else WORSE for one in axes]
    table = with_axes(axes, results=results)
    found = series(table, "contrast.0.weight")
    assert list(found) == [f"dim={better}", f"dim={96 - better}"]
    assert {group.variant for group in leading(table, list(table.groups), most=3)[1:]} == {
        f"variant {number}" for number, result in enumerate(results) if result == BETTER
    }
    assert [[x for x, _ in points] for points in found.values()] == [[0.1, 0.2], [0.1, 0.2]]


def test_a_series_is_named_in_words_and_not_in_brackets_of_python() -> None:
    crop, mask = [{"operator": "crop", "keep": 0.6}], [{"operator": "mask", "ratio": 0.3}]
    axes = [
        {"contrast.0.operators": some, "contrast.0.temperature": t}
        for some in (crop, mask) for t in (0.1, 0.2)
    ]  # fmt: skip
    found = series(with_axes(axes), "contrast.0.temperature")
    assert set(found) == {"operators=[crop(keep=0.6)]", "operators=[mask(ratio=0.3)]"}


def test_a_gain_is_the_variant_s_less_its_baseline_s_with_seen_items_excluded() -> None:
    table = beauty(made_study(users=100))
    group = table.group(BETTER)
    assert group is not None
    for key, first in (("groups/length", "1-4"), ("groups/popularity", "0")):
        found = gains(table, group, key)[first].mean
        assert found == pytest.approx(table.comparisons[BETTER].difference)
        assert found > 0.0


def test_the_winners_of_a_search_are_not_drawn_against_its_fields() -> None:
    table = with_axes([{"train.learning_rate": 0.1}, {"train.learning_rate": 0.3}])
    assert numeric_axes(table) == ["train.learning_rate"]
    assert numeric_axes(replace(table, searched=table.groups[0].lines)) == []


def test_only_one_baseline_has_a_band_and_the_caption_says_so(drawn: dict[str, Plot]) -> None:
    assert "The band is" in drawn["beauty-contrast-0-temperature"].caption
    axes = [{"contrast.0.weight": w, "encoder.dim": d} for d in (32, 64) for w in (0.1, 0.2)]
    table = with_axes([*axes, {"encoder.dim": 32}], seeds=2)
    lines = tuple(replace(line, baseline="variant 4") for line in table.groups[1].lines)
    two = replace(table, groups=(table.groups[0], Group("variant 0", lines), *table.groups[2:]))
    found = {plot.name: plot for plot in plots(two)}
    assert "The band is" not in found["beauty-contrast-0-weight"].caption


def test_a_long_legend_leaves_the_panels_their_height() -> None:
    few, many = ([{"variant": f"{n}"} for n in range(count)] for count in (2, 6))
    heights = []
    for axes in (few, many):
        plot = next(one for one in plots(with_axes(axes)) if one.name == "beauty-curves")
        heights.append(float(re.findall(r'height="([\d.]+)pt"', plot.svg)[0]))
    assert heights[1] > heights[0] + 20.0  # points: two lines more


def test_axes_of_one_name_are_told_apart_by_the_word_before_it() -> None:
    axes = [
        {"encoder.dim": d, "contrast.0.weight": w, "contrast.1.weight": 1 - w}
        for d in (32, 64) for w in (0.25, 0.5)
    ]  # fmt: skip
    found = series(with_axes(axes), "encoder.dim")
    assert set(found) == {"0.weight=0.25 1.weight=0.75", "0.weight=0.5 1.weight=0.5"}


def test_random_draws_are_points_without_a_line() -> None:
    axes = [{"train.learning_rate": x, "encoder.dropout": y} for x, y in ((0.1, 0.2), (0.3, 0.4))]
    assert list(series(with_axes(axes), "encoder.dropout")) == ["one variant each"]


def test_more_series_than_colours_are_cut_and_the_caption_says_so() -> None:
    axes = [{"contrast.0.weight": w, "encoder.dim": d} for d in range(9) for w in (0.1, 0.2)]
    table = with_axes(axes)
    found = {plot.name: plot for plot in plots(table)}
    assert f"The best {SERIES} of 9 series." in found["beauty-contrast-0-weight"].caption
    assert f"{SERIES} of 19 variants" in found["beauty-curves"].caption
    assert ">weight of the contrast<" in found["beauty-contrast-0-weight"].svg


@pytest.mark.parametrize(
    ("axis", "values", "expected"),
    [
        ("contrast.0.temperature", [0.1, 0.2], "log"),
        ("contrast.0.weight", [0.1, 0.2], "linear"),
        ("train.learning_rate", [1e-4, 1e-2], "log"),
        ("contrast.0.weight", [0.0, 10.0], "linear"),
    ],
)
def test_wide_ranges_and_temperatures_are_logarithmic(
    axis: str, values: list[float], expected: str
) -> None:
    group = beauty(made_study(users=20)).groups[0]
    assert scale({"one": [(x, group) for x in values]}, axis) == expected


def test_a_bucket_is_named_by_its_ends() -> None:
    ends = [(1, 4), (5, 5), (21, None)]
    assert [bucket({"from": low, "to": high}) for low, high in ends] == ["1-4", "5", "21+"]


def test_an_inline_drawing_loads_nothing_and_has_ids_of_its_own(drawn: dict[str, Plot]) -> None:
    svg = inline(drawn["beauty-gains"].svg, "p1-")
    assert "http" not in svg
    assert "<style" not in svg
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(set(ids)) == len(ids) > 10
    assert all(one.startswith("p1-") for one in ids)
    used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)
    assert used
    assert {one or other for one, other in used} <= set(ids)
