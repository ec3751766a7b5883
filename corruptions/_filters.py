"""Linear filters and resampling of batches, each image independent of the others, to the bit.

Everything is a weighted sum of rows: each output row takes some input rows with some weights, always in the
same order. `embedding_bag` does exactly that, and keeps the sum in registers: a fifth of the time of adding
shifted images one after the other, and, unlike a convolution or a matrix product, the same to the bit in any
batch. These sums are not compiled: the compiler takes them apart and is several times slower.
"""

import math
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ._compile import device_constant, device_constants, kernel
from ._host import on_host, turned

Mode: TypeAlias = Literal["replicate", "symmetric", "mirror"]
"""What lies beyond the edge: aaa|abcd|ddd, cba|abcd|dcb or dcb|abcd|cba."""

Maps: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Linear maps of an axis: sources and weights of each output, both (maps, side, taps)."""

LONG_RADIUS = 16
"""Gaussians that reach further are cheaper as a matrix than tap by tap."""

FIELD_BITS, MATRIX_BITS = 23, 28
"""Fraction bits of a field and of a smoothing matrix: every sum of their products is exact in float64."""

WINDOW = 8
"""How many pixels of a line motion_blur moves together."""

KEPT_ROWS = 2**13
"""Rows of planes up to which the list of their taps is kept from one call to the next."""

LARGE = 2**13
"""Pixels of an image from which on it does not pay to list the windows of a motion's pixels."""

MAPS_AT_ONCE = 4
"""How many enlarged images zoom_blur holds in memory together."""


@lru_cache(maxsize=64)
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
    images: Tensor, sigma: float, *, truncate: float = 4.0, mode: Mode = "replicate"
) -> Tensor:
    """Return images (N, C, H, W) smoothed by a Gaussian of `sigma` pixels, rows and columns apart.

    The kernel ends at int(truncate * sigma + 0.5) pixels, as scikit-image's does; if that is 0, the images
    themselves are returned. Any radius is allowed: the edge rule is repeated beyond the image.
    """
    weights = gaussian_weights(sigma, truncate=truncate)
    return _separable(images, symmetric_maps, weights, mode) if len(weights) > 1 else images


def smooth_field(field: Tensor, sigmas: tuple[float, float]) -> Tensor:
    """Return a field (N, C, H, W) in [-1, 1] smoothed by a Gaussian that ends at 3 sigma, edges symmetric.

    `sigmas`: along the columns, along the rows.
    """
    for axis, sigma in zip((2, 3), sigmas, strict=True):
        weights = gaussian_weights(sigma, truncate=3)
        if len(weights) - 1 <= LONG_RADIUS:
            field = _filter_axis(field, weights, axis, "symmetric")
        else:
            matrix = device_constant(_smoothing_matrix, weights, field.shape[axis], device=field.device)
            field = _smooth_exactly(field, matrix, axis)
    return field


def _filter_axis(images: Tensor, weights: tuple[float, ...], axis: int, mode: Mode) -> Tensor:
    """Return (N, C, H, W) with each row (axis 3) or column (axis 2) correlated with weights[|distance|]."""
    if len(images) == 0:
        return images.clone()
    planes = images.contiguous().flatten(0, 1)
    planes = turn(planes) if axis == 3 else planes
    planes = _sum_rows(planes, symmetric_maps, images.shape[axis], 2, (weights, mode))
    return (turn(planes) if axis == 3 else planes).view_as(images)


@kernel
def _smooth_exactly(field: Tensor, matrix: Tensor, axis: int) -> Tensor:
    """Apply a matrix to an axis in fixed point, so that no order of summation changes a bit."""
    fixed = torch.round(field.to(torch.float64) * 2.0**FIELD_BITS)
    total = torch.matmul(matrix, fixed) if axis == 2 else torch.matmul(fixed, matrix.T)
    return (torch.round(total * 2.0**-MATRIX_BITS) * 2.0**-FIELD_BITS).to(field.dtype)


def _smoothing_matrix(weights: tuple[float, ...], side: int) -> NDArray[np.float64]:
    """Return a filter along an axis as a matrix of integers, the weights times 2**MATRIX_BITS."""
    sources, taps = symmetric_maps(side, 2, weights, "symmetric")
    matrix = np.zeros((side, side))
    np.add.at(matrix, (np.arange(side)[:, None], sources[0]), taps[0])
    return np.round(matrix * 2.0**MATRIX_BITS)


