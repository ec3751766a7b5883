"""Linear filters and resampling of batches, one image independent of another, to the bit.

Every sum runs over the taps in a fixed order, as whole-tensor products and sums: neither the batch nor the
position in it changes a rounding (a convolution or matrix product of a library may).
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._compile import device_constant

Mode: TypeAlias = Literal["replicate", "symmetric", "mirror"]
"""What lies beyond the edge: aaa|abcd|ddd, cba|abcd|dcb or dcb|abcd|cba."""

_NUMPY_MODES: dict[str, Any] = {"replicate": "edge", "symmetric": "symmetric", "mirror": "reflect"}


def gaussian_weights(sigma: float, *, truncate: float = 4.0) -> tuple[float, ...]:
    """Return the weights of a Gaussian at distance 0, 1, ..., r = int(truncate * sigma + 0.5) pixels.

    Normalised: weights[0] + 2 * sum(weights[1:]) is 1. A sigma below 0.5 / truncate gives (1.0,).

    >>> gaussian_weights(0.1), [round(weight, 3) for weight in gaussian_weights(0.5)]
    ((1.0,), [0.787, 0.106, 0.0])
    """
    radius = int(truncate * sigma + 0.5)
    weights = [1.0] + [math.exp(-0.5 * (distance / sigma) ** 2) for distance in range(1, radius + 1)]
    total = weights[0] + 2 * math.fsum(weights[1:])
    return tuple(weight / total for weight in weights)


def gaussian_filter(
    images: Tensor, sigma: float | tuple[float, float], *, truncate: float = 4.0, mode: Mode = "replicate"
) -> Tensor:
    """Return images (N, C, H, W) smoothed by a Gaussian of `sigma` pixels (or: of columns, of rows).

    The kernel ends at int(truncate * sigma + 0.5) pixels, as scikit-image's does. Any radius is allowed: the
    edge rule is repeated beyond the image.
    """
    sigmas = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    for axis, own in zip((2, 3), sigmas, strict=True):
        images = _filter_axis(images, gaussian_weights(own, truncate=truncate), axis, mode)
    return images


def symmetric_filter(images: Tensor, weights: Sequence[float], *, mode: Mode) -> Tensor:
    """Correlate rows and columns of (N, C, H, W) with weights[|distance|]."""
    for axis in (2, 3):
        images = _filter_axis(images, tuple(weights), axis, mode)
    return images


def _filter_axis(images: Tensor, weights: tuple[float, ...], axis: int, mode: Mode) -> Tensor:
    radius, side = len(weights) - 1, images.shape[axis]
    if radius == 0:
        return images
    if radius > side:  # a dense map of the side costs less than the taps
        folded = device_constant(_folded_weights, weights, side, mode, device=images.device)
        return _dense_axis(images, folded, axis)
    return _tap_axis(pad(images, radius, axis=axis, mode=mode), weights, axis)


def _tap_axis(padded: Tensor, weights: tuple[float, ...], axis: int) -> Tensor:
    radius = len(weights) - 1
    side = padded.shape[axis] - 2 * radius
    total = padded.narrow(axis, radius, side) * weights[0]
    for distance in range(1, radius + 1):
        pair = padded.narrow(axis, radius - distance, side) + padded.narrow(axis, radius + distance, side)
        total += pair.mul_(weights[distance])
    return total


def _dense_axis(images: Tensor, folded: Tensor, axis: int) -> Tensor:
    """Apply a matrix (side, side) to an axis, one column of the matrix after the other."""
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    columns = folded.to(images.dtype)
    total = images.narrow(axis, 0, 1) * columns[:, 0].view(shape)
    for column in range(1, images.shape[axis]):
        total += images.narrow(axis, column, 1) * columns[:, column].view(shape)
    return total


def _folded_weights(weights: tuple[float, ...], side: int, mode: Mode) -> NDArray[np.float64]:
    """Return the matrix (side, side) of a symmetric filter, what lies beyond the edges folded into it."""
    radius = len(weights) - 1
    source = _padded_index(side, radius, mode)
    matrix = np.zeros((side, side))
    for offset in range(-radius, radius + 1):
        rows = np.arange(side)
        matrix[rows, source[rows + radius + offset]] += weights[abs(offset)]
    return matrix


def pad(images: Tensor, radius: int, *, axis: int, mode: Mode) -> Tensor:
    """Continue an axis by `radius` elements on both sides; the rule is repeated where it runs out."""
    index = device_constant(_padded_index, images.shape[axis], radius, mode, device=images.device)
    return images.index_select(axis, index)


def _padded_index(side: int, radius: int, mode: Mode) -> NDArray[np.int64]:
    return np.pad(np.arange(side, dtype=np.int64), radius, mode=_NUMPY_MODES[mode])


def motion_blur(images: Tensor, angles: Tensor, *, radius: int, sigma: float) -> Tensor:
    """Return images (N, C, H, W) blurred along one direction each, as ImageMagick's MotionBlur does.

    y[h, w] = sum_i k_i x[h + dy_i, w + dx_i] for i = 0, ..., 2 * radius, with k_i ~ exp(-i^2 / (2 sigma^2))
    of sum 1, dx_i = ceil(i cos a - 0.5), dy_i = ceil(i sin a - 0.5). Edges are replicated; unrounded.

    Parameters
    ----------
    images : Tensor
        Floats (N, C, H, W).
    angles : Tensor
        (N,), in degrees.
    radius, sigma
        In pixels.
    """
    if len(images) == 0:
        return images.clone()
    taps = np.exp(-0.5 * (np.arange(2 * radius + 1) / sigma) ** 2)
    weights = tuple((taps / taps.sum()).tolist())
    return _motion_blur(pad(images, 2 * radius, axis=3, mode="replicate"), *cos_sin(angles), weights)


def _motion_blur(padded: Tensor, cosine: Tensor, sine: Tensor, weights: tuple[float, ...]) -> Tensor:
    count, channels, height, wide = padded.shape
    margin = len(weights) - 1
    width = wide - 2 * margin
    # Row s of this view is the `width` values from place s on: choosing rows copies whole shifted lines.
    lines = padded.as_strided((padded.numel() - width + 1, width), (1, 1))
    rows = torch.arange(height, device=padded.device)
    planes = torch.arange(count * channels, device=padded.device).view(count, channels, 1) * (height * wide)
    total = torch.zeros((), dtype=padded.dtype, device=padded.device)
    for tap, weight in enumerate(weights):
        across = torch.ceil(tap * cosine - 0.5).to(torch.int64)
        down = torch.ceil(tap * sine - 0.5).to(torch.int64)
        row = (rows + down[:, None]).clamp(0, height - 1)
        start = planes + (row * wide + (across[:, None] + margin))[:, None]
        total = total + lines.index_select(0, start.flatten()) * weight
    return total.view(count, channels, height, width)


def cos_sin(degrees: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of angles in degrees, float64, within 2e-16.

    By polynomials: the vectorised routines of a library may round the last elements of a tensor differently.

    >>> cosine, sine = cos_sin(torch.tensor([-90.0, 30.0]))
    >>> [round(value, 6) for value in (cosine + 0).tolist()], [round(value, 6) for value in sine.tolist()]
    ([0.0, 0.866025], [-1.0, 0.5])
    """
    angle = degrees.to(torch.float64)
    quarter = torch.round(angle / 90)
    x = (angle - 90 * quarter) * (math.pi / 180)
    square = x * x
    cosine, sine = torch.ones_like(x), torch.ones_like(x)
    for term in range(9, 0, -1):
        cosine = 1 - cosine * square / ((2 * term - 1) * (2 * term))
        sine = 1 - sine * square / (2 * term * (2 * term + 1))
    sine = sine * x
    turn = torch.remainder(quarter, 4)
    swapped, negative_cosine, negative_sine = (turn == 1) | (turn == 3), (turn == 1) | (turn == 2), turn >= 2
    c, s = torch.where(swapped, sine, cosine), torch.where(swapped, cosine, sine)
    return torch.where(negative_cosine, -c, c), torch.where(negative_sine, -s, s)


