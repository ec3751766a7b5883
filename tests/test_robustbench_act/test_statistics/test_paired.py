"""Paired tests against scipy and hand-made sums, and whether they keep their level."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from robustbench_act.errors import InputError
from robustbench_act.statistics import compare_images, compare_outcomes, compare_seeds, holm


def outcomes(only_a: int, only_b: int, both: int = 7, neither: int = 4) -> tuple[list[int], list[int]]:
    """Return two networks' outcomes with these counts."""
    a = [1] * only_a + [0] * only_b + [1] * both + [0] * neither
    b = [0] * only_a + [1] * only_b + [1] * both + [0] * neither
    return a, b


@pytest.mark.parametrize(("only_a", "only_b"), [(1, 0), (3, 9), (12, 12), (40, 22)])
def test_mcnemar_is_the_sum_of_binomial_terms(only_a: int, only_b: int) -> None:
    n = only_a + only_b
    tail = sum(Fraction(math.comb(n, k), 2**n) for k in range(min(only_a, only_b) + 1))
    found = compare_outcomes(*outcomes(only_a, only_b))
    assert found.p == pytest.approx(float(min(2 * tail, Fraction(1))), rel=1e-12)
    assert found.difference == pytest.approx((only_a - only_b) / (n + 11))
    assert found.interval.low < found.difference < found.interval.high
    assert found.effect == (only_a / only_b if only_b else math.inf)
    assert found.pairs == n + 11


def test_networks_that_agree_do_not_differ() -> None:
    found = compare_outcomes(*outcomes(0, 0))
    assert (found.p, found.difference, found.note) == (1.0, 0.0, "both agree on every image")
    assert math.isnan(found.effect)
    same = compare_images([0.5, 0.2], [0.5, 0.2])
    assert (same.p, same.interval) == (1.0, (0.0, 0.0))


def test_mcnemar_keeps_its_level_and_its_interval_covers() -> None:
    """Equally accurate networks that disagree on a tenth of 300 images; exact, so below 5 %."""
    random = np.random.default_rng(0)
    rejected = covered = 0
    for _ in range(2000):
        only_a, only_b, rest = random.multinomial(300, [0.05, 0.05, 0.9])
        found = compare_outcomes(*outcomes(only_a, only_b, rest, 0))
        rejected += found.p < 0.05
        covered += found.interval.low <= 0 <= found.interval.high
    assert 0.01 < rejected / 2000 <= 0.06
    assert 0.93 <= covered / 2000 <= 0.97


def equal_networks(images: int, cases: int, *, bootstrap: bool) -> tuple[float, float]:
    """Return how often a difference is found where there is none, and how often the interval holds 0."""
    random = np.random.default_rng(images)
    rejected = covered = 0
    for seed in range(cases):
        a, b = np.clip(0.8 + 0.1 * random.standard_normal((2, images)), 0, 1)
        found = compare_images(a, b, seed=seed, bootstrap=bootstrap)
        rejected += found.p < 0.05
        covered += found.interval.low <= 0 <= found.interval.high
    return rejected / cases, covered / cases


@pytest.mark.parametrize("images", [100, 300])
def test_images_keep_the_level_and_are_covered(images: int) -> None:
    rejected, covered = equal_networks(images, 2000, bootstrap=False)
    assert 0.04 <= rejected <= 0.06
    assert 0.93 <= covered <= 0.97


@pytest.mark.slow
def test_the_bootstrap_over_images_covers() -> None:
    _, covered = equal_networks(300, 500, bootstrap=True)
    assert 0.93 <= covered <= 0.97


def test_images_equal_scipys_paired_test() -> None:
    a, b = np.random.default_rng(5).random((2, 50))
    found = compare_images(a, b)
    assert found.p == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-9)
    assert found.effect == pytest.approx(np.mean(a - b) / np.std(a - b, ddof=1))


