"""What a gate can see: the chance that a drop fails it."""

import numpy as np
from scipy import stats

from robustbench_act.gate.rules import GATE_LEVEL, TOLERANCE


def power(
    drop: float,
    *,
    images: int,
    spread: float,
    tests: int = 1,
    tolerance: float = TOLERANCE,
    level: float = GATE_LEVEL,
) -> float:
    """Return the probability that a true drop of accuracy fails the gate.

    The first step of Holm's correction, level / tests, on a noncentral t; and the mean beyond the tolerance.

    Parameters
    ----------
    drop, tolerance
        Points.
    spread
        Standard deviation, over images, of the difference of an image's mean over cells (a share, at most 1).
    tests
        Checkpoints x rules.
    level
        Of all tests together.

    Examples
    --------
    >>> power(1.0, images=10_000, spread=0.12) > 0.99, power(0.0, images=10_000, spread=0.12) < 0.001
    (True, True)
    """
    error = 100 * spread / np.sqrt(images)
    by_test = stats.nct.sf(stats.t.isf(level / tests, images - 1), images - 1, drop / error)
    by_tolerance = stats.norm.sf((tolerance - drop) / error)
    return float(min(by_test, by_tolerance))


def detectable_drop(
    *, images: int, spread: float, tests: int = 1, tolerance: float = TOLERANCE, level: float = GATE_LEVEL
) -> float:
    """Return the smallest true drop, in points, that fails the gate in 99 of 100 runs; see `power`.

    >>> round(detectable_drop(images=10_000, spread=0.12), 2)
    0.67
    """
    low, high = 0.0, 1000.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        found = power(middle, images=images, spread=spread, tests=tests, tolerance=tolerance, level=level)
        low, high = (low, middle) if found >= 0.99 else (middle, high)
    return high
