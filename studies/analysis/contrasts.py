"""Findings: comparisons of two activations, and the tests of values that each network has one of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest, t

from robustbench_act.statistics import Joint, holm

LEVEL = 0.05
POWER = 0.8
PRIMARY, SECONDARY, ROBUSTNESS, EXPLORATORY = "primary", "secondary", "robustness", "exploratory"


class Pair(NamedTuple):
    """Two activations; a finding is about a - b."""

    a: str
    b: str


@dataclass(frozen=True)
class Finding:
    """One comparison: the difference a - b with its 95 % interval, and what tests say of it.

    Attributes
    ----------
    hypothesis, role, measure
        What is asked; role is "primary" for members of the family that Holm's correction is over.
    a, b
        Activations.
    estimate, low, high, unit
        The mean of a - b, and its interval.
    p, adjusted
        Two-sided, and by Holm in the family; NaN outside families.
    detectable
        The true difference that as many networks show 4 times in 5, at the first level of Holm's correction.
    test, seeds, note
        Which test, over how many training seeds, and what else a reader must know.
    """

    hypothesis: str
    role: str
    measure: str
    a: str
    b: str
    estimate: float
    low: float = math.nan
    high: float = math.nan
    unit: str = "log"
    p: float = math.nan
    adjusted: float = math.nan
    detectable: float = math.nan
    test: str = ""
    seeds: int = 0
    note: str = ""


def as_family(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings with their p-values corrected together, and their role as members of a family."""
    adjusted = holm([one.p for one in findings])
    return [replace(one, role=PRIMARY, adjusted=float(p)) for one, p in zip(findings, adjusted, strict=True)]


def paired_t(
    hypothesis: str,
    measure: str,
    values: pd.DataFrame,
    pair: Pair,
    *,
    tests: int = 1,
    unit: str = "log",
    least_error: float = 0.0,
) -> Finding:
    """Compare two columns of `values` (seeds, activations) by the paired t-test over the seeds.

    `tests` is the number of tests in the family, for the detectable difference. The standard error is at
    least `least_error`: values that are known to a grid may agree by luck.
    """
    mean, error, df = _moments(values, pair)
    error = max(error, least_error)
    half = float(t.ppf(1 - LEVEL / 2, df)) * error
    p = float(2 * t.sf(abs(mean) / error, df)) if error > 0 else float(mean == 0)
    detectable = float(t.ppf(1 - LEVEL / tests / 2, df) + t.ppf(POWER, df)) * error
    return Finding(
        hypothesis, SECONDARY, measure, *pair, mean, mean - half, mean + half, unit, p,
        detectable=detectable, test="paired t", seeds=df + 1,
    )  # fmt: skip


def equivalence(hypothesis: str, measure: str, values: pd.DataFrame, pair: Pair, margin: float) -> Finding:
    """Test whether a difference is within -margin to margin: the larger p-value of two one-sided tests."""
    found = paired_t(hypothesis, measure, values, pair)
    mean, error, df = _moments(values, pair)
    half = float(t.ppf(1 - LEVEL, df)) * error
    p = float(t.cdf((abs(mean) - margin) / error, df)) if error > 0 else float(abs(mean) >= margin)
    within = "within" if p < LEVEL else "not shown to be within"
    note = f"{within} {math.expm1(margin):.0%}; 90 % interval"
    return replace(
        found, low=mean - half, high=mean + half, p=p, test="two one-sided t", detectable=math.nan, note=note
    )


def joint_test(
    hypothesis: str, measure: str, joint: Joint, pair: Pair, *, tests: int = 1, note: str = ""
) -> Finding:
    """Compare two activations by the joint analysis of seeds and images, in points."""
    found = joint.compare(*pair)
    low, high = found.interval
    return Finding(
        hypothesis, SECONDARY, measure, *pair, 100 * found.difference, 100 * low, 100 * high, "points",
        p=found.p, detectable=100 * found.detectable(tests), test="joint", seeds=min(found.seeds), note=note,
    )  # fmt: skip


def first_to_reach(
    hypothesis: str, measure: str, steps: pd.DataFrame, pair: Pair, *, every: float, tests: int = 1
) -> Finding:
    """Compare the steps (seeds, activations) that networks took; NaN: it was not reached (censored).

    The paired t-test of log steps, with the error at least that checks every so many steps make (a uniform
    one of that width in the steps of each network). If a network of the pair is censored: the exact sign test
    of which network of a seed was there first; both at once, or both not, does not count.
    """
    own = steps[list(pair)]
    censored = int(own.isna().to_numpy().sum())
    if not censored:
        rounding = every / math.sqrt(12) / own.to_numpy(dtype=float)
        least = float(np.sqrt(np.square(rounding).sum())) / len(own)
        logs = pd.DataFrame(np.log(own))
        return paired_t(hypothesis, measure, logs, pair, tests=tests, least_error=least)
    a, b = (own[name].fillna(np.inf) for name in pair)
    sooner, later = int((a < b).sum()), int((a > b).sum())
    count = sooner + later
    p = float(binomtest(sooner, count).pvalue) if count else 1.0
    estimate = (later - sooner) / count if count else 0.0
    note = f"{pair.a} first in {sooner} seeds, {pair.b} in {later}; {censored} networks censored"
    return Finding(
        hypothesis, SECONDARY, measure, *pair, estimate, unit="share of seeds", p=p,
        test="sign", seeds=len(own), note=note,
    )  # fmt: skip


def _moments(values: pd.DataFrame, pair: Pair) -> tuple[float, float, int]:
    """Return the mean of a - b, its standard error, and its degrees of freedom."""
    differences: NDArray[np.float64] = (values[pair.a] - values[pair.b]).to_numpy(dtype=float)
    count = len(differences)
    return float(differences.mean()), float(differences.std(ddof=1) / math.sqrt(count)), count - 1
