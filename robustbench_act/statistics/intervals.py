"""Confidence intervals: of a share of images, of a mean over training seeds, by bootstrap over either."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from robustbench_act.errors import InputError
from robustbench_act.statistics.rounding import are_equal

CONFIDENCE = 0.95

FEW = 10
"""With fewer correct or fewer wrong images than this, Wilson's interval is too short."""

_RESAMPLES = 2000
_AT_ONCE = 2**24  # weights in memory at a time

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """Both ends of an interval; NaN where there is none."""

    low: Any
    high: Any


def share_interval(correct: ArrayLike, n: ArrayLike, *, confidence: float = CONFIDENCE) -> Interval:
    """Return the interval of a share from counts of independent images, such as an accuracy.

    Wilson's score interval (Wilson 1927); where fewer than 10 images are correct, or fewer than 10 wrong, the
    one of Agresti & Coull (1998), which has the same centre and is wider. For n from 100 to 10,000 and
    accuracies from 0.1 to 0.99 it covers the truth with a probability of 93.3 to 97.3 % where
    n p (1 - p) >= 5 and of 94.1 % or more elsewhere (computed exactly; the percentile bootstrap: 63 % at
    n = 100, p = 0.99). The ends are within [0, 1]; NaN for n = 0. Raises InputError on counts that cannot be.

    Parameters
    ----------
    correct, n
        Integers with 0 <= correct <= n, scalars or arrays of one shape.

    Examples
    --------
    >>> low, high = share_interval(98, 100)
    >>> round(float(low), 3), round(float(high), 3)
    (0.926, 0.999)
    """
    k, size = np.asarray(correct, dtype=float), np.asarray(n, dtype=float)
    if np.any(k < 0) or np.any(k > size):
        raise InputError("Expected 0 <= correct <= n.")
    z = float(ndtri((1 + confidence) / 2))
    size = np.where(size > 0, size, np.nan)
    total = size + z * z
    centre = (k + z * z / 2) / total
    wilson = z * np.sqrt(k * (size - k) / size + z * z / 4) / total
    agresti_coull = z * np.sqrt(centre * (1 - centre) / total)
    half = np.where(np.minimum(k, size - k) < FEW, agresti_coull, wilson)
    return Interval(np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1))


def mean_interval(values: ArrayLike, *, confidence: float = CONFIDENCE) -> Interval:
    """Return Student's t-interval of a mean from its values, such as accuracies of training seeds.

    Exact where the values are normal, from two on; a bootstrap of 3 values would cover the truth in 74 % of
    the cases. NaN for fewer than two values, or where one of them is not finite. Not clipped to [0, 1].

    Examples
    --------
    >>> low, high = mean_interval([0.80, 0.82, 0.84])
    >>> round(low, 4), round(high, 4)
    (0.7703, 0.8697)
    """
    x = np.asarray(values, dtype=float)
    if len(x) < 2 or not np.isfinite(x).all():
        return Interval(np.nan, np.nan)
    low, high = moments_interval(x.mean(), x.std(ddof=1), len(x), confidence=confidence)
    return Interval(float(low), float(high))


def ratio_interval(over: ArrayLike, under: ArrayLike, *, confidence: float = CONFIDENCE) -> Interval:
    """Return the interval of mean(over) / mean(under), of two values of each image, by the delta method.

    The ratio R moves with an image as (over - R under) / mean(under) does; of these the interval is Student's
    (`mean_interval`). The two are paired, so what makes an image hard for both is no chance of the ratio. NaN
    if the mean below is 0, or if no image moves the ratio, which tells nothing about others.

    Examples
    --------
    >>> low, high = ratio_interval([1.0, 0.5, 0.0, 1.0], [1.0, 1.0, 0.0, 1.0])
    >>> round(low, 3), round(high, 3)
    (0.333, 1.333)
    """
    x, y = np.asarray(over, dtype=float), np.asarray(under, dtype=float)
    if not len(y) or y.mean() == 0:
        return Interval(np.nan, np.nan)
    ratio = x.mean() / y.mean()
    moved = (x - ratio * y) / y.mean()
    if are_equal(moved, size=1.0):
        return Interval(np.nan, np.nan)
    return mean_interval(ratio + moved, confidence=confidence)


def moments_interval(mean: Any, spread: Any, count: Any, *, confidence: float = CONFIDENCE) -> Interval:
    """Return `mean_interval` from mean, standard deviation (divisor count - 1) and count of the values.

    These are scalars, arrays or columns of one shape; NaN comes out for a count below two.

    Examples
    --------
    >>> low, high = moments_interval(0.82, 0.02, 3)
    >>> round(float(low), 4), round(float(high), 4)
    (0.7703, 0.8697)
    """
    k = np.where(np.asarray(count) > 1, count, np.nan)
    half = stdtrit(k - 1, (1 + confidence) / 2) * spread / np.sqrt(k)
    return Interval(mean - half, mean + half)


def bootstrap_interval(
    values: ArrayLike,
    *,
    strata: ArrayLike | None = None,
    confidence: float = CONFIDENCE,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the percentile bootstrap interval of a mean over images.

    It is too short for fewer than 5 images of the rarer outcome: take `share_interval`. Raises InputError if
    there is no value, or strata do not fit.

    Parameters
    ----------
    values
        (images,): 0 or 1, or an image's mean over cells.
    strata
        (images,) classes of the images: each class keeps its size.
    seed
        Of the draws; global random state is neither read nor changed.

    Examples
    --------
    >>> low, high = bootstrap_interval(np.arange(200) % 4 > 0)
    >>> low < 0.75 < high
    True
    """
    row = np.asarray(values, dtype=float)
    if row.ndim != 1 or not row.size:
        raise InputError(f"Expected values (images,), at least one, got shape {row.shape}.")
    classes = np.zeros(len(row), dtype=int) if strata is None else np.asarray(strata)
    if classes.shape != row.shape:
        raise InputError(f"Expected a stratum for each of {len(row)} images, got {classes.shape}.")
    means = _resampled(row, classes, resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, ((1 - confidence) / 2, (1 + confidence) / 2))
    return Interval(float(low), float(high))


def _resampled(row: Floats, classes: NDArray[Any], resamples: int, random: np.random.Generator) -> Floats:
    """Return (resamples,): means of the values; equal values are drawn together, which is faster."""
    total = np.zeros(resamples)
    for name in np.unique(classes):
        values, counts = np.unique(row[classes == name], return_counts=True)
        size = int(counts.sum())
        step = max(1, _AT_ONCE // len(values))
        for start in range(0, resamples, step):
            part = total[start : start + step]
            part += random.multinomial(size, counts / size, size=len(part)) @ values
    return total / len(row)
