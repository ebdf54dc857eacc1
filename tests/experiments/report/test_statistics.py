"""Statistics against closed forms, other implementations and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.report.notes import METHOD
from experiments.report.statistics import (
    bootstrap,
    detectable_over_seeds,
    detectable_over_users,
    effect_size,
    holm,
    interval,
    quantile,
    resampled,
    resamples,
)


def test_holm_on_an_example_worked_by_hand() -> None:
    """.01 * 4, then max(.04, .02 * 3), then max(.06, .03 * 2), then max(.06, .04)."""
    p = np.array([0.03, 0.01, 0.04, 0.02])
    assert holm(p) == pytest.approx([0.06, 0.04, 0.06, 0.06])


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_and_keeps_their_order(values: list[float]) -> None:
    p = np.array(values)
    corrected = holm(p)
    assert np.all(corrected >= p)
    assert np.all(corrected <= 1.0)
    assert np.all(np.diff(corrected[np.argsort(p, kind="stable")]) >= 0.0)


def test_holm_of_one_is_itself() -> None:
    assert holm(np.array([0.2])).tolist() == [0.2]


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=6, unique=True))
def test_the_interval_is_scipys(values: list[int]) -> None:
    found = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert interval(np.array(values)) == pytest.approx((found.low, found.high))


def test_one_value_has_no_interval_and_no_effect_size() -> None:
    assert interval(np.array([0.3])) is None
    assert effect_size(np.array([0.3])) is None


def test_the_effect_size_is_t_over_the_root_of_n() -> None:
    values = np.array([0.1, 0.2, 0.3, 0.1])
    t = stats.ttest_1samp(values, 0.0).statistic
    assert effect_size(values) == pytest.approx(t / 2.0)
    assert effect_size(np.array([0.1, 0.1])) is None  # no spread, no size
    assert effect_size(np.full(3, 0.0475)) is None  # whose mean is rounded


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        (3, (4.302653 + 1.060660) * 0.01),  # t of 2 degrees, from a table
        (5, (2.776445 + 0.940965) * 0.01),
    ],
)
def test_what_seeds_can_show_has_a_closed_form(seeds: int, expected: float) -> None:
    assert detectable_over_seeds(0.01, seeds) == pytest.approx(expected, rel=1e-5)


def test_what_users_can_show_has_a_closed_form() -> None:
    """Normal quantiles of .995 and .9995, from a table; of ten tests each is held to a tenth."""
    assert detectable_over_users(0.01, 1, 0.01) == pytest.approx(0.0257583 + 0.0084162, rel=1e-5)
    assert detectable_over_users(0.01, 10, 0.01) == pytest.approx(0.0329053 + 0.0084162, rel=1e-5)


def test_of_differences_that_seeds_can_show_about_four_in_five_are_shown() -> None:
    """Normal differences whose spread is known; the interval excludes 0 as often as meant."""
    rng, seeds, repetitions = np.random.default_rng(0), 5, 3000
    shift = detectable_over_seeds(1.0 / math.sqrt(seeds), seeds)
    found = [interval(row) for row in rng.normal(shift, size=(repetitions, seeds))]
    shown = np.mean([low_high is not None and low_high[0] > 0.0 for low_high in found])
    assert shown == pytest.approx(0.8, abs=0.05)


def test_of_differences_that_users_can_show_about_four_in_five_are_significant() -> None:
    """Three comparisons, two of them of nothing: the third needs a p of a third of the level."""
    rng, users, repetitions = np.random.default_rng(0), 200, 200
    shift = detectable_over_users(1.0 / math.sqrt(users), 3, 0.01)
    shown = 0
    for _ in range(repetitions):
        rows = rng.normal([[shift], [0.0], [0.0]], size=(3, users))
        shown += holm(bootstrap(rows, 2000, rng))[0] < 0.01
    assert shown / repetitions == pytest.approx(0.8, abs=0.08)


def test_what_seeds_and_users_can_show_alike_is_shown_by_both_in_about_two_thirds() -> None:
    """Of repetitions with other seeds and other users, as METHOD says of a star."""
    rng, seeds, repetitions = np.random.default_rng(0), 5, 20_000
    shift = detectable_over_users(1.0, 1, 0.01)
    spread = math.sqrt(seeds) * shift / detectable_over_seeds(1.0, seeds)
    of_users = rng.normal(shift, size=(repetitions, 1))
    found = of_users + rng.normal(0.0, spread, size=(repetitions, seeds))
    mean, error = found.mean(axis=1), found.std(axis=1, ddof=1) / math.sqrt(seeds)
    by_seeds = mean > quantile(seeds - 1) * error
    by_users = mean > stats.norm.ppf(0.995)
    assert np.mean(by_seeds & by_users) == pytest.approx(2 / 3, abs=0.05)
    (told,) = (note for note in METHOD if note.startswith("smallest detectable difference"))
    assert "each of which is found in about 80 %" in told
    assert "in about two thirds" in told


def differences(shift: float, users: int = 500, zeros: float = 0.5) -> np.ndarray:
    """[1, users], some of them 0."""
    rng = np.random.default_rng(3)
    values = rng.normal(shift, 1.0, size=users)
    return np.where(rng.random(users) < zeros, 0.0, values)[None]


@pytest.mark.parametrize("shift", [0.05, 0.1, -0.12])
def test_the_bootstrap_is_near_the_normal_approximation(shift: float) -> None:
    values = differences(shift)
    z = values.mean() / (values.std() / math.sqrt(values.size))
    p = bootstrap(values, 20_000, np.random.default_rng(0))[0]
    assert p == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.015)


def test_the_bootstrap_is_the_plain_loop_over_the_same_resamples() -> None:
    """Users who differ in nothing are drawn too, and add 0."""
    values = np.array([[0.4, 0.0, -0.3, 0.1, 0.0], [-0.2, 0.0, -0.1, 0.3, 0.0]])
    resamples, moved = 300, [0, 2, 3]
    blocks = resampled(5, len(moved), resamples, np.random.default_rng(7))
    counts = np.concatenate(list(blocks))
    expected = []
    for row in values:
        low = high = 0
        for times in counts:
            total = sum(float(n) * row[user] for n, user in zip(times, moved, strict=True))
            low += total <= 1e-12
            high += total >= -1e-12
        expected.append(min(1.0, 2 * min((1 + low) / 301, (1 + high) / 301)))
    found = bootstrap(values, resamples, np.random.default_rng(7))
    assert found.tolist() == pytest.approx(expected)
    assert 0.0 < min(expected) < 1.0


def test_collapsed_users_are_drawn_as_often_as_all_users_would_be() -> None:
    """Of 10 users 4 matter: counts are multinomial, with mean 1 and covariance -1/10."""
    counts = np.concatenate(list(resampled(10, 4, 40_000, np.random.default_rng(0))))
    assert counts.mean(axis=0) == pytest.approx(np.ones(4), abs=0.02)
    covariance = np.cov(counts.T)
    assert np.diag(covariance) == pytest.approx(np.full(4, 0.9), abs=0.03)
    assert covariance[0, 1] == pytest.approx(-0.1, abs=0.02)


def test_comparisons_that_share_resamples_do_not_change_each_other() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0.05, 1.0, size=(3, 200))
    together = bootstrap(values, 500, np.random.default_rng(0))
    alone = [bootstrap(row[None], 500, np.random.default_rng(0))[0] for row in values]
    assert together.tolist() == alone


def test_nothing_differs_means_p_of_one() -> None:
    assert bootstrap(np.zeros((2, 30)), 100, np.random.default_rng(0)).tolist() == [1.0, 1.0]


def test_the_smallest_p_is_two_over_resamples_plus_one() -> None:
    assert bootstrap(np.ones((1, 30)), 999, np.random.default_rng(0))[0] == pytest.approx(0.002)


@pytest.mark.parametrize("tests", [1, 50, 51, 1000])
def test_in_a_table_of_any_length_the_smallest_p_is_below_the_level(tests: int) -> None:
    assert tests * 2 / (resamples(tests) + 1) < 0.01


def test_without_a_difference_few_are_found() -> None:
    """200 comparisons of pure noise: about one in twenty has p < .05."""
    noise = np.random.default_rng(5).normal(size=(200, 300))
    p = bootstrap(noise, 1000, np.random.default_rng(0))
    assert 0.01 <= float(np.mean(p < 0.05)) <= 0.10
    assert np.all(holm(p) > 0.01)
