"""Means of groups, pulled towards their common mean as far as chance explains their differences."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def shrunk_means(values: ArrayLike, groups: ArrayLike) -> NDArray[np.float64]:
    """Return the mean of each group (in the order of their sorted names), shrunk by empirical Bayes.

    The lowest of several measured means is too low: it is the one with the most bad luck. Each is the group's
    true mean plus chance of variance v_k = s^2 / n_k (s^2: variance within groups, pooled); true means are
    spread around m with variance t^2, which is estimated from how much more the means differ than chance
    would have it (one-way analysis of variance; 0 at least). The best guess of a true mean is then
    m + t^2 / (t^2 + v_k) * (mean_k - m) (Efron & Morris 1975; Morris 1983). NaN if every group has one value
    or there is only one group.

    Examples
    --------
    >>> shrunk_means([0, 1, 1, 1, 0, 0, 0, 1], [0, 0, 0, 0, 1, 1, 1, 1]).round(3).tolist()
    [0.625, 0.375]
    """
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    x = np.asarray(values, dtype=float)
    count = np.bincount(place, minlength=len(names)).astype(float)
    means: NDArray[np.float64] = np.bincount(place, weights=x, minlength=len(names)) / count
    size, number = len(x), len(names)
    if number < 2 or size <= number:
        return np.full(number, np.nan)
    within = ((x - means[place]) ** 2).sum() / (size - number)
    between = (count * (means - x.mean()) ** 2).sum() - (number - 1) * within
    spread = max(0.0, between / (size - (count**2).sum() / size))
    chance = within / count
    if spread + within == 0:
        return means
    weights = 1 / (spread + chance)
    middle = (weights * means).sum() / weights.sum()
    found: NDArray[np.float64] = middle + spread * weights * (means - middle)
    return found
