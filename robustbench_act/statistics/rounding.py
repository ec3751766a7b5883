"""Numbers that are equal but for rounding: every test that divides by a spread asks here."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROUNDING = 1e-10
"""Share of their size by which equal numbers differ at most.

Sums of 50,000 float64 numbers in different orders differ by up to 5e-12 of their size. The smallest real
difference is larger: one image of 1.3 million in one of 95 cells is 8e-9.
"""


def are_equal(values: ArrayLike, *, size: float | None = None) -> bool:
    """Tell whether finite numbers are equal but for rounding.

    `size` is that of the numbers that they were computed from: a difference has the rounding of its two
    sides, however small it is. By default it is their own.

    >>> are_equal([0.1 + 0.2, 0.3, 0.3]), are_equal([0.3, 0.3001])
    (True, False)
    """
    x = np.asarray(values, dtype=float)
    return bool(np.isfinite(x).all() and (len(x) == 0 or np.ptp(x) <= _allowed(x, size)))


def deviation(values: ArrayLike, *, size: float | None = None) -> float:
    """Return the standard deviation (divisor n - 1); exactly 0 for one number, and for `are_equal` ones."""
    x = np.asarray(values, dtype=float)
    return 0.0 if len(x) < 2 or are_equal(x, size=size) else float(x.std(ddof=1))


def with_ties(values: ArrayLike, *, size: float | None = None) -> NDArray[np.float64]:
    """Return the numbers for ranking: those that are equal but for rounding are the same number.

    >>> with_ties([0.1 + 0.2, 0.5, 0.3]).tolist()
    [0.3, 0.5, 0.3]
    """
    x = np.asarray(values, dtype=float)
    order = np.argsort(x, kind="stable")
    ordered = x[order]
    with np.errstate(invalid="ignore"):  # two infinities have no difference, but are equal
        again = (np.diff(ordered) <= _allowed(x, size)) | (ordered[1:] == ordered[:-1])
    places = np.arange(len(x))
    places[1:][again] = 0
    firsts = np.maximum.accumulate(places)
    tied = np.empty_like(x)
    tied[order] = ordered[firsts]
    return tied


def _allowed(x: NDArray[np.float64], size: float | None) -> float:
    return ROUNDING * (float(np.abs(x[np.isfinite(x)]).max(initial=0.0)) if size is None else size)