def clipped_zoom(images: Tensor, factor: float, *, trim: bool = True) -> Tensor:
    """Return the centre of (N, C, H, W) enlarged by `factor` >= 1 to the same size, linearly interpolated.

    Per axis of length s: the ceil(s / factor) elements in the middle are stretched over round(that * factor)
    places, first and last onto first and last, of which the s in the middle are kept (all without `trim`).
    """
    height = None if trim else _zoomed_side(images.shape[2], factor)[1]
    return _separable(images, zoom_maps, (float(factor),), trim, height=height)


def zoom_mean(images: Tensor, factors: tuple[float, ...]) -> Tensor:
    """Return the mean of (N, C, H, W) and all its clipped_zooms; the first factor must be 1.

    The first has weight 2, because the image itself is 1 of the len(factors) + 1 images.
    """
    total = images * (2 / (len(factors) + 1))
    for start in range(1, len(factors), MAPS_AT_ONCE):
        some = factors[start : start + MAPS_AT_ONCE]
        total.add_(_separable(images, zoom_maps, some), alpha=1 / (len(factors) + 1))
    return total


def disk_filter(images: Tensor, radius: float, alias_blur: float) -> Tensor:
    """Return (N, C, H, W) correlated with a smoothed disk, edges mirrored: see `disk_maps`."""
    return _separable(images, disk_maps, float(radius), float(alias_blur))


def symmetric_maps(side: int, axis: int, weights: tuple[float, ...], mode: Mode) -> Maps:
    """Return the map of a correlation with weights[|distance|]."""
    offsets = np.arange(1 - len(weights), len(weights))
    taps = np.array(weights)[abs(offsets)]
    sources = reflect(np.arange(side)[:, None] + offsets, side, mode)
    if len(offsets) <= side:
        return sources[None], np.broadcast_to(taps, (1, *sources.shape))
    # Every pixel is met many times: it becomes one tap with the sum of its weights.
    folded = np.zeros((side, side))
    np.add.at(folded, (np.arange(side)[:, None], sources), taps)
    return np.broadcast_to(np.arange(side), (1, side, side)), folded[None]


