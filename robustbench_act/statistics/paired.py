"""Is A more robust than B? Tests of paired outcomes: the same images, or the same training seeds."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtr, stdtrit

from robustbench_act.errors import InputError
from robustbench_act.statistics.intervals import CONFIDENCE, Interval, bootstrap_interval, mean_interval
from robustbench_act.statistics.rounding import are_equal, deviation, with_ties

NORMAL = 0.05
"""Shapiro-Wilk: below this p-value values count as not normal."""

_FEWEST_FOR_WILCOXON = 6  # pairs: with 5 the smallest two-sided p-value is 2 / 2^5 > 0.05


@dataclass(frozen=True)
class Comparison:
    """What a paired test says of A against B.

    Attributes
    ----------
    difference
        Mean of A - B.
    interval
        Of the difference, 95 %.
    p
        Two-sided p-value; NaN where there is no test.
    effect
        Size of the effect, named by `effect_name`: "odds ratio" (images right in A alone / in B alone; 0 / 0
        is NaN) or "d_z" (mean / standard deviation of the differences, Cohen 1988; NaN if they do not vary).
    test, effect_name
        What was used.
    pairs
        Images or seeds that were compared.
    note
        What a reader must know, such as a test that cannot reject; "" where there is nothing.
    """

    difference: float
    interval: Interval
    p: float
    effect: float
    test: str
    effect_name: str
    pairs: int
    note: str = ""


def compare_outcomes(a: ArrayLike, b: ArrayLike) -> Comparison:
    """Compare two classifiers on the same images in one cell: McNemar's test (1947), exact.

    The images that only one of them gets right decide, by the binomial test with p = 1/2. The interval of the
    difference is the adjusted Wald one of Bonett & Price (2012), which holds for few such images too. Raises
    InputError if there is no image, or not the same number.

    Parameters
    ----------
    a, b
        bool (images,): whether each image is classified correctly.

    Examples
    --------
    >>> a = np.arange(100) >= 5
    >>> found = compare_outcomes(a, ~a)
    >>> round(found.difference, 2), found.p < 1e-10, round(found.effect, 2)
    (0.9, True, 19.0)
    """
    from scipy.stats import binomtest  # noqa: PLC0415 - scipy.stats takes half a second to load

    x, y = _pairs(a, b)
    only_a, only_b = int(((x > 0) & (y == 0)).sum()), int(((x == 0) & (y > 0)).sum())
    p = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    difference = x - y
    return Comparison(
        difference=float(difference.mean()),
        interval=_paired_share_interval(only_a, only_b, len(x)),
        p=p,
        effect=_ratio(only_a, only_b),
        test="McNemar, exact",
        effect_name="odds ratio",
        pairs=len(x),
        note="" if only_a + only_b else "both agree on every image",
    )


def compare_images(
    a: ArrayLike, b: ArrayLike, *, strata: ArrayLike | None = None, seed: int = 0, bootstrap: bool = True
) -> Comparison:
    """Compare two classifiers by each image's mean over cells: paired t-test, bootstrap interval.

    Cells of one image move together, so the image is what is drawn: the standard error is that of the
    per-image differences. If these are equal but for rounding (see `rounding`), they have none, and so
    neither t nor d_z: p is 1 if they are 0, else that of the sign test, 2 / 2^images. Raises InputError if
    there is no image, or not the same number.

    Parameters
    ----------
    a, b
        (images,): share of the cells in which each image is classified correctly.
    strata, seed
        See `bootstrap_interval`.
    bootstrap
        Where not, the interval is Student's t: much faster, and hardly another one for some
        hundred images.
    """
    difference = _differences(*_pairs(a, b), size=1.0)
    mean, spread, count = float(difference.mean()), deviation(difference, size=1.0), len(difference)
    drawn = bootstrap_interval(difference, strata=strata, seed=seed) if bootstrap else None
    facts: dict[str, Any] = {
        "difference": mean,
        "interval": drawn or mean_interval(difference),
        "effect": _standardised(mean, spread),
        "effect_name": "d_z",
        "pairs": count,
    }
    p, test, note = _t_test(difference, spread), "paired t-test over images", ""
    if count < 2:
        note = "one image has no test"
    elif mean and spread == 0:
        p, test, note = 2 * 0.5**count, "sign test over images", "all images differ by the same amount"
    return Comparison(p=p, test=test, note=note, **facts)


def compare_seeds(a: ArrayLike, b: ArrayLike) -> Comparison:
    """Compare two groups of networks paired by training seed, by the rule of the LayerAct paper.

    Where both are normal (Shapiro-Wilk, p >= 0.05) the paired t-test, else Wilcoxon's signed-rank test (arXiv
    2306.04940, Tables 14-17). The interval of the mean difference is Student's t. Raises InputError if there
    is no seed, or not the same number.

    Values that are equal but for rounding (see `rounding`) count as equal. If all seeds differ by 0, p is 1.
    If all differ by the same amount, p, effect and interval are NaN: without a spread of the differences
    there is nothing to hold the amount against, and few seeds and few images make that happen by chance.

    Parameters
    ----------
    a, b
        (seeds,): a number for each training seed, in the same order.

    Examples
    --------
    >>> found = compare_seeds([0.81, 0.84, 0.83, 0.85], [0.78, 0.80, 0.79, 0.82])
    >>> found.test, round(found.difference, 4), round(found.p, 3)
    ('paired t-test over seeds', 0.035, 0.001)
    """
    x, y = _pairs(a, b)
    size = float(np.abs([x, y]).max())
    difference = _differences(x, y, size=size)
    mean, spread, count = float(difference.mean()), deviation(difference, size=size), len(difference)
    facts: dict[str, Any] = {
        "difference": mean,
        "interval": mean_interval(difference),
        "effect": _standardised(mean, spread),
        "effect_name": "d_z",
        "pairs": count,
    }
    if count < 2:
        return Comparison(p=math.nan, test="none", note="one training seed has no test", **facts)
    if mean and spread == 0:
        facts["interval"] = Interval(math.nan, math.nan)
        return Comparison(p=math.nan, test="none", note="all seeds differ by the same amount", **facts)
    if count < 3 or (_is_normal(x) and _is_normal(y)):
        return Comparison(p=_t_test(difference, spread), test="paired t-test over seeds", **facts)
    p, few = _wilcoxon(difference, size), count < _FEWEST_FOR_WILCOXON
    note = f"with {count} training seeds the Wilcoxon test cannot reject" if few else ""
    return Comparison(p=p, test="Wilcoxon signed-rank over seeds", note=note, **facts)


def drop_test(drop: ArrayLike, *, tolerance: float = 0.0) -> tuple[float, float]:
    """Return the one-sided p-value of "the mean drop is at most the tolerance" and its standard error.

    The paired t-test over images. `drop` is before - after of each image, shares. If all are equal but for
    rounding (see `rounding`), the standard error is 0, and p is 1 or, if all images fell by more than the
    tolerance, that of the sign test, 1 / 2^images. Both are NaN for fewer than two images.

    Examples
    --------
    >>> p, error = drop_test([0.0] * 90 + [1.0] * 10)
    >>> round(p, 4), round(error, 3), round(drop_test([0.0] * 90 + [1.0] * 10, tolerance=0.05)[0], 3)
    (0.0006, 0.03, 0.05)
    """
    x = np.asarray(drop, dtype=float)
    if len(x) < 2 or np.isnan(x).any():
        return math.nan, math.nan
    error = deviation(x, size=1.0) / math.sqrt(len(x))
    if error == 0:
        fell = x[0] > tolerance and not are_equal([tolerance, x[0]], size=1.0)
        return 0.5 ** len(x) if fell else 1.0, 0.0
    return float(stdtr(len(x) - 1, -(x.mean() - tolerance) / error)), error


def drop_bound(mean: ArrayLike, error: ArrayLike, images: int) -> NDArray[np.float64]:
    """Return the 95 % upper bound of a mean drop, from its estimate and standard error over images (shares).

    Student's, with an image and a half more that lost everything: a loss of few images may have missed all
    that were shown. If none of n changed, the bound is 3.5 / n (exact: 3.0 / n); for any number of images
    lost it is the exact one or more, within 0.01 %; with thousands of images it is Student's.

    Examples
    --------
    >>> drop_bound(0.0, 0.0, 1000).round(4), drop_bound(0.0, 0.003, 10_000).round(4)
    (np.float64(0.0035), np.float64(0.0051))
    """
    unseen, x = 1.5, np.asarray(mean, dtype=float)
    total = images + unseen
    centre = (images * x + unseen) / total
    squares = ((images - 1) * images * np.square(error) + images * x**2 + unseen) / total
    half = stdtrit(images - 1, CONFIDENCE) * np.sqrt(np.maximum(squares - centre**2, 0) / total)
    return np.asarray(np.minimum(centre + half, 1.0))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p-values adjusted for the number of tests (Holm 1979); NaN stays NaN and does not count.

    `p_values` are the whole family that is shown.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(p.shape, np.nan)
    (tested,) = np.nonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return adjusted


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise InputError(f"Expected two vectors of one length, not empty, got {x.shape} and {y.shape}.")
    return x, y


def _paired_share_interval(only_a: int, only_b: int, n: int) -> Interval:
    a, b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    half = float(ndtri((1 + CONFIDENCE) / 2)) * math.sqrt((a + b - (a - b) ** 2) / (n + 2))
    return Interval(max(a - b - half, -1.0), min(a - b + half, 1.0))


def _differences(x: NDArray[np.float64], y: NDArray[np.float64], *, size: float) -> NDArray[np.float64]:
    """Return x - y, which are numbers of a size; all exactly 0 if they are so but for rounding."""
    difference = x - y
    return np.zeros_like(x) if are_equal([0.0, *difference], size=size) else difference


def _t_test(difference: NDArray[np.float64], spread: float) -> float:
    """Return the two-sided p-value of a mean of 0; 1 if all are 0."""
    if len(difference) < 2 or np.isnan(difference).any():
        return math.nan
    if spread == 0:
        return 1.0
    t = difference.mean() / (spread / np.sqrt(len(difference)))
    return float(2 * stdtr(len(difference) - 1, -abs(t)))


def _wilcoxon(difference: NDArray[np.float64], size: float) -> float:
    """Return the p-value of the signed-rank test; differences that are equal but for rounding are ties."""
    from scipy.stats import wilcoxon  # noqa: PLC0415

    ranked = with_ties([0.0, *np.abs(difference)], size=size)[1:]
    return float(wilcoxon(np.copysign(ranked, difference)).pvalue) if difference.any() else 1.0


def _is_normal(values: NDArray[np.float64]) -> bool:
    from scipy.stats import shapiro  # noqa: PLC0415

    return bool(are_equal(values) or shapiro(values).pvalue >= NORMAL)


def _standardised(mean: float, spread: float) -> float:
    return mean / spread if spread else math.nan


def _ratio(over: int, under: int) -> float:
    if under:
        return over / under
    return math.inf if over else math.nan
