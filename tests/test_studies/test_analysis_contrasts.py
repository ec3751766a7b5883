"""The tests of one value for each network, against SciPy and sums written out."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from studies.analysis.contrasts import PRIMARY, Pair, as_family, equivalence, first_to_reach, paired_t

PAIR = Pair("a", "b")


def drawn(lead: float, seeds: int = 7) -> pd.DataFrame:
    random = np.random.default_rng(1)
    common = random.normal(size=(seeds, 1))
    table = pd.DataFrame(common + random.normal(scale=0.2, size=(seeds, 2)), columns=["a", "b"])
    return table.assign(a=table["a"] + lead)


def test_paired_t_is_that_of_scipy() -> None:
    values = drawn(0.3)
    found = paired_t("x", "y", values, PAIR)
    expected = stats.ttest_rel(values["a"], values["b"])
    interval = expected.confidence_interval()
    assert found.estimate == pytest.approx((values["a"] - values["b"]).mean())
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.seeds == 7


def test_detectable_difference_is_shown_in_four_of_five_studies() -> None:
    """Of studies with that true difference and the spread of this one, at the level of one of two tests."""
    values = drawn(0.0, seeds=20)
    found = paired_t("x", "y", values, PAIR, tests=2)
    spread = float((values["a"] - values["b"]).std())
    studies = np.random.default_rng(0).normal(found.detectable, spread, size=(4000, 20))
    assert (stats.ttest_1samp(studies, 0, axis=1).pvalue < 0.025).mean() == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("lead", "within"), [(0.0, True), (0.25, False), (-0.4, False)])
def test_equivalence_is_two_one_sided_tests(lead: float, within: bool) -> None:
    values, margin = drawn(lead), 0.3
    found = equivalence("x", "y", values, PAIR, margin)
    apart = values["a"] - values["b"]
    error = apart.std(ddof=1) / np.sqrt(7)
    above = stats.t.sf((apart.mean() + margin) / error, 6)  # of "it is -margin or less"
    below = stats.t.cdf((apart.mean() - margin) / error, 6)  # of "it is margin or more"
    assert found.p == pytest.approx(max(above, below))
    assert (found.p < 0.05) == within
    assert found.note == f"{'within' if within else 'not shown to be within'} 35%; 90 % interval"
    interval = stats.ttest_rel(values["a"], values["b"]).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_steps_that_all_networks_reached_are_a_paired_t_test_of_logs() -> None:
    steps = pd.DataFrame({"a": [50.0, 100, 100, 150], "b": [100.0, 100, 200, 250]})
    found = first_to_reach("e", "steps", steps, PAIR, every=10)
    assert found.test == "paired t"
    assert found.p == pytest.approx(stats.ttest_rel(np.log(steps["a"]), np.log(steps["b"])).pvalue)


def test_censored_networks_make_it_a_sign_test() -> None:
    """Ties and seeds with both censored do not count; a network that got there is before one that did not."""
    never = np.nan
    steps = pd.DataFrame(
        {
            "a": [50, 50, 100, 100, 50, 300, 200, never, 150],
            "b": [100, 60, never, 200, 90, 100, 200, never, never],
        }
    )
    found = first_to_reach("e", "steps", steps, PAIR, every=10)
    assert found.test == "sign"
    assert found.p == pytest.approx(stats.binomtest(6, 7).pvalue)
    assert found.estimate == pytest.approx((1 - 6) / 7)
    assert found.note == "a first in 6 seeds, b in 1; 4 networks censored"


def test_nothing_to_compare_shows_nothing() -> None:
    never = pd.DataFrame({"a": [np.nan, 50.0], "b": [np.nan, 50.0]})
    assert first_to_reach("e", "steps", never, PAIR, every=50).p == 1
    same = pd.DataFrame({"a": [50.0, 100.0], "b": [50.0, 100.0]})
    assert first_to_reach("e", "steps", same, PAIR, every=50).p == 1


def test_equal_differences_are_no_more_sure_than_the_checks_are_dense() -> None:
    """All networks of a at the first check, all of b at the second: the steps are known to 50."""
    steps = pd.DataFrame({"a": [50.0] * 5, "b": [100.0] * 5})
    found = first_to_reach("e", "steps", steps, PAIR, every=50)
    error = np.sqrt((1 + 1 / 4) / 12 / 5)  # uniform errors of widths 1 and 1/2 in the logs, five seeds
    assert found.p == pytest.approx(2 * stats.t.sf(np.log(2) / error, 4))
    assert found.high - found.low == pytest.approx(2 * stats.t.ppf(0.975, 4) * error)


def test_equal_values_are_equivalent() -> None:
    same = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0]})
    assert equivalence("x", "y", same, PAIR, 0.05).p == 0
    assert equivalence("x", "y", same.assign(a=same["a"] + 1), PAIR, 0.05).p == 1


def test_a_family_is_corrected_by_holm() -> None:
    """The smallest p counts as many times as there are tests, and no larger one becomes smaller than it."""
    tests = [paired_t("x", "y", drawn(lead), PAIR) for lead in (0.2, 0.6, 0.21)]
    (third, first, second) = (one.p for one in tests)
    assert first < second < third
    adjusted = [3 * first, max(3 * first, 2 * second), max(3 * first, 2 * second, third)]
    found = as_family(tests)
    assert [one.adjusted for one in found] == pytest.approx([adjusted[2], adjusted[0], adjusted[1]])
    assert {one.role for one in found} == {PRIMARY}
