"""The largest of many drops: against an oracle, and by how often it is wrong."""

import numpy as np
import pytest
from scipy import stats

from robustbench_act.statistics import largest_drops


def test_the_most_certain_drop_is_named_and_one_row_is_the_t_test() -> None:
    random = np.random.default_rng(0)
    rows = 0.1 * random.standard_normal((19, 500))
    rows[4] += 0.01  # a smaller mean, but a surer one
    rows[4] *= 0.5
    rows[7, :2] = 1.0
    (found,) = largest_drops([rows], seed=1)
    t = stats.ttest_1samp(rows.T, 0).statistic
    assert found.place == int(t.argmax())
    assert found.t == pytest.approx(t.max())
    shifted = rows[:1] - rows[0].mean() + 0.012
    (one,) = largest_drops([shifted], tolerance=0.001)
    oracle = float(stats.ttest_1samp(shifted[0], 0.001, alternative="greater").pvalue)
    assert 0.005 < one.p == pytest.approx(oracle, rel=0.3)


def test_rows_that_are_the_same_count_once_and_others_count_each() -> None:
    """Bonferroni's p is the limit of rows that are independent; copies of a row change nothing."""
    random = np.random.default_rng(1)
    row = 0.1 * random.standard_normal((1, 400))
    row += 0.015 - row.mean()
    (alone,) = largest_drops([row])
    (copies,) = largest_drops([np.repeat(row, 20, axis=0)])
    assert copies.p == pytest.approx(alone.p, abs=1e-3)
    others = 0.1 * random.standard_normal((19, 400))
    others -= others.mean(axis=1, keepdims=True)
    (among,) = largest_drops([np.concatenate([row, others])])
    single = stats.ttest_1samp(row[0], 0, alternative="greater").pvalue
    assert among.p == pytest.approx(1 - (1 - single) ** 20, rel=0.4)
    assert among.p > 5 * alone.p


def test_tables_are_adjusted_for_each_other_and_the_seed_decides() -> None:
    random = np.random.default_rng(2)
    table = 0.1 * random.standard_normal((5, 300)) + 0.01
    (alone,) = largest_drops([table])
    together = largest_drops([table, *(0.1 * random.standard_normal((5, 300)) for _ in range(9))])
    assert together[0].t == alone.t
    assert together[0].p >= alone.p
    assert largest_drops([table]) == [alone]


def test_rows_that_do_not_vary() -> None:
    still, lost = np.zeros((2, 50)), np.full((2, 50), 0.5)
    nothing, all_lost = largest_drops([still, lost], flips=999)
    assert (nothing.t, nothing.p) == (-np.inf, 1.0)
    assert (all_lost.t, all_lost.p) == (np.inf, 0.001)
    assert largest_drops([lost], tolerance=0.5)[0].p == 1.0


def test_it_is_wrong_as_often_as_it_says() -> None:
    """Equal rows with long tails: p below 0.05 in 5 % of the cases."""
    random = np.random.default_rng(3)
    tries = 400
    below = 0
    for place in range(tries):
        rows = random.laplace(size=(6, 100)) * random.exponential(size=100)
        below += largest_drops([rows], flips=499, seed=place)[0].p <= 0.05
    assert below / tries == pytest.approx(0.05, abs=0.035)
