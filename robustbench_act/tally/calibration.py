"""Calibration error: whether confidences tell how often a network is right."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    sure, right = _checked(confidence, correct)
    if not len(sure):
        return float("nan")
    if equal_mass:
        order = np.argsort(sure, kind="stable")
        sure, right = sure[order], right[order]
        place = np.arange(len(sure)) * bins // len(sure)
    else:
        place = _equal_width(sure, bins)
    gaps = np.bincount(place, weights=right - sure, minlength=bins)
    return float(np.abs(gaps).sum() / len(sure))


def debiased_calibration_error(confidence: ArrayLike, correct: ArrayLike, *, bins: int = BINS) -> float:
    """Return the root of an unbiased estimate of sum over bins of n_b / n * (accuracy_b - confidence_b)^2.

    Chance alone moves a bin's accuracy off its confidence, so `calibration_error` is above 0 for a perfectly
    calibrated network (by 12 % at 60 images, 3 % at 1,000). With d = correct - confidence, the square of a
    bin's mean d is estimated by the mean of d_i d_j over its pairs of different images, which chance leaves
    as it is. That is the debiased squared error of Kumar, Liang & Ma 2019 (arXiv 1909.10155, section 5), with
    the variance of d instead of the one of `correct`, for confidences differ within a bin.

    A mean square below 0 is around 0 as one above is: its root has its sign. In [-1, 1]. Bins of one image
    tell nothing and are left out; NaN if there are only such. Bins are of equal width. Raises InputError if
    the two differ in length.

    Examples
    --------
    >>> round(debiased_calibration_error([0.9] * 4, [True, False, False, False]), 3)  # d: 0.1 and 3 of -0.9
    0.6
    """
    sure, right = _checked(confidence, correct)
    place, gap = _equal_width(sure, bins), right - sure
    count = np.bincount(place, minlength=bins)
    total, squares = (np.bincount(place, weights=each, minlength=bins) for each in (gap, gap**2))
    whole = count > 1
    if not whole.any():
        return float("nan")
    products = (total[whole] ** 2 - squares[whole]) / (count[whole] - 1)  # mean over pairs, times n_b
    mean_square = float(products.sum() / len(sure))
    return float(np.copysign(np.sqrt(abs(mean_square)), mean_square))


def _checked(confidence: ArrayLike, correct: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if sure.ndim != 1 or sure.shape != right.shape:
        raise InputError(f"Expected two vectors of one length, got {sure.shape} and {right.shape}.")
    return sure, right


def _equal_width(sure: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    place: NDArray[np.int64] = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    return place