@pytest.mark.parametrize("seeds", [5, 30, *(pytest.param(some, marks=pytest.mark.slow) for some in (3, 10))])
@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_the_papers_rule_keeps_its_level(seeds: int, shape: str) -> None:
    random = np.random.default_rng(seeds)
    draw = random.standard_normal if shape == "normal" else random.standard_exponential
    rejected = np.mean([compare_seeds(*draw((2, seeds))).p < 0.05 for _ in range(2000)])
    assert rejected <= 0.06
    assert rejected >= (0.04 if seeds >= 10 else 0.01)  # with few seeds the Wilcoxon branch cannot reject


def test_the_papers_rule_chooses_its_test() -> None:
    random = np.random.default_rng(7)
    a, b = random.standard_normal((2, 30))
    normal = compare_seeds(a, b)
    assert normal.test == "paired t-test over seeds"
    assert normal.p == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-9)
    skewed = compare_seeds(np.exp(3 * a), b)
    assert skewed.test == "Wilcoxon signed-rank over seeds"
    assert skewed.p == pytest.approx(stats.wilcoxon(np.exp(3 * a), b).pvalue, rel=1e-9)
    assert skewed.note == ""


def test_few_seeds_are_said() -> None:
    few = compare_seeds([0.1, 0.1, 0.1, 0.1, 0.9], [0.0, 0.01, 0.02, 0.03, 0.04])
    assert few.test == "Wilcoxon signed-rank over seeds"
    assert few.note == "with 5 training seeds the Wilcoxon test cannot reject"
    assert few.p > 0.05
    one = compare_seeds([0.8], [0.7])
    assert (one.test, one.note) == ("none", "one training seed has no test")
    assert math.isnan(one.p)


def test_missing_numbers_give_no_verdict() -> None:
    assert math.isnan(compare_images([0.1, np.nan], [0.2, 0.3]).p)
    assert math.isnan(compare_seeds([0.1, np.nan, 0.3], [0.2, 0.3, 0.1]).p)


@pytest.mark.parametrize("pair", [([], []), ([1], [1, 0]), ([[1]], [[1]])])
def test_what_is_not_paired_is_refused(pair: tuple[list[int], list[int]]) -> None:
    for compare in (compare_outcomes, compare_images, compare_seeds):
        with pytest.raises(InputError, match="two vectors of one length"):
            compare(*pair)


def test_holm_by_its_definition() -> None:
    """Adjusted p: the smallest level at which Holm's steps reject that hypothesis."""
    p = np.array([0.011, 0.02, 0.9, 0.012, np.nan, 0.3])
    tested = p[~np.isnan(p)]
    ordered = np.sort(tested)

    def rejects(value: float, level: float) -> bool:
        steps = ordered <= level / np.arange(len(ordered), 0, -1)
        first = len(ordered) if steps.all() else int(np.argmin(steps))
        return bool(value in ordered[:first])

    for value, adjusted in zip(p, holm(p), strict=True):
        if np.isnan(value):
            assert np.isnan(adjusted)
        elif adjusted < 1:
            assert rejects(value, adjusted * (1 + 1e-9))
            assert not rejects(value, adjusted * (1 - 1e-9))
        else:
            assert not rejects(value, 0.999)
    assert holm([]).shape == (0,)


def test_the_interval_over_images_is_nearly_the_bootstraps() -> None:
    """Student's t, and scipy's own of it; a thousand images."""
    random = np.random.default_rng(4)
    a, b = random.random((2, 1000)) > [[0.3], [0.35]]
    drawn, plain = (compare_images(a, b, bootstrap=way) for way in (True, False))
    found = stats.ttest_rel(a.astype(float), b.astype(float)).confidence_interval()
    assert plain.interval == pytest.approx((found.low, found.high))
    assert (plain.difference, plain.p) == (drawn.difference, drawn.p)
    assert plain.interval == pytest.approx(drawn.interval, abs=0.004)
