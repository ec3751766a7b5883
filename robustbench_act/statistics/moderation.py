"""Variances that lend each other strength (Smyth 2004: empirical Bayes for many groups of few values)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

from robustbench_act.statistics.intervals import Floats
from robustbench_act.statistics.rounding import ROUNDING

Places = NDArray[np.int64]

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
        (..., groups): moderated variances and their degrees of freedom; NaN for a group of one value.
    most
        Degrees of freedom of all groups together.
    """

    variance: Floats
    df: Floats
    most: float

    def of_pairs(self, a: Places, b: Places, counts: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return (..., pairs): variances of differences of two means, and their degrees of freedom.

        Satterthwaite's (1946), at most those of all groups together.

        Parameters
        ----------
        a, b
            (pairs,): places of groups.
        counts
            (groups,): values in each mean.
        """
        pair = np.array([a, b])
        return self.total(self.variance[..., pair] / counts[pair], self.df[..., pair], axis=-2)

    def total(self, parts: Floats, df: Floats, *, axis: int) -> tuple[Floats, Floats]:
        """Return the sum of parts of a variance along an axis, and its degrees of freedom."""
        whole = parts.sum(axis=axis)
        with np.errstate(invalid="ignore"):
            own = np.where(whole > 0, whole**2 / (parts**2 / df).sum(axis=axis), np.inf)
        return whole, np.minimum(own, self.most)


def moderate(own: Floats, df: Floats, most: float, *, floor: Floats | None = None) -> Moderated:
    """Return the moderated variances; where a group's own is larger, its own.

    The prior is fitted to the logarithms of all variances (Smyth 2004, section 6.2): the more alike they are,
    the more it counts.

    Parameters
    ----------
    own
        (..., groups): variances, of one experiment or of many.
    df
        (groups,): their degrees of freedom; 0 for a group of one value.
    most
        Degrees of freedom of all groups together: no result has more.
    floor
        (..., groups): what the results are never below; `own` by default.

    Examples
    --------
    >>> found = moderate(np.array([1.0, 1.2, 0.9, 9.0]), np.full(4, 2.0), 8.0)
    >>> found.variance.round(2).tolist(), found.df.round(1).tolist()
    ([2.62, 2.66, 2.6, 9.0], [8.0, 8.0, 8.0, 8.0])
    """
    known = df > 0
    variance, worth = np.full(own.shape, np.nan), np.full(own.shape, np.nan)
    if not known.any():
        return Moderated(variance, worth, most)
    s2, d = own[..., known], df[known]
    size = s2.max(axis=-1, keepdims=True)
    raised = np.maximum(s2, size * ROUNDING)
    prior, lent = _prior(np.where(size > 0, raised, 1.0), d)
    lent = np.where(size > 0, np.minimum(lent, min(most, MOST_LENT)), 0.0)
    lower = s2 if floor is None else floor[..., known]
    found = np.maximum((lent * prior + d * raised) / (lent + d), lower)
    variance[..., known] = np.where(size > 0, found, s2)
    worth[..., known] = lent + d
    return Moderated(variance, np.minimum(worth, most), most)


def moderate_blocked(apart: Floats, df: Floats) -> Moderated:
    """Return the moderated variances of groups whose values were made apart from the mean of their block.

    A block is a seed that all groups have.

    Parameters
    ----------
    apart
        (..., groups): variances of what each value is apart from its block's mean.
    df
        (groups,): degrees of freedom of each, all the same.
    """
    count = apart.shape[-1]
    pooled = apart.sum(axis=-1, keepdims=True) / (count - 1)
    unbiased = (apart - pooled / count) * count / (count - 2) if count > 2 else None
    return moderate(apart * count / (count - 1), df, float((count - 1) * df[0]), floor=unbiased)


def _prior(s2: Floats, d: Floats) -> tuple[Floats, Floats]:
    """Return (..., 1): the variance that the groups have in common, and its degrees of freedom."""
    pooled = (d * s2).sum(axis=-1, keepdims=True) / d.sum()
    endless = np.full(pooled.shape, np.inf)
    if len(d) < 2:
        return pooled, 0 * pooled
    logs = np.log(s2) - digamma(d / 2) + np.log(d / 2)
    excess = logs.var(axis=-1, ddof=1, keepdims=True) - polygamma(1, d / 2).mean()
    if not (varied := excess > 0).any():
        return pooled, endless
    half = _inverse_trigamma(np.where(varied, excess, 1.0))
    common = np.exp(logs.mean(axis=-1, keepdims=True) + digamma(half) - np.log(half))
    return np.where(varied, common, pooled), np.where(varied, 2 * half, endless)


def _inverse_trigamma(value: Floats) -> Floats:
    """Return x with trigamma(x) = value, by Newton's steps on 1 / trigamma (Smyth 2004, appendix)."""
    x = 0.5 + 1 / value
    going = np.ones(x.shape, dtype=bool)
    for _ in range(50):
        found = polygamma(1, x[going])
        step = found * (1 - found / value[going]) / polygamma(2, x[going])
        x[going] += step
        going[going] = -step >= 1e-9 * x[going]
        if not going.any():
            break
    return np.asarray(x)
