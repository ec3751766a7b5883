"""Rank correlation."""

from numpy.typing import ArrayLike

from robustbench_act.statistics.rounding import with_ties


def spearman(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """Return Spearman's rank correlation of two columns that both vary (k >= 3), and its p-value.

    Values that are equal but for rounding are ties.

    Examples
    --------
    >>> [round(value, 3) for value in spearman([1, 2, 3, 4], [10, 30, 20, 40])]
    [0.8, 0.2]
    """
    from scipy.stats import spearmanr  # noqa: PLC0415 - scipy.stats takes half a second to load

    found = spearmanr(with_ties(x), with_ties(y))
    return float(found.statistic), float(found.pvalue)
