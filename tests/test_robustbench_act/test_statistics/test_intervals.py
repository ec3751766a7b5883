"""Intervals against scipy, and whether they cover: exactly for shares, by simulation for the rest."""

import numpy as np
import pytest
from scipy import stats

from robustbench_act.errors import InputError
from robustbench_act.statistics import bootstrap_interval, mean_interval, share_interval

ACCURACIES = np.unique(np.concatenate([np.arange(0.1, 0.9, 0.02), np.arange(0.9, 0.9901, 0.002)]).round(3))


@pytest.mark.parametrize(("correct", "n"), [(10, 20), (90, 100), (15, 1000), (9990, 10000)])
def test_is_wilsons_where_both_outcomes_are_frequent(correct: int, n: int) -> None:
    expected = stats.binomtest(correct, n).proportion_ci(method="wilson")
    assert share_interval(correct, n) == pytest.approx((expected.low, expected.high), rel=1e-12)


def coverage(n: int, accuracy: float) -> float:
    """Return the exact probability that the interval holds the accuracy."""
    correct = np.arange(n + 1)
    low, high = share_interval(correct, np.full(n + 1, n))
    return float(stats.binom.pmf(correct, n, accuracy)[(low <= accuracy) & (accuracy <= high)].sum())


def test_shares_are_covered() -> None:
    """93 to 97 % where n p (1 - p) >= 5 (all but 1 in 100 places; counts jump), 93 % at least elsewhere."""
    sizes = (100, 150, 300, 1000, 3000, 10000)
    places = [(n, p, coverage(n, float(p))) for n in sizes for p in ACCURACIES]
    frequent = np.array([found for n, p, found in places if n * p * (1 - p) >= 5])
    rare = [found for n, p, found in places if n * p * (1 - p) < 5]
    assert min(rare) >= 0.93
    assert frequent.min() >= 0.93
    assert frequent.max() <= 0.975
    assert (frequent <= 0.97).mean() >= 0.99


def test_shares_at_the_ends() -> None:
    low, high = share_interval([0, 10, 0, 1], [10, 10, 0, 1])
    assert (low[:2] >= 0).all()
    assert (high[:2] <= 1).all()
    assert low[0] == 0
    assert 0.2 < high[0] < 0.4
    assert low[1] == pytest.approx(1 - high[0])
    assert np.isnan([low[2], high[2]]).all()
    assert 0 <= low[3] < high[3] == 1
    with pytest.raises(InputError, match="0 <= correct <= n"):
        share_interval(11, 10)


@pytest.mark.parametrize("seeds", [3, 5, 10, 30])
def test_means_over_seeds_are_covered(seeds: int) -> None:
    random = np.random.default_rng(seeds)
    samples = 0.8 + 0.02 * random.standard_normal((4000, seeds))
    covered = [low <= 0.8 <= high for low, high in map(mean_interval, samples)]
    assert 0.94 <= np.mean(covered) <= 0.96


def test_means_equal_those_of_scipy() -> None:
    values = np.random.default_rng(0).random(7)
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert mean_interval(values) == pytest.approx((expected.low, expected.high), rel=1e-12)


@pytest.mark.parametrize("values", [[0.5], [0.5, np.nan]])
def test_means_of_too_little_have_no_interval(values: list[float]) -> None:
    assert np.isnan(mean_interval(values)).all()


@pytest.mark.slow
def test_bootstrap_covers() -> None:
    random, covered = np.random.default_rng(1), 0
    for seed in range(2000):
        values = 0.8 + 0.3 * random.standard_normal(200)
        low, high = bootstrap_interval(values, resamples=500, seed=seed)
        covered += low <= 0.8 <= high
    assert 0.93 <= covered / 2000 <= 0.97


def test_bootstrap_keeps_the_classes() -> None:
    """Where images of a class are alike, only a draw that changes the classes' sizes moves the mean."""
    classes = np.repeat([0, 1, 2], [50, 30, 20])
    values = np.array([0.2, 0.5, 1.0])[classes]
    assert bootstrap_interval(values, strata=classes) == pytest.approx((0.45, 0.45))
    low, high = bootstrap_interval(values)
    assert low < 0.44
    assert high > 0.46


def test_bootstrap_is_seeded_and_leaves_the_global_state() -> None:
    values = np.random.default_rng(2).random(40)
    before = str(np.random.get_state())  # noqa: NPY002
    first = bootstrap_interval(values, seed=3)
    assert first == bootstrap_interval(values, seed=3)
    assert first != bootstrap_interval(values, seed=4)
    assert str(np.random.get_state()) == before  # noqa: NPY002


def test_bootstrap_of_one_value_is_that_value() -> None:
    assert bootstrap_interval([1.0]) == (1.0, 1.0)


def test_bootstrap_refuses_what_does_not_fit() -> None:
    with pytest.raises(InputError, match="at least one"):
        bootstrap_interval([])
    with pytest.raises(InputError, match=r"got shape \(2, 3\)"):
        bootstrap_interval(np.ones((2, 3)))
    with pytest.raises(InputError, match="stratum for each of 3 images"):
        bootstrap_interval([0, 1, 1], strata=[1, 2])
