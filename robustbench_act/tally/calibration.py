"""Calibration error: whether confidences tell how often a network is right."""

import numpy as np
from numpy.typing import ArrayLike

from robustbench_act.errors import InputError

BINS = 15


def calibration_error(
    confidence: ArrayLike, correct: ArrayLike, *, bins: int = BINS, equal_mass: bool = False
) -> float:
    """Return the expected calibration error: sum over bins of n_b / n * |accuracy_b - confidence_b|.

    Guo et al. 2017 (arXiv 1706.04599, equation 3). In [0, 1]; NaN for no image. Raises InputError if the two
    differ in length.

    Parameters
    ----------
    confidence
        (images,): the largest probability, in [0, 1].
    correct
        bool (images,).
    equal_mass
        Bins of equally many images by rank, as even as they divide (Nguyen & O'Connor 2015); images with the
        same confidence keep their order, which decides ties across a border. Otherwise of equal width:
        (0, 1/bins], (1/bins, 2/bins], ...

    Examples
    --------
    >>> round(calibration_error([0.9, 0.9, 0.6, 0.6], [True, True, True, False]), 3)
    0.1
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if sure.ndim != 1 or sure.shape != right.shape:
        raise InputError(f"Expected two vectors of one length, got {sure.shape} and {right.shape}.")
    if not len(sure):
        return float("nan")
    if equal_mass:
        order = np.argsort(sure, kind="stable")
        sure, right = sure[order], right[order]
        place = np.arange(len(sure)) * bins // len(sure)
    else:
        place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(place, weights=right - sure, minlength=bins)
    return float(np.abs(gaps).sum() / len(sure))
