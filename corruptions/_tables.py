"""Tables behind the random streams: quantiles of distributions, and alias tables of Poisson counts.

Built on the host with float64 and exact integers, once per process; no global state.
"""

import math
from collections.abc import Callable
from functools import cache, lru_cache
from statistics import NormalDist
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Distribution: TypeAlias = Literal["normal", "laplace"]

CELL_BITS = 8
"""Leading bits of the mantissa in a quantile table's index: 256 cells per octave of probability."""

OFFSET_BITS = 23 - CELL_BITS
"""Remaining bits of a float32 mantissa: where in its cell a number lies."""

QUANTILE_CELLS = 1 << (9 + CELL_BITS)
"""Sign, exponent and leading mantissa bits of a float32 as an index; few of the cells are ever used."""


def _quantile(distribution: Distribution) -> Callable[[float], float]:
    """Return the quantile function of unit variance for probabilities in (0, 1/2]."""
    if distribution == "normal":
        return NormalDist().inv_cdf
    return lambda probability: math.log(2 * probability) / math.sqrt(2)


@cache
def quantile_lines(distribution: Distribution) -> NDArray[np.int64]:
    """Return the quantile at the left end of each cell and its rise per unit of offset: (QUANTILE_CELLS,).

    Two float32 in one int64, in the order of memory; cells are those of random integers k read as float32.
    A positive k stands for the probability k / 2**32 of the lower half (so it is a *negative* number
    of the distribution), a negative k mirrors it. The slopes keep 8 significant bits: their product
    with an offset of 15 bits is then exact in float32, and it does not matter whether hardware fuses it
    with the sum. The jump this leaves at the end of a cell is below 2**-9 of the cell's width.
    """
    quantile = _quantile(distribution)
    left = np.zeros(QUANTILE_CELLS, dtype=np.float32)
    slope = np.zeros(QUANTILE_CELLS, dtype=np.float32)
    mirror = QUANTILE_CELLS // 2
    for exponent in range(32):  # k in [1, 2**31]: a float32 rounds the largest k up to 2**31
        for mantissa in range(2**CELL_BITS):
            lower = 2.0 ** (exponent - 32) * (1 + mantissa / 2**CELL_BITS)
            upper = lower + 2.0 ** (exponent - 32 - CELL_BITS)
            cell = ((127 + exponent) << CELL_BITS) | mantissa
            start = quantile(min(lower, 0.5))
            step = (quantile(min(upper, 0.5)) - start) / 2**OFFSET_BITS
            left[cell], slope[cell] = start, _round_significant(step, bits=8)
    left[mirror:], slope[mirror:] = -left[:mirror], -slope[:mirror]
    lines: NDArray[np.int64] = np.stack([left, slope], axis=1).view(np.int64)[:, 0]
    return lines


def _round_significant(value: float, *, bits: int) -> float:
    fraction, exponent = math.frexp(value)
    return math.ldexp(round(math.ldexp(fraction, bits)), exponent - bits)


@lru_cache(maxsize=16)
def _poisson_support(mean_per_unit: float, digit_bits: int) -> tuple[NDArray[np.int64], int]:
    """Return the least count of each digit's table row, and log2 of the number of columns.

    Less than 2**-33 of the probability is left out on either side.
    """
    means = mean_per_unit * np.arange(2**digit_bits)
    starts = np.maximum(np.floor(means - 6.6 * np.sqrt(means)), 0)
    ends = np.ceil(means + 7 * np.sqrt(means) + 6)
    width = int((ends - starts).max()) + 1
    return starts.astype(np.int64), (width - 1).bit_length()


def poisson_column_bits(mean_per_unit: float, digit_bits: int) -> int:
    """Return log2 of the number of columns of the alias tables of digit * mean_per_unit."""
    return _poisson_support(mean_per_unit, digit_bits)[1]


@lru_cache(maxsize=16)
def poisson_starts(mean_per_unit: float, digit_bits: int) -> NDArray[np.int32]:
    """Return the count that column 0 stands for, int32 (2**digit_bits,)."""
    return _poisson_support(mean_per_unit, digit_bits)[0].astype(np.int32)


def poisson_probabilities(mean_per_unit: float, digit_bits: int) -> NDArray[np.int64]:
    """Return the probabilities of all counts in units of 2**-32, int64 (digits, columns).

    From p(k) = p(k - 1) * mean / k, with only * / and +: the same integers on every machine.
    """
    starts, column_bits = _poisson_support(mean_per_unit, digit_bits)
    means = mean_per_unit * np.arange(2**digit_bits)
    counts = starts[:, None] + np.arange(2**column_bits)
    ratios = means[:, None] / np.maximum(counts, 1)
    ratios[:, 0] = 1.0
    cumulative = np.cumsum(np.cumprod(ratios, axis=1), axis=1)
    edges = np.rint(cumulative / cumulative[:, -1:] * 2.0**32).astype(np.int64)
    return np.diff(edges, axis=1, prepend=0)


@lru_cache(maxsize=16)
def poisson_entries(mean_per_unit: float, digit_bits: int) -> NDArray[np.int32]:
    """Return Walker's alias tables, int32 (digits * columns,), one row per digit.

    An entry packs the alias (upper `column_bits` bits) and the threshold below which the column itself
    is the outcome (the other bits).
    """
    shares = poisson_probabilities(mean_per_unit, digit_bits)
    column_bits = poisson_column_bits(mean_per_unit, digit_bits)
    full = 1 << (32 - column_bits)
    thresholds, aliases = _alias_rows(shares, full)
    whole = thresholds >= full
    aliases = np.where(whole, np.arange(shares.shape[1]), aliases)
    thresholds = np.where(whole, 0, thresholds)
    packed = (aliases << (32 - column_bits)) | thresholds
    entries: NDArray[np.int32] = packed.astype(np.uint32).view(np.int32).reshape(-1)
    return entries


def _alias_rows(shares: NDArray[np.int64], full: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Split each row of shares (summing to columns * full) into columns of two outcomes.

    All rows at once, one column of each row per step: the smallest column is filled up from the
    largest; a largest one that falls below `full` is filled next.
    """
    height, width = shares.shape
    order = np.argsort(shares, axis=1, kind="stable")
    left = np.take_along_axis(shares, order, axis=1)
    donor = np.zeros_like(left)
    rows = np.arange(height)
    small = np.zeros(height, dtype=np.int64)
    large = np.full(height, width - 1)
    current = small
    for _ in range(width - 1):
        donor[rows, current] = large
        left[rows, large] -= full - left[rows, current]
        poor = left[rows, large] < full
        small = np.where(poor, small, small + 1)
        current = np.where(poor, large, small)
        large = np.where(poor, large - 1, large)
    thresholds, aliases = np.empty_like(left), np.empty_like(left)
    np.put_along_axis(thresholds, order, left, axis=1)
    np.put_along_axis(aliases, order, np.take_along_axis(order, donor, axis=1), axis=1)
    return thresholds, aliases
