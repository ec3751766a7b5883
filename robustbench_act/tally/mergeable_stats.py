"""Moments and histograms, which can be merged. Works on NumPy arrays and on tensors.

Loads without torch.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The quantiles in tables."""

BINS_PER_DECADE = 32
LOWEST_DECADE, HIGHEST_DECADE = -8, 6

EDGES: NDArray[np.float64] = 10.0 ** (
    np.arange(LOWEST_DECADE * BINS_PER_DECADE, HIGHEST_DECADE * BINS_PER_DECADE + 1) / BINS_PER_DECADE
)
"""Edges of the histograms: 32 bins per decade from 1e-8 to 1e6, so a bin is 7.5 % wide.

Bin 0 holds the values at or below the first edge (0 included), bin b those in (EDGES[b - 1], EDGES[b]], the
last bin those above and NaN.
"""

BINS = len(EDGES) + 1


class Moments(NamedTuple):
    """Count, mean and sum of squared deviations from the mean, as floats or arrays of floats of one shape.

    >>> Moments(2.0, 1.0, 2.0).merged(Moments(1.0, 4.0, 0.0))
    Moments(count=3.0, mean=2.0, m2=8.0)
    """

    count: Any
    mean: Any
    m2: Any

    def merged(self, other: "Moments") -> "Moments":
        """Return those of both together (Chan, Golub & LeVeque 1983); a count of 0 changes nothing."""
        count = self.count + other.count
        share = other.count / (count + (count == 0))
        delta = other.mean - self.mean
        mean = self.mean + delta * share
        return Moments(count, mean, self.m2 + other.m2 + delta * delta * self.count * share)


def quantiles(counts: NDArray[Any], shares: tuple[float, ...] = QUANTILES) -> NDArray[np.float64]:
    """Return quantiles of histograms (..., BINS) as (..., shares), exact up to one bin.

    Within a bin the logarithm is interpolated; in the lowest bin a quantile is 0, in the highest infinite, of
    an empty histogram NaN.

    >>> counts = np.bincount(np.searchsorted(EDGES, [0.0, 1e-3, 1e-2, 0.1, 1.0]), minlength=BINS)
    >>> quantiles(counts, (0.1, 0.5, 0.9)).round(3).tolist()
    [0.0, 0.01, 0.965]
    """
    edges = np.concatenate([[-np.inf], np.log10(EDGES), [np.inf]])
    reached = np.cumsum(counts, axis=-1, dtype=np.float64)
    wanted = np.asarray(shares) * reached[..., -1:]
    place = (reached[..., None, :] < wanted[..., None]).sum(-1).clip(0, BINS - 1)
    held = np.take_along_axis(np.asarray(counts, dtype=np.float64), place, -1)
    before = np.take_along_axis(reached, place, -1) - held
    share = (wanted - before) / np.where(held > 0, held, 1)
    inside = (place > 0) & (place < BINS - 1)
    low, high = np.where(inside, edges[place], 0.0), np.where(inside, edges[place + 1], 0.0)
    values = np.where(inside, 10.0 ** (low + (high - low) * share), np.where(place == 0, 0.0, np.inf))
    return np.where(reached[..., -1:] > 0, values, np.nan)


def moment_columns(name: str, moments: Moments) -> dict[str, NDArray[np.float64]]:
    """Return `<name>_mean` and `<name>_var` (divisor n - 1) of arrays; NaN if there are too few values."""
    count = np.asarray(moments.count, dtype=np.float64)
    mean = np.where(count > 0, moments.mean, np.nan)
    variance = np.divide(moments.m2, count - 1, out=np.full_like(count, np.nan), where=count > 1)
    return {f"{name}_mean": mean, f"{name}_var": variance}


def quantile_columns(name: str, counts: NDArray[Any], scale: Any) -> dict[str, NDArray[np.float64]]:
    """Return `<name>_q05`, ... of histograms (n, BINS) of values / scale."""
    found = quantiles(counts) * np.reshape(np.asarray(scale, dtype=np.float64), (-1, 1))
    return {f"{name}_{quantile_name(share)}": found[:, i] for i, share in enumerate(QUANTILES)}


def quantile_name(share: float) -> str:
    """Return the name of a quantile in a column.

    >>> quantile_name(0.05)
    'q05'
    """
    return f"q{round(share * 100):02d}"