def clipped_zoom(images: Tensor, factor: float, *, trim: bool = True) -> Tensor:
    """Return the centre of (N, C, H, W) enlarged by `factor` >= 1 to the same size, linearly interpolated.

    Per axis of length s: the ceil(s / factor) elements in the middle are stretched over round(that * factor)
    places, first and last onto first and last, of which the s in the middle are kept (all without `trim`).
    """
    for axis in (2, 3):
        side = images.shape[axis]
        index = device_constant(_zoom_index, side, factor, trim, device=images.device)
        share = device_constant(_zoom_share, side, factor, trim, device=images.device)
        images = _interpolate(images, index, share, axis)
    return images


def _interpolate(images: Tensor, index: Tensor, share: Tensor, axis: int) -> Tensor:
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    low, high = images.index_select(axis, index[0]), images.index_select(axis, index[1])
    return low + (high - low) * share.to(images.dtype).view(shape)


def _zoom_places(side: int, factor: float, trim: bool) -> tuple[int, int, NDArray[np.float64]]:
    """Return start and length of the centre crop, and the places in it that are sampled."""
    crop = math.ceil(side / factor)
    stretched = round(crop * factor)
    start, length = ((stretched - side) // 2, side) if trim else (0, stretched)
    places = np.arange(start, start + length, dtype=np.float64) * ((crop - 1) / max(stretched - 1, 1))
    return (side - crop) // 2, crop, places


def _zoom_index(side: int, factor: float, trim: bool) -> NDArray[np.int64]:
    start, crop, places = _zoom_places(side, factor, trim)
    low = np.floor(places).astype(np.int64)
    return start + np.stack([low, np.minimum(low + 1, crop - 1)]).clip(0, crop - 1)


def _zoom_share(side: int, factor: float, trim: bool) -> NDArray[np.float64]:
    places = _zoom_places(side, factor, trim)[2]
    return places - np.floor(places)
