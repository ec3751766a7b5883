"""Numbers that are equal but for rounding: the oracle is the same numbers, whole or exact fractions."""

import math
from fractions import Fraction
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from robustbench_act.metrics import leaderboard
from robustbench_act.metrics.reference import run_reference
from robustbench_act.statistics import (
    are_equal,
    compare_images,
    compare_seeds,
    drop_test,
    spearman,
    with_ties,
)
from tests.build_run import Builder

SUMS = [sum(parts) / 0.6 for parts in permutations((0.1, 0.2, 0.3))]
"""1, as three orders of adding may give it."""


def test_the_sums_differ_by_rounding() -> None:
    assert len(set(SUMS)) > 1
    assert are_equal(SUMS)
    assert are_equal(1e6 * np.array(SUMS))
    assert not are_equal([0.5, 0.5 + 1 / (1_300_000 * 95)])  # one image in one cell
    assert not are_equal([1e-7, 2e-7])  # small numbers have a size too
    assert are_equal([1e-17, 2e-17], size=1.0)  # differences of larger ones


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_seeds_that_are_equal_do_not_differ(seeds: int) -> None:
    found = compare_seeds(SUMS[:seeds], SUMS[::-1][:seeds])
    assert (found.p, found.difference, found.interval) == (1.0, 0.0, (0.0, 0.0))
    assert math.isnan(found.effect)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([0.2, 0.3, 0.4], [0.1, 0.2, 0.3]),  # 0.1, but for rounding
        ([0.75, 0.5, 0.25], [0.5, 0.25, 0.0]),  # exactly 0.25
        ([77.1, 74.9], [75.0, 72.8]),  # in points
        ([2.0] * 6, SUMS),
    ],
)
def test_seeds_that_differ_by_one_amount_have_no_test(a: list[float], b: list[float]) -> None:
    found = compare_seeds(a, b)
    assert (found.test, found.note) == ("none", "all seeds differ by the same amount")
    assert found.difference == pytest.approx(a[0] - b[0])
    assert np.isnan([found.p, found.effect, *found.interval]).all()


def test_ranks_of_seeds_are_those_of_whole_numbers() -> None:
    """Differences of 0, 1, 1, ... tenths: which of two equal ones is larger must not be up to rounding."""
    b = np.array([1, 2, 3, 1, 2, 5, 40, 3, 7, 2])
    a = b + np.array([1, 1, -1, 2, 2, 0, 30, -2, 3, 1])
    found = compare_seeds(a / 10, b / 10)
    assert len(set(np.abs(a / 10 - b / 10))) > len(set(np.abs(a - b)))
    assert found.test == "Wilcoxon signed-rank over seeds"
    assert found.p == pytest.approx(stats.wilcoxon(a - b).pvalue, rel=1e-12)


def test_values_that_hardly_vary_count_as_normal() -> None:
    """Shapiro and Wilk would test the rounding: here it looks skewed."""
    x = 0.3 + np.array([0, 0, 0, 0, 0, 0, 0, 8]) * np.spacing(0.3)
    y = np.random.default_rng(0).normal(0.2, 0.01, 8)
    assert stats.shapiro(x).pvalue < 0.05 < stats.shapiro(y).pvalue
    found, exact = compare_seeds(x, y), compare_seeds([0.3] * 8, y)
    assert found.test == exact.test == "paired t-test over seeds"
    assert found.p == pytest.approx(exact.p)


def test_images_that_are_equal_do_not_differ() -> None:
    found = compare_images(SUMS, SUMS[::-1])
    assert (found.p, found.difference, found.interval) == (1.0, 0.0, (0.0, 0.0))
    assert math.isnan(found.effect)
    moved = np.subtract(SUMS, SUMS[::-1])  # as `compare` hands over changes
    assert moved.any()
    assert compare_images(moved, np.zeros(6)).p == 1.0
    assert drop_test(moved) == (1.0, 0.0)


@pytest.mark.parametrize("images", [2, 6])
def test_images_that_all_fall_alike_decide_by_their_signs(images: int) -> None:
    found = compare_images([0.5] * images, SUMS[:images])
    assert (found.test, found.note) == ("sign test over images", "all images differ by the same amount")
    assert found.p == float(Fraction(2, 2**images))
    assert math.isnan(found.effect)
    assert drop_test(np.subtract(SUMS[:images], 0.5)) == (float(Fraction(1, 2**images)), 0.0)
    assert drop_test(np.subtract(0.5, SUMS[:images])) == (1.0, 0.0)


def test_rank_correlations_are_those_of_whole_numbers() -> None:
    x, y = [1, 1, 2, 3, 3], [3, 1, 1, 2, 2]
    rounded = [0.1 + 0.2, 0.3, 0.6, 0.9, 0.3 * 3]
    assert len(set(rounded)) == 5
    expected = stats.spearmanr(x, y)
    assert spearman(rounded, np.array(y) / 10) == pytest.approx((expected.statistic, expected.pvalue))


def test_ties_keep_order_and_what_is_not_finite() -> None:
    found = with_ties([np.inf, 0.1 + 0.2, np.nan, 0.3, -1.0, np.inf])
    assert np.array_equal(found, [np.inf, 0.3, np.nan, 0.3, -1.0, np.inf], equal_nan=True)
    assert with_ties([]).shape == (0,)


def equal_activations() -> pd.DataFrame:
    """Return cells of three activations, alike but for rounding."""
    made = Builder(correct={(name, 1): (120, *[60] * 6) for name in ("a", "b", "c")}).cells()
    ulps = made["activation"].map({"a": 0, "b": 1, "c": 2}) * np.spacing(0.6)
    return made.assign(accuracy=made["accuracy"] + ulps)


def test_activations_that_are_equal_share_a_rank() -> None:
    board = leaderboard(equal_activations())
    assert board["mca"].nunique() == 3
    assert board["rank"].tolist() == [1, 1, 1]


def test_no_line_goes_through_one_clean_accuracy() -> None:
    cells = equal_activations()
    assert cells.loc[cells["severity"] == 0, "accuracy"].nunique() == 3
    assert run_reference(cells, "all").line is None