def zoom_maps(side: int, axis: int, factors: tuple[float, ...], trim: bool = True) -> Maps:
    """Return the maps of clipped_zoom, one for each factor."""
    sources, weights = [], []
    for factor in factors:
        crop, stretched = _zoomed_side(side, factor)
        start, length = ((stretched - side) // 2, side) if trim else (0, stretched)
        place = np.arange(start, start + length) * ((crop - 1) / (stretched - 1))
        low = np.floor(place).astype(np.int64).clip(0, crop - 1)
        sources.append((side - crop) // 2 + np.stack([low, np.minimum(low + 1, crop - 1)], axis=1))
        weights.append(np.stack([1 - (place - low), place - low], axis=1))
    return np.stack(sources), np.stack(weights)


def _zoomed_side(side: int, factor: float) -> tuple[int, int]:
    """Return the length of the centre crop, and the length it is stretched to."""
    crop = math.ceil(side / factor)
    return crop, round(crop * factor)


def disk_maps(side: int, axis: int, radius: float, alias_blur: float) -> Maps:
    """Return the maps of rows (axis 2) or of columns (axis 3) whose products add up to a smoothed disk.

    The disk is 1 where row**2 + column**2 <= radius**2, on the grid and smoothed as in `blur.DefocusBlur`.
    Rows of the disk that reach equally far make one map: 7 at 10 pixels.
    """
    reach, spread = max(8, int(radius)), 1 if radius <= 8 else 2
    grid = np.arange(-reach, reach + 1)
    extents = np.array([math.isqrt(int(radius**2 - row**2)) if abs(row) <= radius else -1 for row in grid])
    smooth = np.zeros((len(grid), len(grid)))
    alias = np.exp(-0.5 * (np.arange(-spread, spread + 1) / alias_blur) ** 2)
    mirrored = reflect(np.arange(len(grid))[:, None] + np.arange(-spread, spread + 1), len(grid), "mirror")
    np.add.at(smooth, (np.arange(len(grid))[:, None], mirrored), alias / alias.sum())
    lengths = np.unique(extents[extents >= 0])[:, None]
    if axis == 2:
        weights = (extents == lengths) @ smooth.T
    else:
        weights = (abs(grid) <= lengths) @ smooth.T / (2 * extents + 1).clip(0).sum()
    sources = reflect(np.arange(side)[:, None] + grid, side, "mirror")
    shape = (len(lengths), *sources.shape)
    return np.broadcast_to(sources, shape), np.broadcast_to(weights[:, None], shape)


def reflect(places: NDArray[np.int64], side: int, mode: Mode) -> NDArray[np.int64]:
    """Return where in 0, ..., side - 1 the values at any integer places come from; side is at least 2."""
    if mode == "replicate":
        return places.clip(0, side - 1)
    period = 2 * side if mode == "symmetric" else 2 * side - 2
    wrapped = places % period
    return np.minimum(wrapped, (2 * side - 1 if mode == "symmetric" else period) - wrapped)


def _separable(images: Tensor, maps: Callable[..., Maps], *args: Any, height: int | None = None) -> Tensor:
    """Return the sum over m of images with rows mapped by maps(H, 2, ...)[m], columns by maps(W, 3, ...)[m].

    Rows first; then the results are turned, so that columns are rows too. `height` is that of the result, if
    it differs.
    """
    count, channels, side, width = images.shape
    if count == 0:
        return images.clone()
    rows = _sum_rows(images.contiguous().view(-1, side, width), maps, side, 2, args)
    columns = turn(rows.view(-1, height or side, width)).view(count * channels, -1, height or side)
    summed = turn(_sum_rows(columns, maps, width, 3, args))
    return summed.view(count, channels, height or side, -1)


def turn(planes: Tensor) -> Tensor:
    """Return planes (P, H, W) as (P, W, H), contiguous."""
    if on_host(planes):
        return torch.from_numpy(turned(planes.numpy()))
    return planes.transpose(1, 2).contiguous()


def _sum_rows(
    planes: Tensor, maps: Callable[..., Maps], side: int, axis: int, args: tuple[Any, ...]
) -> Tensor:
    """Return planes (P, H, W), contiguous, with their rows mapped by maps(side, axis, *args).

    Other strides would take a path of `embedding_bag` that rounds differently.
    """
    count, height, width = planes.shape
    few = count * height <= KEPT_ROWS
    spread = (count, height) if few else (1, 0)
    call, double = (maps, side, axis, args), planes.dtype == torch.float64
    sources, weights, starts = device_constants(_spread_taps, call, double, *spread, device=planes.device)
    if not few:
        short = count * max(sources.shape[0], height) < 2**31
        plane = torch.arange(count, dtype=torch.int32 if short else torch.int64, device=planes.device)[
            :, None
        ]
        starts = (plane * sources.shape[0] + starts).view(-1)
        sources = (plane * height + sources).view(-1)
        weights = weights.expand(count, -1).reshape(-1)
    flat = planes.view(-1, width)
    summed = torch.embedding_bag(flat, sources, starts, mode=0, per_sample_weights=weights)[0]
    return summed.view(count, -1, width)


def _spread_taps(call: tuple[Any, ...], double: bool, count: int, height: int) -> tuple[NDArray[Any], ...]:
    """Return the taps of `count` planes, each `height` rows from the last."""
    sources, weights, starts = _list_taps(*call)
    planes = np.arange(count, dtype=np.int32)[:, None]
    weights = np.tile(weights.astype(np.float64 if double else np.float32), count)
    return (planes * height + sources).ravel(), weights, (planes * len(sources) + starts).ravel()


@lru_cache(maxsize=16)
def _list_taps(
    maps: Callable[..., Maps], side: int, axis: int, args: tuple[Any, ...]
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int32]]:
    """Return for every row of a plane's result, one after the other: sources and weights; where each starts.

    Maps of rows are stacked; those of columns are added up.
    """
    sources, weights = maps(side, axis, *args)
    if axis == 3:
        outputs = sources.shape[1]
        sources = sources + side * np.arange(len(sources))[:, None, None]
        sources, weights = sources.transpose(1, 0, 2), weights.transpose(1, 0, 2)
        sources, weights = sources.reshape(1, outputs, -1), weights.reshape(1, outputs, -1)
    kept = abs(weights) > 1e-12
    lengths = kept.sum(2).ravel()
    return sources[kept].astype(np.int32), weights[kept], (np.cumsum(lengths) - lengths).astype(np.int32)


def zero_below(images: Tensor, threshold: float) -> Tensor:
    """Return the images with values below the threshold set to 0: a tenth of the time of `where`.

    >>> zero_below(torch.tensor([0.1, 0.5, 0.9]), 0.5)
    tensor([0.0000, 0.5000, 0.9000])
    """
    kind = np.float64 if images.dtype == torch.float64 else np.float32
    return F.threshold(images, float(np.nextafter(kind(threshold), kind(-math.inf))), 0)


def motion_blur(
    images: Tensor, angles: Tensor, *, radius: int, sigma: float, forward: bool = False
) -> Tensor:
    """Return images (N, C, H, W) blurred along one direction each, as ImageMagick's MotionBlur does.

    y[h, w] = sum_i k_i x[h + dy_i, w + dx_i] for i = 0, ..., 2 * radius, with k_i ~ exp(-i^2 / (2 sigma^2))
    of sum 1, dx_i = ceil(i cos a - 0.5), dy_i = ceil(i sin a - 0.5); edges replicated, nothing rounded.
    `angles` (N,) are in degrees. If all lie within -90 to 90, nothing left of a pixel is needed: `forward` is
    then faster.
    """
    if len(images) == 0:
        return images.clone()
    if on_host(images) and images.shape[2] * images.shape[3] >= LARGE and _shifts_agree():
        return _sum_shifts(images, angles, _motion_weights(radius, float(sigma)))
    weights = device_constant(_motion_weights, radius, float(sigma), device=images.device)
    return _sum_windows(images, angles, weights.to(images.dtype), left=0 if forward else 2 * radius)


@lru_cache(maxsize=16)
def _motion_weights(radius: int, sigma: float) -> NDArray[np.float64]:
    weights = np.exp(-0.5 * (np.arange(2 * radius + 1) / sigma) ** 2)
    normalised: NDArray[np.float64] = weights / weights.sum()
    return normalised


def _sum_shifts(images: Tensor, angles: Tensor, weights: NDArray[np.float64]) -> Tensor:
    """Return the same as `_sum_windows`, to the bit if `add` too rounds a product and its sum once."""
    height, width = images.shape[2:]
    dx, dy = (steps.tolist() for steps in _steps(angles, len(weights)))
    summed = torch.zeros_like(images, memory_format=torch.contiguous_format)
    for image, total, right, down in zip(images, summed, dx, dy, strict=True):
        left, top = max(0, -min(right)), max(0, -min(down))
        padded = F.pad(image, (left, max(0, *right), top, max(0, *down)), mode="replicate")
        for weight, column, row in zip(weights.tolist(), right, down, strict=True):
            source = padded[:, top + row : top + row + height, left + column : left + column + width]
            total.add_(source, alpha=weight)
    return summed


@cache
def _shifts_agree() -> bool:
    """Compare `_sum_shifts` with `_sum_windows`: not every processor multiplies and adds in one operation."""
    images = torch.arange(2 * 31 * 61, dtype=torch.float32).view(2, 1, 31, 61).mul_(0.7).sin_()
    angles, weights = torch.tensor([-20.0, 130.0]), _motion_weights(6, 3.0)
    by_windows = _sum_windows(images, angles, torch.from_numpy(weights).to(images.dtype), left=12)
    return torch.equal(_sum_shifts(images, angles, weights), by_windows)


def _sum_windows(images: Tensor, angles: Tensor, weights: Tensor, *, left: int) -> Tensor:
    """Return images with tap i of `weights` i pixels away in the direction of `angles`.

    Shifts differ from image to image. Along a row, every window of `WINDOW` pixels is a row of a table, so
    that any shift is a look-up; `left` is how far a shift can go to the left.
    """
    count, channels, height, width = images.shape
    taps = weights.shape[0]
    windows = -(-width // WINDOW)
    starts = left + taps + WINDOW * (windows - 1)
    padded = F.pad(images, (left, starts + WINDOW - 1 - left - width, 0, 0), mode="replicate")
    pixels = padded.permute(0, 2, 3, 1).reshape(count, height, -1)
    table = pixels.unfold(2, WINDOW * channels, channels).contiguous().view(-1, WINDOW * channels)

    dx, dy = _steps(angles, taps)
    axis = torch.arange(max(height, count, windows), device=images.device)
    rows = (axis[:height, None] + dy[:, None, :]).clamp(0, height - 1) + axis[:count, None, None] * height
    columns = axis[:windows, None] * WINDOW + dx[:, None, :] + left
    chosen = ((rows * starts)[:, :, None, :] + columns[:, None, :, :]).view(-1, taps)
    shares = weights.expand(chosen.shape).contiguous()
    summed = F.embedding_bag(chosen, table, mode="sum", per_sample_weights=shares)
    blurred = summed.view(count, height, windows * WINDOW, channels)[:, :, :width]
    return blurred.permute(0, 3, 1, 2).contiguous()


def _steps(angles: Tensor, taps: int) -> tuple[Tensor, Tensor]:
    """Return dx and dy of motion_blur, int64 (N, taps)."""
    # The last bit of a cosine may depend on the place in the batch. That changes no step: none is
    # within 9e-10 of a tie of its rounding, at any of the 2**24 angles that can be drawn.
    radians = torch.deg2rad(angles.to(torch.float64))[:, None]
    along = torch.arange(taps, dtype=torch.float64, device=angles.device)
    dx = torch.ceil(along * radians.cos() - 0.5).to(torch.int64)
    dy = torch.ceil(along * radians.sin() - 0.5).to(torch.int64)
    return dx, dy
