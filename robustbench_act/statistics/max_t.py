"""Is the largest of many drops on the same images more than the luck of the largest."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robustbench_act.statistics.intervals import Floats
from robustbench_act.statistics.rounding import ROUNDING

_BLOCK = 250  # flips at a time
_PLAIN = 25  # if so many flips reach the largest t, it is plainly luck
_TIE = 1e-5  # float32 sums in different orders


class LargestDrop(NamedTuple):
    """The most certain drop of a table.

    Attributes
    ----------
    place
        Its row.
    t
        Its t against the tolerance; -inf if nothing changed.
    p
        Adjusted for all rows of all tables.
    """

    place: int
    t: float
    p: float


def largest_drops(
    tables: Sequence[ArrayLike], *, tolerance: float = 0.0, flips: int = 9_999, seed: int = 0
) -> list[LargestDrop]:
    """Return the most certain drop of each table (rows, images), of drops of single images.

    The statistic is the largest t = (mean - tolerance) / standard error of all rows of all tables. What it is
    by luck is found by turning signs: every image's departures from the means get one sign, for all rows at
    once, so that rows that move together count together (max-T, Westfall & Young 1993, with the signs of the
    wild bootstrap). It ends early if it is plain that nothing is out of the ordinary.

    Examples
    --------
    >>> drops = np.random.default_rng(0).normal(size=(19, 400))
    >>> found, = largest_drops([drops + 0.3 * (np.arange(19) == 7)[:, None]])
    >>> found.place, found.p < 0.001
    (7, True)
    """
    found = [_t(np.asarray(table, dtype=float), tolerance) for table in tables]
    places = [int(t.argmax()) for t, _ in found]
    tops = np.array([t[place] for (t, _), place in zip(found, places, strict=True)])
    beyond = _beyond(tops, np.concatenate([rest for _, rest in found]), flips, seed)
    return [
        LargestDrop(place, float(top), float(p)) for place, top, p in zip(places, tops, beyond, strict=True)
    ]


def _t(table: Floats, tolerance: float) -> tuple[Floats, NDArray[np.float32]]:
    """Return (rows,): t; and the standardised departures of the rows that vary."""
    count, means = table.shape[1], table.mean(axis=1)
    apart = table - means[:, None]
    spread = np.sqrt((apart**2).sum(axis=1) / max(count - 1, 1))
    varies = spread > ROUNDING
    over = np.where(np.abs(means - tolerance) > ROUNDING, means - tolerance, 0.0)
    still = np.where(over > 0, math.inf, -math.inf)
    t = np.where(varies, over * math.sqrt(count) / np.where(varies, spread, 1), still)
    return t, (apart[varies] / spread[varies, None]).astype(np.float32)


def _beyond(tops: Floats, apart: NDArray[np.float32], flips: int, seed: int) -> Floats:
    """Return (tops,): the share of flips whose largest t is as large."""
    limits = tops * (1 - _TIE * np.sign(tops))
    if not len(apart) or limits.max() <= 0:  # nothing varies, or nothing is beyond its tolerance
        return np.where(limits > 0, 1 / (flips + 1), 1.0)
    random, count, done, larger = np.random.default_rng(seed), apart.shape[1], 0, np.zeros(len(tops))
    while done < flips:
        block = min(_BLOCK, flips - done)
        signs = 2 * random.integers(0, 2, (block, count), dtype=np.int8) - 1
        means = (signs.astype(np.float32) @ apart.T).astype(float).max(axis=1) / count
        with np.errstate(divide="ignore"):
            largest = means * math.sqrt(count) / np.sqrt(np.maximum(1 - means**2 * count / (count - 1), 0))
        larger += (largest[:, None] >= limits).sum(axis=0)
        done += block
        if larger[limits.argmax()] >= _PLAIN:
            break
    return np.asarray((1 + larger) / (done + 1))
