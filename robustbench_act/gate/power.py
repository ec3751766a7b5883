"""What a gate can see: the chance that a loss of accuracy fails it."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import ndtr, stdtrit

from robustbench_act.gate.rules import GATE_LEVEL, TOLERANCE, TRAINING_LEVEL
from robustbench_act.statistics.intervals import CONFIDENCE, Floats
from robustbench_act.statistics.moderation import moderate

_EXPERIMENTS = 2000


def power(
    drop: float,
    *,
    images: int,
    spread: float,
    tests: int = 1,
    tolerance: float = TOLERANCE,
    level: float = GATE_LEVEL,
) -> float:
    """Return the probability that a true drop of accuracy fails a line of the unit weights.

    The first step of Holm's correction, level / tests, on a noncentral t. If there is a rule on single
    corruptions, half the level is its own.

    Parameters
    ----------
    drop, tolerance
        Points.
    spread
        Standard deviation, over images, of the difference of an image's mean over cells (a share, at most 1).
    tests
        Lines of the check.
    level
        Of all tests together.

    Examples
    --------
    >>> power(1.0, images=10_000, spread=0.12) > 0.98, power(0.3, images=10_000, spread=0.12) < 0.001
    (True, True)
    """
    error = 100 * spread / math.sqrt(images)
    limit = stats.t.isf(level / tests, images - 1)
    return float(stats.nct.sf(limit, images - 1, (drop - tolerance) / error))


def detectable_drop(
    *, images: int, spread: float, tests: int = 1, tolerance: float = TOLERANCE, level: float = GATE_LEVEL
) -> float:
    """Return the smallest true drop, in points, that fails the line in 99 of 100 runs; see `power`.

    >>> round(detectable_drop(images=10_000, spread=0.12), 2)
    0.97
    """
    low, high = 0.0, 1000.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        found = power(middle, images=images, spread=spread, tests=tests, tolerance=tolerance, level=level)
        low, high = (low, middle) if found >= 0.99 else (middle, high)
    return high


def trainings(*, deviation: float, seeds: int, activations: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Return standard errors that checks of the unit training would find, in points, and degrees of freedom.

    Of 2,000 simulated experiments: all activations trained with as many seeds on both sides, analysed as the
    gate does, with images enough that they do not count.

    Parameters
    ----------
    deviation
        Standard deviation of the accuracy over trainings, in points.
    """
    random, counts = np.random.default_rng(seed), np.full(2 * activations, seeds)
    scores = deviation * random.standard_normal((_EXPERIMENTS, len(counts), seeds))
    places, degrees = np.arange(activations), counts - 1.0
    found = moderate(scores.var(axis=-1, ddof=1), degrees, float(degrees.sum()))
    variances, df = found.of_pairs(places, places + activations, counts)
    return np.sqrt(variances).ravel(), df.ravel()


def training_power(
    drops: ArrayLike,
    *,
    deviation: float,
    seeds: int,
    activations: int,
    tests: int,
    tolerance: float = TOLERANCE,
    level: float = TRAINING_LEVEL,
) -> Floats:
    """Return the probability that each of some true drops fails an activation's line of the unit training.

    The first step of Holm's correction; see `trainings`, and `power` for the rest.

    Examples
    --------
    >>> training_power([0.3, 10], deviation=2.0, seeds=3, activations=13, tests=78).round(2).tolist()
    [0.0, 0.67]
    """
    errors, df = trainings(deviation=deviation, seeds=seeds, activations=activations)
    limits = tolerance + stdtrit(df, 1 - level / tests) * errors
    beyond = (np.asarray(drops, dtype=float)[..., None] - limits) / (deviation * math.sqrt(2 / seeds))
    return np.asarray(ndtr(beyond).mean(axis=-1))


def usual_bound(*, deviation: float, seeds: int, activations: int) -> float:
    """Return the "no worse than", in points, of half the checks of an unchanged recipe."""
    errors, df = trainings(deviation=deviation, seeds=seeds, activations=activations)
    return float(np.median(stdtrit(df, CONFIDENCE) * errors))
