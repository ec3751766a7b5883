"""Variances that lend each other strength (Smyth 2004: empirical Bayes for many groups of few values)."""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import digamma, polygamma

from robustbench_act.statistics.intervals import Floats
from robustbench_act.statistics.rounding import ROUNDING

MOST_LENT = 10.0
"""Degrees of freedom that all groups together lend to one, at most.

More gains nothing if the groups are alike (13 of 3 values: intervals of the same length within 1 %), and
less loses little; but the more it is, the less is seen of one group that varies more than the others.
"""


class Moderated(NamedTuple):
    """Variances and what they are worth.

    Attributes
    ----------
    variance, df
        (groups,): moderated variances and their degrees of freedom; NaN for a group of one value.
    most
        Degrees of freedom of all groups together.
    """

    variance: Floats
    df: Floats
    most: float


def moderate(own: Floats, df: Floats, most: float, *, floor: Floats | None = None) -> Moderated:
    """Return the moderated variances; where a group's own is larger, its own.

    The prior is fitted to the logarithms of all variances (Smyth 2004, section 6.2): the more alike they are,
    the more it counts.

    Parameters
    ----------
    own, df
        (groups,): variances and their degrees of freedom; 0 degrees where there is none.
    most
        Degrees of freedom of all groups together: no result has more.
    floor
        (groups,): what the results are never below; `own` by default.

    Examples
    --------
    >>> found = moderate(np.array([1.0, 1.2, 0.9, 9.0]), np.full(4, 2.0), 8.0)
    >>> found.variance.round(2).tolist(), found.df.round(1).tolist()
    ([2.62, 2.66, 2.6, 9.0], [8.0, 8.0, 8.0, 8.0])
    """
    known = df > 0
    variance, worth = np.full(len(own), np.nan), np.full(len(own), np.nan)
    if known.any():
        variance[known], worth[known] = own[known], df[known]
    if (size := float(own[known].max(initial=0.0))) > 0:
        s2, d = np.maximum(own[known], size * ROUNDING), df[known]
        prior, lent = _prior(s2, d)
        lent = min(lent, most, MOST_LENT)
        variance[known] = np.maximum(
            (lent * prior + d * s2) / (lent + d), (own if floor is None else floor)[known]
        )
        worth[known] = lent + d
    return Moderated(variance, np.minimum(worth, most), most)


def _prior(s2: Floats, d: Floats) -> tuple[float, float]:
    """Return the variance that the groups have in common, and its degrees of freedom."""
    pooled = float((d * s2).sum() / d.sum())
    if len(s2) < 2:
        return pooled, 0.0
    logs = np.log(s2) - digamma(d / 2) + np.log(d / 2)
    excess = float(logs.var(ddof=1) - polygamma(1, d / 2).mean())
    if excess <= 0:
        return pooled, math.inf
    half = _inverse_trigamma(excess)
    return float(np.exp(logs.mean() + digamma(half) - np.log(half))), 2 * half


def _inverse_trigamma(value: float) -> float:
    """Return x with trigamma(x) = value, by Newton's steps on 1 / trigamma (Smyth 2004, appendix)."""
    x = 0.5 + 1 / value
    for _ in range(50):
        found = float(polygamma(1, x))
        step = found * (1 - found / value) / float(polygamma(2, x))
        x += step
        if -step < 1e-9 * x:
            break
    return x
